/**
 * Codec of `vlog_generation_state.json`: upstream's keys (scheduler.md section 2) plus one of ours,
 * `rewrite_stage_min_stale_ratio`. Pure: text in, text out; the engine writes it atomically.
 *
 * Times are unix nanoseconds beyond 2^53, so they are read from the raw text and kept as bigint: a
 * file that is only loaded and saved keeps them to the digit. Keys that this version does not use
 * (penalties, history, chunks) are carried through byte for byte while debt remains. A file that
 * cannot be read counts as empty, because debt can always be planned again; what was dropped is
 * returned so that it can be said.
 */
import type { LedgerEntry, RewriteDebt, SegmentId } from '../types.ts'
import { NO_DEBT } from './ledger.ts'

/** What the file holds beside the debt itself; passed from decode to encode. */
export interface StateExtras {
  /** Exact observation time of the stage as read; null when there is none. Used while the debt still says the same millisecond. */
  observedUnixNano: bigint | null
  /** Floor that queued the debt, kept when the stage that carried it is gone; null = unknown. */
  queuedMinStaleRatio: number | null
  /** Foreign keys with their raw JSON text, in file order. */
  foreign: ReadonlyMap<string, string>
}

export interface DecodedState {
  debt: RewriteDebt
  extras: StateExtras
  /** What could not be used, in one sentence; null when everything was. */
  problem: string | null
}

export const NO_EXTRAS: StateExtras = {
  observedUnixNano: null,
  queuedMinStaleRatio: null,
  foreign: new Map(),
}

const KEY_IDS = 'rewrite_source_file_ids'
const KEY_LEDGER = 'rewrite_debt_ledger'
const KEY_PENDING = 'rewrite_stage_pending'
const KEY_OBSERVED = 'rewrite_stage_observed_unix_nano'
const KEY_RATIO = 'rewrite_stage_min_stale_ratio'
const OWN_KEYS: ReadonlySet<string> = new Set([
  KEY_IDS,
  KEY_LEDGER,
  KEY_PENDING,
  KEY_OBSERVED,
  KEY_RATIO,
])

const NANOS_PER_MS = 1_000_000n

/** `text` null or empty: no file, no debt, no problem. `confirmDelayMs` makes the stage's due time. */
export function decodeState(text: string | null, confirmDelayMs: number): DecodedState {
  if (text === null || text.trim() === '') return empty(null)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return empty(`the state file is not JSON (${why}); ${text.length} characters were dropped`)
  }
  if (!isRecord(parsed)) return empty('the state file holds no JSON object')

  const raw = rawMembers(text)
  const skipped: string[] = []
  const ledger = readLedger(parsed[KEY_LEDGER], skipped)
  // With economics the ledger is the queue, and the id list is only its shadow.
  const queue =
    ledger.length > 0 ? ledger.map((e) => e.segmentId) : readIds(parsed[KEY_IDS], skipped)
  const staged = parsed[KEY_PENDING] === true && queue.length > 0
  const observedUnixNano = staged ? readNanos(raw.get(KEY_OBSERVED)) : null
  const ratio = parsed[KEY_RATIO]
  const queuedMinStaleRatio = queue.length > 0 && isRatio(ratio) ? ratio : null
  const debt: RewriteDebt = queue.length === 0 ? NO_DEBT : { queue, ledger, stage: null }
  if (staged) {
    // A stage without a time was observed at an unknown time in the past: it is due.
    const observedAtMs = Number((observedUnixNano ?? 0n) / NANOS_PER_MS)
    debt.stage = {
      observedAtMs,
      dueAtMs: observedAtMs + confirmDelayMs,
      minStaleRatio: queuedMinStaleRatio,
    }
  }
  const foreign = new Map([...raw].filter(([key]) => !OWN_KEYS.has(key)))
  const problem = skipped.length === 0 ? null : `entries were skipped: ${skipped.join(', ')}`
  return { debt, extras: { observedUnixNano, queuedMinStaleRatio, foreign }, problem }
}

