/**
 * Whether a value from a recording may be handed on as an event or a state. A checksum tells of
 * accidents, not of intent, so what the reducer touches is checked field by field. The rest of an event
 * is plain JSON that tells a story.
 */
import type { EngineEvent, EngineState } from '../types.ts'

type Fields = Record<string, unknown>

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const isNumber = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const isText = (value: unknown): boolean => typeof value === 'string'
const orNull =
  (check: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || check(value)
const listOf =
  (check: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(check)

function has(value: unknown, checks: Record<string, (value: unknown) => boolean>): boolean {
  return isFields(value) && Object.entries(checks).every(([field, check]) => check(value[field]))
}

const isSegment = (value: unknown): boolean =>
  has(value, {
    segmentId: isCount,
    lane: isCount,
    seq: isCount,
    file: isText,
    state: (v) => v === 'active' || v === 'sealed' || v === 'zombie',
    origin: isText,
    bytesTotal: isCount,
    bytesLive: isCount,
    bytesStale: isCount,
    createdAtMs: orNull(isNumber),
    sealedAtMs: orNull(isNumber),
    ageSource: isText,
    keptBy: listOf((keeper) => has(keeper, { kind: isText })),
  })

const isLedgerEntry = (value: unknown): boolean =>
  has(value, {
    segmentId: isCount,
    bytesTotal: isNumber,
    bytesLive: isNumber,
    bytesStale: isNumber,
    staleRatio: isNumber,
  })

const isStage = (value: unknown): boolean =>
  has(value, { observedAtMs: isNumber, dueAtMs: isNumber, minStaleRatio: orNull(isNumber) })

const isDebt = (value: unknown): boolean =>
  has(value, { queue: listOf(isCount), ledger: listOf(isLedgerEntry), stage: orNull(isStage) })

const isPenalty = (value: unknown): boolean =>
  has(value, { segmentId: isCount, attempts: isCount, cooldownUntilMs: isNumber })

const isPin = (value: unknown): boolean =>
  has(value, { pinId: isCount, kind: isText, label: isText, sinceMs: isNumber })

const schedulerTexts = { mode: isText, state: isText, lastReason: isText }
const isScheduler = (value: unknown): boolean => has(value, schedulerTexts)

/** Those facts that are there. */
const isPartOfScheduler = (value: unknown): boolean =>
  isFields(value) &&
  Object.entries(schedulerTexts).every(([fact, check]) => !(fact in value) || check(value[fact]))

const isCounters = (value: unknown): boolean =>
  isFields(value) && Object.values(value).every((n) => n === null || isNumber(n) || isFields(n))

const isCheckpoint = (value: unknown): boolean =>
  has(value, { commitSeq: isCount, atMs: orNull(isNumber), elapsedMs: orNull(isNumber) })

const isBytesChange = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 3 && value.every(isCount)

const isLatency = (value: unknown): boolean =>
  has(value, { count: isCount, p50Ms: isNumber, p99Ms: isNumber, maxMs: isNumber })

/** Of the types that change the state or are drawn by themselves; others need no more than the base. */
const CHECKS: Record<string, Record<string, (value: unknown) => boolean>> = {
  segment_created: { segment: isSegment },
  segment_sealed: { segment: isSegment },
  segment_zombie: { segment: isSegment },
  segment_kept: { segment: isSegment },
  segment_deleted: { segmentId: isCount, bytesTotal: isCount },
  segment_bytes: { changes: listOf(isBytesChange) },
  debt_changed: { cause: isText, debt: isDebt },
  penalties_changed: { penalties: listOf(isPenalty) },
  scheduler_changed: { scheduler: isPartOfScheduler },
  counters_changed: { counters: isCounters },
  pin_opened: { pin: isPin },
  pin_released: { pinId: isCount, kind: isText, label: isText, heldMs: isNumber },
  checkpoint_done: {
    report: (v) =>
      has(v, { noop: (n) => typeof n === 'boolean', commitSeq: isCount, elapsedMs: isNumber }),
  },
  foreground_latency: { fromMs: isNumber, put: orNull(isLatency), get: orNull(isLatency) },
  pass_done: {
    report: (v) =>
      has(v, { passId: isCount, source: isText, outcome: isText, sentence: isText }) &&
      has(v, { gates: Array.isArray, steps: Array.isArray, before: isDebt, after: isDebt }),
  },
}

export function isEvent(value: unknown): value is EngineEvent {
  const isBase = has(value, {
    seq: (v) => isCount(v) && v !== 0,
    atMs: isNumber,
    passId: orNull(isCount),
    type: isText,
  })
  if (!isBase || !isFields(value)) return false
  const checks = Object.hasOwn(CHECKS, String(value['type'])) ? CHECKS[String(value['type'])] : {}
  return has(value, checks ?? {})
}

export function isState(value: unknown): value is EngineState {
  return has(value, {
    segments: listOf(isSegment),
    debt: isDebt,
    scheduler: isScheduler,
    penalties: listOf(isPenalty),
    pins: listOf(isPin),
    counters: isCounters,
    checkpoint: isCheckpoint,
  })
}
