/**
 * Copies what a tree holds, in key order: values into new segments, neighbours as one frame where that
 * pays, and entries into a new tree. An entry waits until its value is written; a few groups wait at most.
 */
import type { ChecksumKind } from '../checksum.ts'
import { copyOf } from '../bytes.ts'
import type { StoredValue } from '../index/leaf.ts'
import { groupedLength, type ValuePointer } from '../value-pointer.ts'
import { GroupEncoder } from '../value-log/group-encoder.ts'
import { BODY_HEADER_BYTES, RECORD_HEADER_BYTES } from '../value-log/record.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValueLog } from '../value-log/value-log.ts'
import type { SharedValues } from './shared-values.ts'
import type { TreeBuilder } from './tree-builder.ts'

interface Entry {
  key: Uint8Array
  /** null: its value waits in the group. */
  value: StoredValue | null
}

interface Waiting {
  entry: Entry
  from: ValuePointer
  isShared: boolean
}

/** Entries that may wait behind a group that does not fill. */
const ENTRIES_MAX = 512
/** Most groups left out before one is tried again. */
const SKIP_GROUPS_MOST = 32

export class Copier {
  /** Segments written, in order; the last one may take more. */
  readonly segments = new Set<Segment>()
  valuesCopied = 0
  valuesGrouped = 0
  readonly #valueLog: ValueLog
  readonly #kind: ChecksumKind
  readonly #shared: SharedValues
  readonly #encoder = new GroupEncoder(SKIP_GROUPS_MOST)
  #entries: Entry[] = []
  /** Whose values the encoder holds. */
  #group: Waiting[] = []

  constructor(valueLog: ValueLog, kind: ChecksumKind, shared: SharedValues) {
    this.#valueLog = valueLog
    this.#kind = kind
    this.#shared = shared
  }

  /** The key and an inline value may be views into a page. */
  add(tree: TreeBuilder, key: Uint8Array, value: StoredValue): void {
    const entry: Entry = { key: copyOf(key), value: null }
    this.#entries.push(entry)
    if (value.kind === 'inline') entry.value = { kind: 'inline', value: copyOf(value.value) }
    else this.#copy(entry, value.pointer)
    if (this.#encoder.isFull) this.#writeGroup()
    if (this.#entries.length >= ENTRIES_MAX) this.flush(tree)
    else if (this.#group.length === 0) this.#release(tree)
  }

  /** Nothing waits any more. */
  flush(tree: TreeBuilder): void {
    this.#writeGroup()
    this.#release(tree)
  }

  #copy(entry: Entry, from: ValuePointer): void {
    let copy = this.#shared.copyOf(from)
    if (copy === null && this.#group.some((one) => one.isShared)) {
      // Perhaps it waits in the group.
      this.#writeGroup()
      copy = this.#shared.copyOf(from)
    }
    if (copy !== undefined && copy !== null) {
      entry.value = { kind: 'pointer', pointer: copy }
      return
    }
    const bytes = this.#valueLog.read(from)
    const one = { entry, from, isShared: copy === null }
    if (!this.#encoder.takes(bytes.length)) this.#writeGroup()
    if (this.#encoder.plainNext > 0) {
      this.#encoder.tookPlain(1)
      this.#writePlain(one, bytes)
      return
    }
    this.#group.push(one)
    this.#encoder.add(bytes, 0, bytes.length)
  }

  #release(tree: TreeBuilder): void {
    for (const { key, value } of this.#entries) if (value !== null) tree.push(key, value)
    this.#entries = []
  }

  #writeGroup(): void {
    const [group, encoder] = [this.#group, this.#encoder]
    if (group.length === 0) return
    const block = encoder.encode()
    if (block === undefined) {
      group.forEach((one, i) => {
        this.#writePlain(one, encoder.value(i))
      })
    } else {
      const payload = encoder.payloadBytes(block)
      const segment = this.#segmentFor(payload)
      const rids = group.map(() => this.#valueLog.takeRid())
      const offset = encoder.appendTo(segment, { block, rids }, this.#kind)
      group.forEach((one, i) => {
        const length = groupedLength(BODY_HEADER_BYTES + payload, i)
        this.#place(one, { segmentId: segment.id, offset, length })
      })
      this.valuesGrouped += group.length
    }
    this.#group = []
    encoder.clear()
  }

  #writePlain(one: Waiting, bytes: Uint8Array): void {
    const segment = this.#segmentFor(bytes.length)
    this.#place(one, segment.appendPlain(bytes, this.#valueLog.takeRid(), this.#kind))
  }

  #segmentFor(payloadBytes: number): Segment {
    const segment = this.#valueLog.rewriteSegment(RECORD_HEADER_BYTES + payloadBytes)
    if (!this.segments.has(segment)) {
      // The next opening makes its key list on the walk that it makes anyway.
      segment.keys = null
      this.segments.add(segment)
      this.#valueLog.sealFullRewrites()
    }
    return segment
  }

  #place(one: Waiting, pointer: ValuePointer): void {
    one.entry.value = { kind: 'pointer', pointer }
    this.valuesCopied++
    if (one.isShared) this.#shared.remember(one.from, pointer)
  }
}
