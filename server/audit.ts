/**
 * What was asked of this server that changes, costs or was refused: the newest entries, bounded.
 * Equal refusals among the last few entries are one with a count, so that a flood, also one of several
 * kinds, leaves the rest readable and pushes out nothing.
 */
import type { AuditBody, AuditEntry } from './protocol.ts'

export type AuditRecord = Omit<AuditEntry, 'auditId' | 'atMs' | 'repeats' | 'lastAtMs'>

const ENTRIES_MAX = 1_000
const TEXT_MAX = 500
/** How far back an equal refusal is looked for. */
const LOOKED_BACK = 50

export class Audit {
  readonly #entries: AuditEntry[] = []
  readonly #log: (entry: AuditEntry) => void
  readonly #entriesMax: number
  #lastId = 0

  /** `log` is told of each entry, not of its repeats. */
  constructor(log: (entry: AuditEntry) => void, entriesMax = ENTRIES_MAX) {
    this.#log = log
    this.#entriesMax = entriesMax
  }

  add(record: AuditRecord): void {
    const atMs = Date.now()
    const text = record.text.slice(0, TEXT_MAX)
    const result = record.result.slice(0, TEXT_MAX)
    const equal =
      record.outcome === 'refused'
        ? this.#entries.slice(-LOOKED_BACK).findLast((one) => isSame(one, { ...record, text }))
        : undefined
    if (equal !== undefined) {
      equal.repeats += 1
      equal.lastAtMs = atMs
      return
    }
    this.#lastId += 1
    const entry = {
      ...record,
      text,
      result,
      auditId: this.#lastId,
      atMs,
      repeats: 1,
      lastAtMs: atMs,
    }
    this.#entries.push(entry)
    if (this.#entries.length > this.#entriesMax) this.#entries.shift()
    this.#log(entry)
  }

  body(after: number, limit: number): AuditBody {
    const oldestId = this.#lastId - this.#entries.length + 1
    const entries = this.#entries.filter((entry) => entry.auditId > after).slice(0, limit)
    return { entries, oldestId, newestId: this.#lastId }
  }
}

function isSame(a: AuditEntry, b: AuditRecord): boolean {
  return (
    a.outcome === b.outcome &&
    a.role === b.role &&
    a.peer === b.peer &&
    a.channel === b.channel &&
    a.what === b.what &&
    a.storeId === b.storeId &&
    a.code === b.code &&
    a.text === b.text
  )
}
