/**
 * Codec of `vlog_generation_state.json`: upstream's keys (scheduler.md section 2) plus one of ours,
 * `rewrite_stage_min_stale_ratio`. Pure: text in, text out; the engine writes it atomically.
 *
 * Precedence is upstream's: chunks, else ledger, else id list. Chunks are added up into a ledger, as
 * whole segments are rewritten here, and kept for a tool that knows them while they cover the queue.
 * Times are unix nanoseconds beyond 2^53, so they are read from the raw text: what is only loaded and
 * saved again stays as it was to the digit, and so do keys that this version does not know, for as long
 * as there is a file.
 *
 * A file that cannot be read counts as empty, because debt can always be planned again; entries that
 * make no sense are dropped one by one; what was dropped is returned so that it can be said.
 */
import type { LedgerEntry, RewriteDebt, RewritePenalty, SegmentId } from '../types.ts'
import { NO_DEBT } from './ledger.ts'

/** An entry of the file as it stood there. */
interface RawEntry {
  segmentId: SegmentId
  text: string
}

/** What the file holds beside debt and penalties; passed from decode to encode. */
export interface StateExtras {
  /** Exact observation time of the stage as read; null when there is none. Used while the debt still says the same millisecond. */
  observedUnixNano: bigint | null
  /** Floor that queued the debt, kept when the stage that carried it is gone; null = unknown. */
  queuedMinStaleRatio: number | null
  /** Penalties as read, to be written the same while they are the same. */
  penalties: ReadonlyMap<SegmentId, { penalty: RewritePenalty; text: string }>
  /** Chunk ledger of a newer upstream and the chunk size it was made with (raw text). */
  chunks: readonly RawEntry[]
  chunkBytes: string | null
  /** What the last rewrite of a segment came to, for tools that rank by it; newest last. */
  history: readonly (RawEntry & { lastAttemptAtMs: number })[]
  /** Unknown keys with their raw JSON text, in file order. */
  foreign: ReadonlyMap<string, string>
}

export interface DecodedState {
  debt: RewriteDebt
  /** Ascending by segmentId; expired ones included. */
  penalties: RewritePenalty[]
  extras: StateExtras
  /** What could not be used, in one sentence; null when everything was. */
  problem: string | null
}

/** History tells how useful the last attempts were; a day later the segment is another one. */
const HISTORY_MAX_AGE_MS = 24 * 3600 * 1000
/** A store that rewrites all day would drag every attempt along in each save: 256 take some 60 KB. */
const HISTORY_MAX = 256

export const NO_EXTRAS: StateExtras = {
  observedUnixNano: null,
  queuedMinStaleRatio: null,
  penalties: new Map(),
  chunks: [],
  chunkBytes: null,
  history: [],
  foreign: new Map(),
}

