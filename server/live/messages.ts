/** Texts of the large server messages, joined from parts that are JSON already. */
import type { ServerMessage, StoreInfo } from '../protocol.ts'
import { topicsOf, type TopicMask } from '../topics.ts'

export interface FrameParts {
  streamId: string
  firstSeq: number
  lastSeq: number
  /** Events joined by commas. */
  events: Uint8Array
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
  return Buffer.concat([
    Buffer.from(
      `{"type":"frame","streamId":${JSON.stringify(streamId)},` +
        `"firstSeq":${firstSeq},"lastSeq":${lastSeq},"events":[`,
    ),
    events,
    Buffer.from(`],"gauges":${gaugesJson},"workload":${workloadJson},"samples":[${samplesJson}]}`),
  ])
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
