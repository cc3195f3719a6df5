/**
 * The pending journal of a folder (format.md 4): what came after the last checkpoint. Read batch by
 * batch; nothing is applied to the folder. `overlay` says what replaying would make of each key,
 * with upstream's fence: a sequenced batch with a RID that no value log holds is skipped whole.
 */
import { keyString } from '../bytes.ts'
import { byteSourceOf } from '../byte-source.ts'
import type { ChecksumKind } from '../checksum.ts'
import { JournalReader, type JournalBatch } from '../commit-log/codec.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import type { SegmentId } from '../types.ts'
import type { RecordHead } from '../value-log/scan.ts'
import { CRC_BYTES, groupedLength, type ValuePointer } from '../value-pointer.ts'
import { BODY_HEADER_BYTES, type RidWords } from '../value-log/record.ts'
import type { Slices } from './findings.ts'
import { openForReading, type FolderScope, type JournalFile } from './folder.ts'
import type { InspectJournal } from './report.ts'

export type PendingOperation =
  | { op: 'set_rid'; key: string; rid: RidKey }
  | { op: 'set_inline'; key: string; value: Uint8Array }
  | { op: 'delete'; key: string }

/** What one key holds after the replay; null = deleted. */
export type OverlayValue =
  { kind: 'inline'; value: Uint8Array } | { kind: 'pointer'; pointer: ValuePointer } | null

interface Place {
  pointer: ValuePointer
  isMadeHere: boolean
  isTwice: boolean
}

interface PendingBatch {
  seq: number
  operations: PendingOperation[]
}

/** A RID as a map key: a number where that is exact. */
type RidKey = number | bigint

function ridKey(words: RidWords): RidKey {
  if (words.high < 0x200000) return words.high * 0x1_0000_0000 + words.low
  return (BigInt(words.high) << 32n) | BigInt(words.low)
}

export class PendingJournal {
  readonly files: InspectJournal[] = []
  records = 0
  /** A file was damaged or not fully read, so a replay would be a guess. */
  incomplete = false
  /** Batches that the fence holds back; known after the segments were scanned. */
  fencedBatches = 0
  readonly #batches: PendingBatch[] = []
  /** null until its record is met. */
  readonly #places = new Map<RidKey, Place | null>()

  get isEmpty(): boolean {
    return this.records === 0
  }

  add(batch: JournalBatch): void {
    this.records += batch.operations.length
    const operations = batch.operations.map((operation): PendingOperation => {
      const key = keyString(operation.key)
      if (operation.op === 'delete') return { op: 'delete', key }
      if (operation.op === 'set_inline') {
        return { op: 'set_inline', key, value: operation.value.slice() }
      }
      const rid = ridKey(operation.rid)
      this.#places.set(rid, null)
      return { op: 'set_rid', key, rid }
    })
    this.#batches.push({ seq: batch.seq, operations })
  }