const KEY_IDS = 'rewrite_source_file_ids'
const KEY_LEDGER = 'rewrite_debt_ledger'
const KEY_PENDING = 'rewrite_stage_pending'
const KEY_OBSERVED = 'rewrite_stage_observed_unix_nano'
const KEY_RATIO = 'rewrite_stage_min_stale_ratio'
const KEY_PENALTIES = 'rewrite_penalties'
const KEY_CHUNKS = 'rewrite_debt_chunks'
const KEY_CHUNK_BYTES = 'rewrite_debt_chunk_bytes'
const KEY_HISTORY = 'rewrite_history'
const OWN_KEYS: ReadonlySet<string> = new Set([
  KEY_IDS,
  KEY_LEDGER,
  KEY_PENDING,
  KEY_OBSERVED,
  KEY_RATIO,
  KEY_PENALTIES,
  KEY_CHUNKS,
  KEY_CHUNK_BYTES,
  KEY_HISTORY,
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
  const chunks = readChunks(parsed[KEY_CHUNKS], raw.get(KEY_CHUNKS), skipped)
  // With economics the ledger is the queue, and the id list is only its shadow.
  const ledger = chunks.length > 0 ? addUp(chunks) : readLedger(parsed[KEY_LEDGER], skipped)
  const queue =
    ledger.length > 0 ? ledger.map((e) => e.segmentId) : readIds(parsed[KEY_IDS], skipped)
  const staged = parsed[KEY_PENDING] === true && queue.length > 0
  const observedUnixNano = staged ? readNanos(raw.get(KEY_OBSERVED)) : null
  const ratio = parsed[KEY_RATIO]
  const queuedMinStaleRatio = queue.length > 0 && isRatio(ratio) ? ratio : null
  const debt: RewriteDebt = queue.length === 0 ? NO_DEBT : { queue, ledger, stage: null }
  if (staged) {
    // A stage without a time was observed at an unknown time in the past: it is due.
    const observedAtMs = msOf(observedUnixNano ?? 0n)
    debt.stage = {
      observedAtMs,
      dueAtMs: observedAtMs + confirmDelayMs,
      minStaleRatio: queuedMinStaleRatio,
    }
  }
  const penalties = readPenalties(parsed[KEY_PENALTIES], raw.get(KEY_PENALTIES), skipped)
  const extras: StateExtras = {
    observedUnixNano,
    queuedMinStaleRatio,
    penalties: new Map(penalties.map((p) => [p.penalty.segmentId, p])),
    chunks: chunks.map(({ segmentId, text }) => ({ segmentId, text })),
    chunkBytes: chunks.length > 0 ? (raw.get(KEY_CHUNK_BYTES) ?? null) : null,
    history: readHistory(parsed[KEY_HISTORY], raw.get(KEY_HISTORY), skipped),
    foreign: new Map([...raw].filter(([key]) => !OWN_KEYS.has(key))),
  }
  const problem = skipped.length === 0 ? null : `entries were skipped: ${skipped.join(', ')}`
  const sorted = penalties.map((p) => p.penalty).sort((a, b) => a.segmentId - b.segmentId)
  return { debt, penalties: sorted, extras, problem }
}

/** The file's text; null = nothing remains, remove the file. Flags and unknown keys alone do not keep it. */
export function encodeState(
  debt: RewriteDebt,
  penalties: readonly RewritePenalty[],
  extras: StateExtras,
): string | null {
  const { history } = extras
  if (debt.queue.length === 0 && penalties.length === 0 && history.length === 0) return null
  const members: [string, string][] = []
  if (debt.queue.length > 0) members.push(...debtMembers(debt, extras))
  members.push(...extras.foreign)
  if (penalties.length > 0) {
    members.push([KEY_PENALTIES, list(penalties.map((p) => penaltyText(p, extras)))])
  }
  if (history.length > 0) members.push([KEY_HISTORY, list(history.map((entry) => entry.text))])
  const lines = members.map(([key, value]) => `  ${JSON.stringify(key)}: ${value}`)
  return `{\n${lines.join(',\n')}\n}`
}

function debtMembers(debt: RewriteDebt, extras: StateExtras): [string, string][] {
  const members: [string, string][] = [[KEY_IDS, list(debt.queue.map((id) => `"${id}"`))]]
  if (debt.ledger.length > 0) members.push([KEY_LEDGER, list(debt.ledger.map(ledgerText))])
  if (debt.stage !== null) {
    members.push([KEY_PENDING, 'true'])
    members.push([KEY_OBSERVED, String(nanosOf(debt.stage.observedAtMs, extras))])
  }
  const ratio = floorOf(debt, extras)
  if (ratio !== null) members.push([KEY_RATIO, String(ratio)])
  if (extras.chunks.length > 0) {
    members.push([KEY_CHUNKS, list(extras.chunks.map((chunk) => chunk.text))])
    if (extras.chunkBytes !== null) members.push([KEY_CHUNK_BYTES, extras.chunkBytes])
  }
  return members
}

/** Extras that belong to `debt`: an observation that has moved on is not the one that was read. */
export function extrasFor(debt: RewriteDebt, extras: StateExtras): StateExtras {
  if (debt.queue.length === 0) {
    const { penalties, history, foreign } = extras
    return { ...NO_EXTRAS, penalties, history, foreign }
  }
  const observedMs = debt.stage === null ? null : BigInt(Math.trunc(debt.stage.observedAtMs))
  const { observedUnixNano } = extras
  const same = observedUnixNano !== null && observedUnixNano / NANOS_PER_MS === observedMs
  // Chunks win when they are read, so they may only be kept while they say all of the queue.
  const queued = new Set(debt.queue)
  const chunks = extras.chunks.filter((chunk) => queued.has(chunk.segmentId))
  const covered = new Set(chunks.map((chunk) => chunk.segmentId)).size === queued.size
  return {
    ...extras,
    observedUnixNano: same ? observedUnixNano : null,
    queuedMinStaleRatio: floorOf(debt, extras),
    chunks: covered ? chunks : [],
    chunkBytes: covered ? extras.chunkBytes : null,
  }
}

/** History that says something still; `dropped` = how many entries are too old, or from the future. */
export function expireHistory(
  extras: StateExtras,
  nowMs: number,
): { extras: StateExtras; dropped: number } {
  const history = extras.history.filter(({ lastAttemptAtMs }) => {
    const ageMs = nowMs - lastAttemptAtMs
    return ageMs >= 0 && ageMs < HISTORY_MAX_AGE_MS
  })
  return { extras: { ...extras, history }, dropped: extras.history.length - history.length }
}

/** One rewrite that ended, by its only source: nothing has to be shared out by weight. */
export interface RewriteAttempt {
  segmentId: SegmentId
  atMs: number
  processedLiveBytes: number
  sourceBytesUnreferenced: number
  /** Of its file, when the GC of the same pass deleted it. */
  reclaimedBytes: number
  staleBytes: number
}

/** The newest attempt of each segment counts; what is too old goes, and the oldest beyond a bound. */
export function withHistory(
  extras: StateExtras,
  attempts: readonly RewriteAttempt[],
  nowMs: number,
): StateExtras {
  const made = new Set(attempts.map(({ segmentId }) => segmentId))
  const kept = expireHistory(extras, nowMs).extras.history.filter((e) => !made.has(e.segmentId))
  const added = attempts.map((attempt) => ({
    segmentId: attempt.segmentId,
    text: attemptText(attempt),
    lastAttemptAtMs: attempt.atMs,
  }))
  return { ...extras, history: [...kept, ...added].slice(-HISTORY_MAX) }
}

/** A stage says its own floor, even when that is "unknown". */
function floorOf(debt: RewriteDebt, extras: StateExtras): number | null {
  return debt.stage === null ? extras.queuedMinStaleRatio : debt.stage.minStaleRatio
}

function empty(problem: string | null): DecodedState {
  return { debt: NO_DEBT, penalties: [], extras: NO_EXTRAS, problem }
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

interface Chunk extends RawEntry {
  entry: LedgerEntry
}

function readChunks(value: unknown, rawText: string | undefined, skipped: string[]): Chunk[] {
  return entriesOf(value, rawText, 'chunk', skipped).map(({ item, segmentId, text }) => ({
    segmentId,
    text,
    entry: readEntry(segmentId, item),
  }))
}

/** One entry a segment, in the order of its first chunk. */
function addUp(chunks: readonly Chunk[]): LedgerEntry[] {
  const sums = new Map<SegmentId, LedgerEntry>()
  for (const { entry } of chunks) {
    const sum = sums.get(entry.segmentId) ?? { ...entry, bytesTotal: 0, bytesLive: 0 }
    const bytesTotal = sum.bytesTotal + entry.bytesTotal
    const bytesLive = sum.bytesLive + entry.bytesLive
    const bytesStale = bytesTotal - bytesLive
    const staleRatio = bytesTotal > 0 ? bytesStale / bytesTotal : 0
    sums.set(entry.segmentId, { ...entry, bytesTotal, bytesLive, bytesStale, staleRatio })
  }
  return [...sums.values()]
}

/** Upstream drops penalties that say nothing: no attempt, no cool-down, no growth. */
function readPenalties(
  value: unknown,
  rawText: string | undefined,
  skipped: string[],
): { penalty: RewritePenalty; text: string }[] {
  const found: { penalty: RewritePenalty; text: string }[] = []
  for (const { item, segmentId, text } of entriesOf(value, rawText, 'penalty', skipped)) {
    const attempts = readBytes(item['attempts'])
    const cooldownUntilMs = msOf(readNanos(rawMembers(text).get('cooldown_until_unix_nano')) ?? 0n)
    if (attempts === 0 || cooldownUntilMs === 0) {
      skipped.push(`penalty of ${segmentId}`)
      continue
    }
    const growth = item['last_growth_bytes']
    const lastGrowthBytes = Number.isSafeInteger(growth) ? Number(growth) : 0
    const lastStaleBytes = readBytes(item['last_stale_bytes'])
    const penalty = { segmentId, attempts, cooldownUntilMs, lastGrowthBytes, lastStaleBytes }
    found.push({ penalty, text })
  }
  return found
}

function readHistory(
  value: unknown,
  rawText: string | undefined,
  skipped: string[],
): (RawEntry & { lastAttemptAtMs: number })[] {
  return entriesOf(value, rawText, 'history of', skipped).map(({ segmentId, text }) => ({
    segmentId,
    text,
    lastAttemptAtMs: msOf(readNanos(rawMembers(text).get('last_attempt_unix_nano')) ?? 0n),
  }))
}

/** Objects of a list that name a segment, with their raw text. */
function entriesOf(
  value: unknown,
  rawText: string | undefined,
  noun: string,
  skipped: string[],
): { item: Record<string, unknown>; segmentId: SegmentId; text: string }[] {
  if (!Array.isArray(value) || rawText === undefined) return []
  const texts = rawItems(rawText)
  const found: { item: Record<string, unknown>; segmentId: SegmentId; text: string }[] = []
  for (const [index, item] of (value as unknown[]).entries()) {
    const segmentId = isRecord(item) ? readId(item['file_id']) : null
    const text = texts[index]
    if (!isRecord(item) || segmentId === null || text === undefined) {
      skipped.push(`${noun} ${show(item)}`)
    } else found.push({ item, segmentId, text })
  }
  return found
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

function msOf(nanos: bigint): number {
  return Number(nanos / NANOS_PER_MS)
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

function penaltyText(penalty: RewritePenalty, extras: StateExtras): string {
  const read = extras.penalties.get(penalty.segmentId)
  if (read?.penalty === penalty) return read.text
  const fields = [
    `"file_id": "${penalty.segmentId}"`,
    `"attempts": ${penalty.attempts}`,
    `"cooldown_until_unix_nano": ${BigInt(Math.trunc(penalty.cooldownUntilMs)) * NANOS_PER_MS}`,
    `"last_growth_bytes": ${penalty.lastGrowthBytes}`,
    `"last_stale_bytes": ${penalty.lastStaleBytes}`,
  ]
  return `{\n${fields.map((field) => `      ${field}`).join(',\n')}\n    }`
}

/** Zeros are left out, as upstream does. */
function attemptText(attempt: RewriteAttempt): string {
  const numbers: [string, number | bigint][] = [
    ['last_attempt_unix_nano', BigInt(Math.trunc(attempt.atMs)) * NANOS_PER_MS],
    ['last_processed_live_bytes', attempt.processedLiveBytes],
    ['last_source_bytes_unreferenced', attempt.sourceBytesUnreferenced],
    ['last_reclaimed_bytes', attempt.reclaimedBytes],
    ['last_stale_bytes', attempt.staleBytes],
  ]
  const fields = [
    `"file_id": "${attempt.segmentId}"`,
    ...numbers.filter(([, n]) => n > 0).map(([name, n]) => `"${name}": ${n}`),
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

/** Items of a JSON array as raw text, in order. */
function rawItems(text: string): string[] {
  const items: string[] = []
  let at = skipSpace(text, text.indexOf('[') + 1)
  while (at < text.length && text[at] !== ']') {
    const end = valueEnd(text, at)
    items.push(text.slice(at, end).trimEnd())
    at = skipSpace(text, text[end] === ',' ? end + 1 : end)
  }
  return items
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

/** Index of the comma, brace or bracket that ends the value starting at `from`. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  let at = from
  while (at < text.length) {
    const char = text.charAt(at)
    if (char === '"') {
      at = stringEnd(text, at)
      continue
    }
    if (depth === 0 && (char === ',' || char === '}' || char === ']')) return at
    if (char === '{' || char === '[') depth += 1
    if (char === '}' || char === ']') depth -= 1
    at += 1
  }
  return at
}