/** The file's text; null = nothing remains, remove the file. */
export function encodeState(debt: RewriteDebt, extras: StateExtras): string | null {
  if (debt.queue.length === 0) return null
  const members: [string, string][] = [[KEY_IDS, list(debt.queue.map((id) => `"${id}"`))]]
  if (debt.ledger.length > 0) members.push([KEY_LEDGER, list(debt.ledger.map(ledgerText))])
  if (debt.stage !== null) {
    members.push([KEY_PENDING, 'true'])
    members.push([KEY_OBSERVED, String(nanosOf(debt.stage.observedAtMs, extras))])
  }
  const ratio = floorOf(debt, extras)
  if (ratio !== null) members.push([KEY_RATIO, String(ratio)])
  members.push(...extras.foreign)
  const lines = members.map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`)
  return `{\n${lines.join(',\n')}\n}`
}

/** Extras that belong to `debt`: an observation that has moved on is not the one that was read. */
export function extrasFor(debt: RewriteDebt, extras: StateExtras): StateExtras {
  if (debt.queue.length === 0) return NO_EXTRAS
  const { observedUnixNano, foreign } = extras
  const queuedMinStaleRatio = floorOf(debt, extras)
  const observedMs = debt.stage === null ? null : BigInt(Math.trunc(debt.stage.observedAtMs))
  const same = observedUnixNano !== null && observedUnixNano / NANOS_PER_MS === observedMs
  return { observedUnixNano: same ? observedUnixNano : null, queuedMinStaleRatio, foreign }
}

/** A stage says its own floor, even when that is "unknown". */
function floorOf(debt: RewriteDebt, extras: StateExtras): number | null {
  return debt.stage === null ? extras.queuedMinStaleRatio : debt.stage.minStaleRatio
}

function empty(problem: string | null): DecodedState {
  return { debt: NO_DEBT, extras: NO_EXTRAS, problem }
}

// ---------------------------------------------------------------- reading

function readIds(value: unknown, skipped: string[]): SegmentId[] {
  if (!Array.isArray(value)) return []
  const ids = new Set<SegmentId>()
  for (const item of value as unknown[]) {
    const id = readId(item)
    if (id === null) skipped.push(`id ${show(item)}`)
    else ids.add(id)
  }
  return [...ids]
}

function readLedger(value: unknown, skipped: string[]): LedgerEntry[] {
  if (!Array.isArray(value)) return []
  const entries = new Map<SegmentId, LedgerEntry>()
  for (const item of value as unknown[]) {
    const segmentId = isRecord(item) ? readId(item['file_id']) : null
    if (!isRecord(item) || segmentId === null) skipped.push(`ledger entry ${show(item)}`)
    else if (!entries.has(segmentId)) entries.set(segmentId, readEntry(segmentId, item))
  }
  return [...entries.values()]
}

/** Upstream omits zero fields, so a missing number is 0 here and nowhere else. */
function readEntry(segmentId: SegmentId, item: Record<string, unknown>): LedgerEntry {
  const bytesTotal = readBytes(item['bytes_total'])
  const bytesLive = Math.min(readBytes(item['bytes_live']), bytesTotal)
  const bytesStale = bytesTotal - bytesLive
  const ratio = item['stale_ratio']
  const derived = bytesTotal > 0 ? bytesStale / bytesTotal : 0
  const staleRatio = isRatio(ratio) ? ratio : derived
  return { segmentId, bytesTotal, bytesLive, bytesStale, staleRatio }
}

/** Decimal string of a u32 other than 0; anything else is not an id. */
function readId(value: unknown): SegmentId | null {
  if (typeof value !== 'string' || !/^\d{1,10}$/.test(value)) return null
  const id = Number(value)
  return id > 0 && id <= 0xffffffff ? id : null
}

function readBytes(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : 0
}

function isRatio(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1
}

/** Exact; null for anything but an integer of at most int64 size. Before 1970 counts as 1970. */
function readNanos(rawText: string | undefined): bigint | null {
  if (rawText === undefined || !/^-?\d{1,19}$/.test(rawText)) return null
  const nanos = BigInt(rawText)
  return nanos < 0n ? 0n : nanos
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function show(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 40 ? `${text.slice(0, 40)}...` : text
}

// ---------------------------------------------------------------- writing

function nanosOf(observedAtMs: number, extras: StateExtras): bigint {
  const ms = BigInt(Math.trunc(observedAtMs))
  const exact = extras.observedUnixNano
  return exact !== null && exact / NANOS_PER_MS === ms ? exact : ms * NANOS_PER_MS
}

function list(items: readonly string[]): string {
  return `[\n${items.map((item) => `    ${item}`).join(',\n')}\n  ]`
}

function ledgerText(entry: LedgerEntry): string {
  const fields = [
    `"file_id": "${entry.segmentId}"`,
    `"bytes_total": ${entry.bytesTotal}`,
    `"bytes_live": ${entry.bytesLive}`,
    `"bytes_stale": ${entry.bytesStale}`,
    `"stale_ratio": ${entry.staleRatio}`,
  ]
  return `{\n${fields.map((field) => `      ${field}`).join(',\n')}\n    }`
}

// ---------------------------------------------------------------- raw members

/**
 * Top-level members of a JSON object as raw text, later duplicates winning as in JSON.parse. `text`
 * has been parsed before, so this only has to find borders: strings and depth.
 */
function rawMembers(text: string): Map<string, string> {
  const members = new Map<string, string>()
  let at = text.indexOf('{') + 1
  for (;;) {
    at = skipSpace(text, at)
    if (text[at] === ',') at = skipSpace(text, at + 1)
    if (text[at] !== '"') return members
    const keyEnd = stringEnd(text, at)
    const key = JSON.parse(text.slice(at, keyEnd)) as string
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1)
    at = valueEnd(text, valueStart)
    members.set(key, text.slice(valueStart, at).trimEnd())
  }
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && ' \t\r\n'.includes(text.charAt(at))) at += 1
  return at
}

/** Index after the closing quote of the string that opens at `from`. */
function stringEnd(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** Index of the comma or brace that ends the value starting at `from`. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  let at = from
  while (at < text.length) {
    const char = text.charAt(at)
    if (char === '"') {
      at = stringEnd(text, at)
      continue
    }
    if (depth === 0 && (char === ',' || char === '}')) return at
    if (char === '{' || char === '[') depth += 1
    if (char === '}' || char === ']') depth -= 1
    at += 1
  }
  return at
}
