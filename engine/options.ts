/**
 * Options with their defaults. `resolveOptions` is the only place that knows a default; nothing
 * below it reads an optional field. Maintenance numbers are upstream's constants (TreeDB around
 * PR #843), so that a run here can be held against a run there. Problems are collected: one error
 * lists every field that is out of range, with its value.
 */
import type { EngineOptions, RecordingOptions } from './api.ts'
import { EngineError } from './errors.ts'
import type { MaintenanceOptions, MaintenancePhase, Profile, SchedulerMode } from './types.ts'
import { MAX_SEGMENT_BYTES } from './value-log/record.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

/** Every field is present and in range; frozen, with `maintenance` frozen too. */
export interface ResolvedOptions {
  readonly profile: Profile
  readonly inlineThreshold: number
  readonly segmentBytes: number
  readonly memtableBytes: number
  readonly checkpointIntervalMs: number
  readonly sliceMs: number
  readonly pageCacheBytes: number
  readonly keyCacheBytes: number
  readonly mode: SchedulerMode
  readonly phase: MaintenancePhase
  /** Empty = none. */
  readonly pauseFile: string
  /** null = off. */
  readonly recording: Readonly<RecordingOptions> | null
  readonly maintenance: Readonly<MaintenanceOptions>
}

const ENGINE_DEFAULTS: Omit<ResolvedOptions, 'maintenance' | 'recording'> = {
  // The safe promise first; whoever wants speed says so.
  profile: 'durable',
  // Upstream's page.DefaultInlineThreshold. Smaller sends short values to the log, where a record
  // header outweighs them; larger fills leaf pages with values and makes the index tall.
  inlineThreshold: 512,
  // One rewrite copies at most one segment's live bytes: 64 MiB keeps a hot pass well under a second.
  // Smaller multiplies files; upstream's 256 MiB makes the hot window four times as long.
  segmentBytes: 64 * MIB,
  // Bounds what a crash replays and what a checkpoint merges in one go.
  memtableBytes: 16 * MIB,
  // Writes of the `fast` profile are durable at checkpoints only, so this is what a crash can lose.
  checkpointIntervalMs: 30_000,
  // A foreground read waits for one slice at most. No work was measurably slower with it than with 4;
  // below it the yields themselves would begin to count.
  sliceMs: 1,
  // 16,384 index pages: all internal pages of some ten million keys.
  pageCacheBytes: 64 * MIB,
  // Half a million keys. A get that misses it searches the tree, for about a third of its time.
  keyCacheBytes: 32 * MIB,
  mode: 'auto',
  phase: 'steady',
  pauseFile: '',
}

const RECORDING_DEFAULTS: RecordingOptions = {
  // Some million events: days of a busy store, months of a quiet one.
  maxBytes: 64 * MIB,
  // Reading a moment folds at most one file: a few ten thousand events.
  chunkBytes: MIB,
  // What a killed process loses of its history. Shorter makes blocks that hardly compress.
  flushMs: 1_000,
}

