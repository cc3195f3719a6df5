/** Texts of the large server messages, joined from parts that are JSON already. */
import type { ServerMessage, StoreInfo } from '../protocol.ts'
import type { EventBatch } from '../store/worker-contract.ts'
import { topicsOf, type TopicMask } from '../topics.ts'

export interface FrameParts {
  streamId: string
  firstSeq: number
  lastSeq: number
  /** Events joined by commas. */
  events: Uint8Array
  /** Of the batch they are, which becomes part of the frame: for one frame a batch. Absent: copied. */
  room?: EventBatch['room']
  gaugesJson: string
  workloadJson: string
  /** Joined by commas. */
  samplesJson: string
}

export interface SnapshotParts {
  streamId: string
  seq: number
  mask: TopicMask
  store: StoreInfo
  snapshotJson: string
  events: Uint8Array
  passesJson: string
  samplesJson: string
}

export type SnapshotReason = Extract<ServerMessage, { type: 'snapshot' }>['reason']

export function frameText(parts: FrameParts): Buffer {
  const { streamId, firstSeq, lastSeq, events, gaugesJson, workloadJson, samplesJson } = parts
  const head = Buffer.from(
    `{"type":"frame","streamId":${JSON.stringify(streamId)},` +
      `"firstSeq":${firstSeq},"lastSeq":${lastSeq},"events":[`,
  )
  const tail = Buffer.from(
    `],"gauges":${gaugesJson},"workload":${workloadJson},"samples":[${samplesJson}]}`,
  )
  const { before, after } = parts.room ?? { before: 0, after: 0 }
  if (head.length > before || tail.length > after) return Buffer.concat([head, events, tail])
  // Buffers of this size are what makes the collector run; a frame takes none of its own.
  const length = head.length + events.length + tail.length
  const frame = Buffer.from(events.buffer, events.byteOffset - head.length, length)
  head.copy(frame)
  tail.copy(frame, head.length + events.length)
  return frame
}

/** What is the same for all clients with these topics; `snapshotText` puts the rest before it. */
export function snapshotBody(parts: SnapshotParts): Buffer {
  return Buffer.concat([
    Buffer.from(
      `,"streamId":${JSON.stringify(parts.streamId)},"seq":${parts.seq},` +
        `"topics":${JSON.stringify(topicsOf(parts.mask))},"store":${JSON.stringify(parts.store)},` +
        `"snapshot":${parts.snapshotJson},"events":[`,
    ),
    parts.events,
    Buffer.from(`],"passes":${parts.passesJson},"samples":[${parts.samplesJson}]}`),
  ])
}

export function snapshotText(
  reason: SnapshotReason,
  missed: { fromSeq: number; toSeq: number } | null,
  body: Buffer,
): Buffer {
  const head = `{"type":"snapshot","reason":"${reason}","missed":${JSON.stringify(missed)}`
  return Buffer.concat([Buffer.from(head), body])
}

export function messageText(message: ServerMessage): Buffer {
  return Buffer.from(JSON.stringify(message))
}