  /** Call with every record of every value log: finds the pending RIDs, with an opening's preference. */
  locate(segment: { segmentId: SegmentId; isMadeHere: boolean }, record: RecordHead): void {
    if (this.#places.size === 0) return
    const { segmentId, isMadeHere } = segment
    record.rids.forEach((words, i) => {
      const rid = ridKey(words)
      const known = this.#places.get(rid)
      if (known === undefined) return
      if (known !== null && (known.isMadeHere || !isMadeHere)) {
        if (known.isMadeHere === isMadeHere) known.isTwice = true
        return
      }
      const bodyBytes = BODY_HEADER_BYTES + record.payloadBytes
      const length = record.grouped ? groupedLength(bodyBytes, i) : bodyBytes
      const pointer = { segmentId, offset: record.start + CRC_BYTES, length }
      this.#places.set(rid, { pointer, isMadeHere, isTwice: false })
    })
  }

  /** RIDs in two places, of which nothing tells which one is meant. */
  get duplicateRids(): number {
    return [...this.#places.values()].filter((place) => place?.isTwice === true).length
  }

  /** Every key that some pending record names, replayed or not. */
  keys(): Set<string> {
    return new Set(this.#batches.flatMap((batch) => batch.operations.map(({ key }) => key)))
  }

  /** After all segments were scanned: batches in replay order, those held by the fence left out. */
  #effective(): PendingBatch[] {
    const inOrder = [
      ...this.#batches.filter((batch) => batch.seq === 0),
      ...this.#batches.filter((batch) => batch.seq !== 0).sort((a, b) => a.seq - b.seq),
    ]
    const passed = inOrder.filter((batch) => batch.seq === 0 || this.#isWhole(batch))
    this.fencedBatches = inOrder.length - passed.length
    return passed
  }

  #isWhole(batch: PendingBatch): boolean {
    return batch.operations.every(
      (operation) => operation.op !== 'set_rid' || this.#placeOf(operation.rid) !== null,
    )
  }

  #placeOf(rid: RidKey): ValuePointer | null {
    return this.#places.get(rid)?.pointer ?? null
  }

  /** Segments that hold a RID of a batch that a replay would apply: without it the batch is lost. */
  segments(): Set<SegmentId> {
    const ids = new Set<SegmentId>()
    for (const batch of this.#effective()) {
      for (const operation of batch.operations) {
        const place = operation.op === 'set_rid' ? this.#placeOf(operation.rid) : null
        if (place !== null) ids.add(place.segmentId)
      }
    }
    return ids
  }

  /** The last word of the journal on each key that it changes. */
  overlay(): Map<string, OverlayValue> {
    const overlay = new Map<string, OverlayValue>()
    for (const batch of this.#effective()) {
      for (const operation of batch.operations) {
        if (operation.op === 'delete') overlay.set(operation.key, null)
        else if (operation.op === 'set_inline') {
          overlay.set(operation.key, { kind: 'inline', value: operation.value })
        } else {
          const pointer = this.#placeOf(operation.rid)
          // Only unsequenced batches get here with an unknown RID: that one record is lost.
          if (pointer !== null) overlay.set(operation.key, { kind: 'pointer', pointer })
        }
      }
    }
    return overlay
  }
}

interface JournalScope extends FolderScope {
  slices: Slices
}

export async function readJournals(
  files: readonly JournalFile[],
  kind: ChecksumKind,
  scope: JournalScope,
): Promise<PendingJournal> {
  const journal = new PendingJournal()
  for (const { file, absolute } of files) {
    const entry: InspectJournal = { file, bytes: 0, batches: 0, records: 0, state: 'clean' }
    journal.files.push(entry)
    const handle = openForReading(absolute, file, scope)
    if (handle === undefined) {
      entry.state = 'unreadable'
      journal.incomplete = true
      continue
    }
    try {
      entry.bytes = handle.size()
      await readJournal(handle, kind, { journal, entry }, scope)
    } finally {
      handle.close()
    }
    if (entry.state === 'corrupt' || entry.state === 'unsupported') journal.incomplete = true
  }
  return journal
}

/** Batch after batch until the file's end, a torn tail or damage. */
async function readJournal(
  handle: OpenFile,
  kind: ChecksumKind,
  target: { journal: PendingJournal; entry: InspectJournal },
  scope: JournalScope,
): Promise<void> {
  const { journal, entry } = target
  const reader = new JournalReader(byteSourceOf(handle), kind, entry.file)
  for (;;) {
    if (scope.slices.isUsedUp()) await scope.slices.rest()
    const at = reader.end
    try {
      const batch = reader.next()
      if (batch === undefined) break
      entry.batches++
      entry.records += batch.operations.length
      journal.add(batch)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      const detail = error.message.replace(`${entry.file} at ${at}: `, '')
      if (error.code !== 'ENGINE_UNSUPPORTED') {
        entry.state = 'corrupt'
        scope.problems.add(`${entry.file} is damaged at byte ${at}: ${detail}`)
        return
      }
      entry.state = 'unsupported'
      scope.unread.add(detail, 'batch')
    }
  }
  if (reader.torn && entry.state === 'clean') entry.state = 'torn'
}