const MAINTENANCE_DEFAULTS: MaintenanceOptions = {
  policy: 'a_plus_c',
  restage: 'on',
  // One segment per confirm delay is the whole write budget of hot maintenance. Shorter lets
  // checkpoint kicks chain into one long stall; longer lets churn outrun the rewrites.
  confirmDelayMs: 30_000,
  // Also the resume rhythm of a quiet store. A look costs O(segments), so once a second is cheap.
  loopIntervalMs: 1_000,
  gcEvery: 5,
  // Three confirm delays hold at most two GC runs of their own; a rewrite reclaims by itself anyway.
  gcMinIntervalMs: 45_000,
  // A file goes in milliseconds; this many seconds mean a disk that hangs.
  gcTimeoutMs: 30_000,
  // So much is worth a checkpoint that frees it at any tick; less waits for the n-th.
  gcMinBytes: MIB,
  // Between fresh plans and between fresh rewrites: upstream's one constant for both.
  rewriteMinIntervalMs: 30_000,
  // Queued debt was planned once; a quiet store may drain it tick by tick.
  resumeMinIntervalMs: 1_000,
  // Checkpoints can come several a second under load; a kick each would make maintenance continuous.
  checkpointKickMinIntervalMs: 5_000,
  // A burst of writes that pauses for a breath is not over; 15 s is upstream's answer to how long.
  quietWriteWindowMs: 15_000,
  // Reads suffer less from a rewrite than writes do, so they block it for less time.
  quietReadWindowMs: 2_000,
  triggerTotalBytes: 4 * GIB,
  // A log that is a fifth stale costs a quarter more disk than its live bytes need.
  triggerStaleRatio: 0.2,
  // At 0.5 a rewritten byte frees a byte: lifetime write amplification 2.
  resumeMinStaleRatio: 0.5,
  // A plan made only because the log is big must pay at once: six freed bytes for each one copied.
  genericMinStaleRatio: 0.85,
  // Below this a whole store can be rewritten in seconds, and quality floors only keep debt alive.
  efficacyMinTotalBytes: 512 * MIB,
  minSegmentStaleBytes: 1,
  // A segment sealed a moment ago is still losing live bytes; waiting makes its rewrite cheaper.
  minSegmentAgeMs: 30_000,
  maxPlanSegments: 0,
  triggerChurnBytesPerSec: 0,
  // What a disk of the time writes beside a busy foreground. The bucket holds up to the total-bytes
  // trigger, so a store that rested may catch up in one go.
  rewriteBudgetBytesPerSec: 128 * MIB,
  // One second of it: enough for the first pass, too little for a burst at every opening.
  rewriteBudgetStartBytes: 128 * MIB,
  debtDrainMaxSegments: 8,
  planCancelBackoffMs: 5_000,
  rewriteCancelBackoffMs: 20_000,
  ineffectiveBackoffMs: 120_000,
  // Smaller growth is the noise of writes that came meanwhile.
  ineffectiveGrowthMinBytes: 4 * MIB,
  penaltyCooldownMs: 600_000,
  // A tenth more of the segment became stale: its economics are not those of the failed attempt.
  penaltyReadmitStaleRatio: 0.1,
  // A plan that is nearly done is worth more than the few milliseconds it still takes.
  planResumeGraceMs: 350,
  planTimeoutMs: 30_000,
  rewriteTimeoutMs: 30_000,
  freshRewriteTimeoutMs: 120_000,
  checkpointKickRetryWindowMs: 5_000,
  deferredRetryWindowMs: 30_000,
  queueFollowupCooldownMs: 30_000,
  vacuumTriggerRewriteBytes: 64 * MIB,
  vacuumMinIntervalMs: 300_000,
  disableRewrite: false,
  disableGc: false,
  disableVacuum: false,
  disableLoop: false,
  disableCheckpointKick: false,
  disableAutoDeferred: false,
}

/** What a crash can lose, in one sentence. */
export const PROFILE_LOSES: Record<Profile, string> = {
  durable: 'A crash or power cut loses nothing that was acknowledged.',
  wal_on_fast:
    'A killed process loses nothing; a power cut may lose some of the newest writes, and keep later ones.',
  fast: 'A crash loses what was written since the last checkpoint.',
}

/** What a value must be. `words` completes "must be ..."; `ok` never sees undefined. */
interface Rule {
  words: string
  ok: (value: unknown) => boolean
}

function oneOf(...values: string[]): Rule {
  return {
    words: `one of ${values.map((v) => `'${v}'`).join(', ')}`,
    ok: (value) => typeof value === 'string' && values.includes(value),
  }
}

function integer(min: number, max = Number.MAX_SAFE_INTEGER): Rule {
  const upper = max === Number.MAX_SAFE_INTEGER ? 'up' : `to ${max}`
  return {
    words: `an integer from ${min} ${upper}`,
    ok: (value) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max,
  }
}

function real(min: number, max: number): Rule {
  return {
    words: `a number from ${min} to ${max}`,
    ok: (value) => typeof value === 'number' && value >= min && value <= max,
  }
}

const MILLISECONDS = integer(0)
const BYTES = integer(0)
const RATIO = real(0, 1)
const FLAG: Rule = { words: 'true or false', ok: (value) => typeof value === 'boolean' }

const ENGINE_RULES: Record<keyof typeof ENGINE_DEFAULTS, Rule> = {
  profile: oneOf('durable', 'wal_on_fast', 'fast'),
  // Half a page: two entries must fit a leaf, or a split could not make progress.
  inlineThreshold: integer(0, 2048),
  // Packed pointers hold offsets up to 2^32 - 1 and point 4 bytes into a record.
  segmentBytes: integer(4 * KIB, MAX_SEGMENT_BYTES),
  memtableBytes: integer(4 * KIB, 4 * GIB),
  checkpointIntervalMs: MILLISECONDS,
  sliceMs: real(0.1, 1_000),
  pageCacheBytes: integer(64 * KIB),
  keyCacheBytes: BYTES,
  mode: oneOf('auto', 'step'),
  phase: oneOf('steady', 'restore', 'catch_up'),
  pauseFile: { words: 'a path', ok: (value) => typeof value === 'string' },
}

const RECORDING_RULES: Record<keyof RecordingOptions, Rule> = {
  maxBytes: integer(256 * KIB),
  chunkBytes: integer(4 * KIB, 16 * MIB),
  flushMs: MILLISECONDS,
}

const MAINTENANCE_RULES: Record<keyof MaintenanceOptions, Rule> = {
  policy: oneOf('a_only', 'a_plus_c', 'queue_runner'),
  restage: oneOf('on', 'off'),
  confirmDelayMs: MILLISECONDS,
  // A loop of 0 ms would never leave the thread.
  loopIntervalMs: integer(10),
  gcEvery: integer(1),
  gcMinIntervalMs: MILLISECONDS,
  gcTimeoutMs: integer(1),
  gcMinBytes: BYTES,
  rewriteMinIntervalMs: MILLISECONDS,
  resumeMinIntervalMs: MILLISECONDS,
  checkpointKickMinIntervalMs: MILLISECONDS,
  quietWriteWindowMs: MILLISECONDS,
  quietReadWindowMs: MILLISECONDS,
  triggerTotalBytes: BYTES,
  triggerStaleRatio: RATIO,
  resumeMinStaleRatio: RATIO,
  genericMinStaleRatio: RATIO,
  efficacyMinTotalBytes: BYTES,
  minSegmentStaleBytes: BYTES,
  minSegmentAgeMs: MILLISECONDS,
  maxPlanSegments: integer(0),
  triggerChurnBytesPerSec: BYTES,
  rewriteBudgetBytesPerSec: BYTES,
  rewriteBudgetStartBytes: BYTES,
  debtDrainMaxSegments: integer(1),
  planCancelBackoffMs: MILLISECONDS,
  rewriteCancelBackoffMs: MILLISECONDS,
  ineffectiveBackoffMs: MILLISECONDS,
  ineffectiveGrowthMinBytes: BYTES,
  penaltyCooldownMs: MILLISECONDS,
  penaltyReadmitStaleRatio: RATIO,
  planResumeGraceMs: MILLISECONDS,
  // Without any time nothing could ever be planned or rewritten.
  planTimeoutMs: integer(1),
  rewriteTimeoutMs: integer(1),
  freshRewriteTimeoutMs: integer(1),
  checkpointKickRetryWindowMs: MILLISECONDS,
  deferredRetryWindowMs: MILLISECONDS,
  queueFollowupCooldownMs: MILLISECONDS,
  vacuumTriggerRewriteBytes: BYTES,
  vacuumMinIntervalMs: MILLISECONDS,
  disableRewrite: FLAG,
  disableGc: FLAG,
  disableVacuum: FLAG,
  disableLoop: FLAG,
  disableCheckpointKick: FLAG,
  disableAutoDeferred: FLAG,
}

/** The options with some of them changed. Throws ENGINE_OPTIONS with every bad field, as at open. */
export function changeMaintenance(
  options: Readonly<MaintenanceOptions>,
  changes: Partial<MaintenanceOptions>,
): Readonly<MaintenanceOptions> {
  const report = { prefix: 'maintenance.', problems: [] as string[] }
  const changed = merge(options, MAINTENANCE_RULES, changes, report)
  if (report.problems.length > 0)
    throw new EngineError('ENGINE_OPTIONS', report.problems.join('; '))
  return Object.freeze(changed)
}

/**
 * Fills in defaults and validates. Absent and undefined fields take the default.
 * Throws one EngineError ENGINE_OPTIONS that lists every unknown or out-of-range field.
 */
export function resolveOptions(options: EngineOptions): ResolvedOptions {
  const problems: string[] = []
  const { maintenance, recording = {}, ...rest } = options
  const engine = merge(ENGINE_DEFAULTS, ENGINE_RULES, rest, { prefix: '', problems })
  const policy = merge(MAINTENANCE_DEFAULTS, MAINTENANCE_RULES, maintenance ?? {}, {
    prefix: 'maintenance.',
    problems,
  })
  const kept = resolveRecording(recording, problems)
  if (problems.length > 0) throw new EngineError('ENGINE_OPTIONS', problems.join('; '))
  return Object.freeze({ ...engine, recording: kept, maintenance: Object.freeze(policy) })
}

function resolveRecording(
  given: NonNullable<EngineOptions['recording']>,
  problems: string[],
): Readonly<RecordingOptions> | null {
  if (given === 'off') return null
  if (typeof given !== 'object') {
    problems.push(`recording must be 'off' or an object, got ${show(given)}`)
    return null
  }
  const prefix = 'recording.'
  return Object.freeze(merge(RECORDING_DEFAULTS, RECORDING_RULES, given, { prefix, problems }))
}

function merge<T extends object>(
  defaults: T,
  rules: Record<keyof T, Rule>,
  given: object,
  report: { prefix: string; problems: string[] },
): T {
  const merged = new Map<string, unknown>(Object.entries(defaults))
  for (const [field, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined) continue
    // A misspelt option would silently leave its default in force.
    if (!Object.hasOwn(rules, field)) {
      report.problems.push(`${report.prefix}${field} is not an option`)
      continue
    }
    const rule = rules[field as keyof T]
    if (!rule.ok(value)) {
      report.problems.push(`${report.prefix}${field} must be ${rule.words}, got ${show(value)}`)
      continue
    }
    merged.set(field, value)
  }
  return Object.fromEntries(merged) as T
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'object' && value !== null) return JSON.stringify(value)
  return String(value)
}
