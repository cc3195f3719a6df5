/**
 * What comes in from outside, and the answers that have one, as TypeBox schemas. Each one is tied to its protocol type at the end
 * of this file: a difference is a compile error, in either direction.
 */
import { Type, type Static, type TSchema, type TUnsafe } from 'typebox'
import { STAT_FORMS, type StatForm } from './engine-door.ts'
import type {
  ActionName,
  Actions,
  ApplyPlanBody,
  BatchBody,
  Breakpoint,
  ClientMessage,
  GateName,
  MaintenanceOptions,
  MaintenancePhase,
  MaintenancePolicy,
  OpenStoreBody,
  PassOutcome,
  PlannedAction,
  PlanRequest,
  Profile,
  SchedulerMode,
} from './protocol.ts'
import { EVENT_TOPICS, WORKLOAD_BOUNDS, type EngineEventType, type Topic } from './protocol.ts'

const closed = { additionalProperties: false } as const

const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const ratio = Type.Number({ minimum: 0, maximum: 1 })
const segmentId = Type.Integer({ minimum: 0, maximum: 0xffff_ffff })
const segmentIds = Type.Array(segmentId, { minItems: 1, maxItems: 100_000 })

/** Longest period a duration may name: 30 days keeps sums of clock and duration exact. */
const DURATION_MAX_MS = 30 * 24 * 3600 * 1000
const durationMs = Type.Integer({ minimum: 0, maximum: DURATION_MAX_MS })

const planFilters = Type.Object(
  {
    minStaleRatio: Type.Optional(ratio),
    minStaleBytes: Type.Optional(count),
    minAgeMs: Type.Optional(durationMs),
    maxSegments: Type.Optional(count),
    minStaleBytesCapRatio: Type.Optional(ratio),
    maxLiveBytes: Type.Optional(count),
    maxCopiedBytes: Type.Optional(count),
    protectedIds: Type.Optional(Type.Array(segmentId, { maxItems: 100_000 })),
    segmentIds: Type.Optional(Type.Union([segmentIds, Type.Null()])),
  },
  closed,
)

function bounded(name: keyof typeof WORKLOAD_BOUNDS) {
  const { min, max, whole } = WORKLOAD_BOUNDS[name]
  const range = { minimum: min, maximum: max }
  return Type.Optional(whole ? Type.Integer(range) : Type.Number(range))
}

const workloadSettings = Type.Object(
  {
    seed: bounded('seed'),
    shape: Type.Optional(Type.Union([Type.Literal('uniform'), Type.Literal('skewed')])),
    keys: bounded('keys'),
    valueBytes: bounded('valueBytes'),
    putsPerSecond: bounded('putsPerSecond'),
    deleteRatio: bounded('deleteRatio'),
    burstMs: bounded('burstMs'),
    restMs: bounded('restMs'),
    diskCapBytes: bounded('diskCapBytes'),
  },
  closed,
)

/** An empty object; Static of the plain schema would be `{}`, which admits anything. */
const nothing = Type.Unsafe<Record<string, never>>(Type.Object({}, closed))

/** One of the names of a closed union; the type parameter makes the table complete. */
function oneOf<Name extends string>(names: Record<Name, unknown>): TUnsafe<Name> {
  return Type.Unsafe<Name>(Type.Enum(Object.keys(names)))
}

const gateName = oneOf<GateName>({
  slot_free: 0,
  scheduler_running: 0,
  first_checkpoint: 0,
  kick_min_interval: 0,
  kick_trigger_floor: 0,
  stage_not_pending: 0,
  stage_pending: 0,
  stage_due: 0,
  age_retry_not_due: 0,
  age_retry_due: 0,
  queue_runner_idle: 0,
  queue_pending: 0,
  queue_cooldown: 0,
  priority_yield: 0,
  no_checkpoint_running: 0,
  quiet_writes: 0,
  quiet_reads: 0,
  no_open_iterators: 0,
  missing_segments: 0,
  queue_quality: 0,
  rewrite_enabled: 0,
  rewrite_cancel_backoff: 0,
  rewrite_min_interval: 0,
  rewrite_budget: 0,
  trigger_total_bytes: 0,
  trigger_churn: 0,
  trigger_stale_ratio: 0,
  plan_cancel_backoff: 0,
  ineffective_backoff: 0,
  plan_min_interval: 0,
  plan_completed: 0,
  plan_selected: 0,
  gc_enabled: 0,
  gc_not_held_back: 0,
  gc_min_interval: 0,
  gc_eligible: 0,
  vacuum_enabled: 0,
  vacuum_trigger_bytes: 0,
  vacuum_min_interval: 0,
})

const passOutcome = oneOf<PassOutcome>({
  rewrote: 0,
  staged: 0,
  reclaimed: 0,
  planned: 0,
  nothing_to_do: 0,
  blocked: 0,
  cancelled: 0,
  failed: 0,
})

/** Every source that a person can ask for. */
const passSource = oneOf<Actions['run-pass']['body']['source']>({
  periodic: 0,
  checkpoint_kick: 0,
  checkpoint_pending: 0,
  rewrite_stage_confirm: 0,
  rewrite_stage_confirm_exit: 0,
  rewrite_age_blocked: 0,
  rewrite_age_blocked_exit: 0,
  rewrite_queue_pending: 0,
})

const breakpoint = oneOf<Breakpoint>({
  before_gates: 0,
  before_prune: 0,
  before_plan: 0,
  before_stage: 0,
  before_confirm: 0,
  before_rewrite: 0,
  before_gc: 0,
  before_restage: 0,
  before_vacuum: 0,
  on_gate_block: 0,
  on_failure: 0,
  queue_shrank_without_reclaim: 0,
})

const kind = <Kind extends string>(name: Kind) => Type.Object({ kind: Type.Literal(name) }, closed)

const runUntil = Type.Union([
  kind('passes'),
  Type.Object({ kind: Type.Literal('outcome'), outcome: passOutcome }, closed),
  Type.Object({ kind: Type.Literal('event'), event: oneOf<EngineEventType>(EVENT_TOPICS) }, closed),
  Type.Object({ kind: Type.Literal('blocked_by'), gate: gateName }, closed),
  kind('queue_empty'),
  kind('shrunk_without_reclaim'),
])

/** Names and kinds only: the engine knows the ranges, and lists every value outside of them. */
const maintenanceOptions = Type.Object(
  {
    restage: Type.Optional(Type.Union([Type.Literal('on'), Type.Literal('off')])),
    confirmDelayMs: Type.Optional(Type.Number()),
    loopIntervalMs: Type.Optional(Type.Number()),
    gcEvery: Type.Optional(Type.Number()),
    gcMinIntervalMs: Type.Optional(Type.Number()),
    gcTimeoutMs: Type.Optional(Type.Number()),
    gcMinBytes: Type.Optional(Type.Number()),
    rewriteMinIntervalMs: Type.Optional(Type.Number()),
    resumeMinIntervalMs: Type.Optional(Type.Number()),
    checkpointKickMinIntervalMs: Type.Optional(Type.Number()),
    quietWriteWindowMs: Type.Optional(Type.Number()),
    quietReadWindowMs: Type.Optional(Type.Number()),
    triggerTotalBytes: Type.Optional(Type.Number()),
    triggerStaleRatio: Type.Optional(Type.Number()),
    resumeMinStaleRatio: Type.Optional(Type.Number()),
    genericMinStaleRatio: Type.Optional(Type.Number()),
    efficacyMinTotalBytes: Type.Optional(Type.Number()),
    minSegmentStaleBytes: Type.Optional(Type.Number()),
    minSegmentAgeMs: Type.Optional(Type.Number()),
    maxPlanSegments: Type.Optional(Type.Number()),
    policy: Type.Optional(oneOf<MaintenancePolicy>({ a_only: 0, a_plus_c: 0, queue_runner: 0 })),
    triggerChurnBytesPerSec: Type.Optional(Type.Number()),
    rewriteBudgetBytesPerSec: Type.Optional(Type.Number()),
    rewriteBudgetStartBytes: Type.Optional(Type.Number()),
    debtDrainMaxSegments: Type.Optional(Type.Number()),
    planCancelBackoffMs: Type.Optional(Type.Number()),
    rewriteCancelBackoffMs: Type.Optional(Type.Number()),
    ineffectiveBackoffMs: Type.Optional(Type.Number()),
    ineffectiveGrowthMinBytes: Type.Optional(Type.Number()),
    penaltyCooldownMs: Type.Optional(Type.Number()),
    penaltyReadmitStaleRatio: Type.Optional(Type.Number()),
    planResumeGraceMs: Type.Optional(Type.Number()),
    planTimeoutMs: Type.Optional(Type.Number()),
    rewriteTimeoutMs: Type.Optional(Type.Number()),
    freshRewriteTimeoutMs: Type.Optional(Type.Number()),
    checkpointKickRetryWindowMs: Type.Optional(Type.Number()),
    deferredRetryWindowMs: Type.Optional(Type.Number()),
    queueFollowupCooldownMs: Type.Optional(Type.Number()),
    vacuumTriggerRewriteBytes: Type.Optional(Type.Number()),
    vacuumMinIntervalMs: Type.Optional(Type.Number()),
    disableRewrite: Type.Optional(Type.Boolean()),
    disableGc: Type.Optional(Type.Boolean()),
    disableVacuum: Type.Optional(Type.Boolean()),
    disableLoop: Type.Optional(Type.Boolean()),
    disableCheckpointKick: Type.Optional(Type.Boolean()),
    disableAutoDeferred: Type.Optional(Type.Boolean()),
  },
  closed,
)

const base64 = Type.String({
  pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
})

const label = Type.String({ minLength: 1, maxLength: 200 })
/** What a person says in one line. */
const line = Type.String({ maxLength: 200, pattern: '^[^\\r\\n]*$' })

const maintenancePhase = oneOf<MaintenancePhase>({ steady: 0, restore: 0, catch_up: 0 })

/** Bodies of POST actions/<name>. */
export const actionBodySchemas = {
  checkpoint: nothing,
  'periodic-pass': nothing,
  'stage-confirm': nothing,
  'run-pass': Type.Object({ source: passSource }, closed),
  'run-until': Type.Object(
    {
      until: runUntil,
      passesMax: Type.Integer({ minimum: 1, maximum: 200 }),
      advanceMaxMs: durationMs,
    },
    closed,
  ),
  gc: Type.Object({ dryRun: Type.Boolean() }, closed),
  plan: Type.Object({ filters: Type.Optional(planFilters) }, closed),
  stage: Type.Object({ filters: Type.Optional(planFilters) }, closed),
  rewrite: Type.Object({ segmentIds }, closed),
  pause: Type.Object({ reason: Type.Optional(line) }, closed),
  resume: nothing,
  mode: Type.Object({ mode: Type.Union([Type.Literal('auto'), Type.Literal('step')]) }, closed),
  'set-phase': Type.Object({ phase: maintenancePhase }, closed),
  'set-pause-file': Type.Object({ reason: Type.Union([line, Type.Null()]) }, closed),
  vacuum: nothing,
  'advance-clock': Type.Object({ ms: durationMs }, closed),
  'step-phase': Type.Object({ source: Type.Optional(passSource) }, closed),
  'resume-pass': nothing,
  'cancel-pass': nothing,
  'stopped-pass': nothing,
  'set-breakpoints': Type.Object(
    { breakpoints: Type.Array(breakpoint, { maxItems: 20, uniqueItems: true }) },
    closed,
  ),
  'set-options': Type.Object({ options: maintenanceOptions }, closed),
  'hold-snapshot': Type.Object({ label }, closed),
  'release-snapshot': Type.Object({ pinId: count }, closed),
  'hold-iterator': Type.Object({ label, from: base64 }, closed),
  'release-pin': Type.Object({ pinId: count }, closed),
  'workload-start': Type.Object({ settings: Type.Optional(workloadSettings) }, closed),
  'workload-stop': nothing,
  verify: nothing,
  reread: nothing,
} satisfies Record<ActionName, TSchema>

export const batchBodySchema = Type.Object(
  {
    operations: Type.Array(
      Type.Union([
        Type.Object({ op: Type.Literal('put'), key: base64, value: base64 }, closed),
        Type.Object({ op: Type.Literal('delete'), key: base64 }, closed),
      ]),
      { minItems: 1, maxItems: 100_000 },
    ),
  },
  closed,
)

export const storeParamsSchema = Type.Object({ storeId: Type.String({ minLength: 1 }) })

export const keyParamsSchema = Type.Object({
  storeId: Type.String({ minLength: 1 }),
  keyHex: Type.String({ pattern: '^(?:[0-9a-fA-F]{2})+$' }),
})

export const planParamsSchema = Type.Object({
  storeId: Type.String({ minLength: 1 }),
  planId: Type.String({ minLength: 1, maxLength: 100 }),
})

const planned = <Name extends PlannedAction, Body extends TSchema>(action: Name, body: Body) =>
  Type.Object({ action: Type.Literal(action), body }, closed)

export const planRequestSchema = Type.Union([
  planned('gc', nothing),
  planned('rewrite', actionBodySchemas.rewrite),
  planned('release-pin', actionBodySchemas['release-pin']),
  planned('vacuum', nothing),
])

export const applyPlanBodySchema = Type.Object(
  { confirm: Type.Object({ segments: count, bytes: count }, closed) },
  closed,
)

const folder = Type.String({ minLength: 1, maxLength: 4096 })

export const openStoreBodySchema = Type.Object(
  {
    dir: folder,
    mode: Type.Union([Type.Literal('hosted'), Type.Literal('attached')]),
    create: Type.Optional(Type.Boolean()),
    profile: Type.Optional(oneOf<Profile>({ durable: 0, wal_on_fast: 0, fast: 0 })),
    scheduler: Type.Optional(oneOf<SchedulerMode>({ auto: 0, step: 0 })),
    maintenance: Type.Optional(maintenanceOptions),
  },
  closed,
)

export const foldersQuerySchema = Type.Object({ dir: Type.Optional(folder) }, closed)

export const AUDIT_LIMIT_MAX = 1_000

export const pageQuerySchema = Type.Object(
  {
    after: Type.Optional(count),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: AUDIT_LIMIT_MAX })),
  },
  closed,
)

export const EVENTS_LIMIT_MAX = 10_000
/** Intervals of one answer, at most: one that has read many blocks for fewer ends sooner, and says where. */
export const LATENCY_LIMIT_MAX = 2_000

export const eventsQuerySchema = Type.Object(
  {
    after: Type.Optional(count),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: EVENTS_LIMIT_MAX })),
  },
  closed,
)

/** How the text of a statistic looks, by its form. */
const STAT_PATTERNS: Record<StatForm, string> = {
  integer: '^-?\\d+$',
  nanos: '^\\d+$',
  millis: '^\\d+\\.\\d{3}$',
  ratio: '^-?\\d+\\.\\d{6}$',
  number: '^-?\\d+(\\.\\d+)?(e[+-]?\\d+)?$',
  boolean: '^(true|false)$',
  word: '^[a-z_]+$',
}

/** The answer of GET stats, key by key. */
export const statsBodySchema = Type.Object(
  {
    atMs: Type.Number(),
    stats: Type.Object(
      Object.fromEntries(
        [...STAT_FORMS].map(([key, form]) => [
          key,
          Type.Optional(Type.String({ pattern: STAT_PATTERNS[form] })),
        ]),
      ),
      closed,
    ),
    absent: Type.Record(Type.String(), Type.String()),
  },
  closed,
)

const opening = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const atMs = Type.Number({ minimum: 0, maximum: 8.64e15 })

export const historyPassesQuerySchema = Type.Object(
  {
    /** `<opening>,<seq>` as `next` has it. */
    before: Type.Optional(Type.String({ pattern: '^\\d{1,15},\\d{1,15}$' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500 })),
    /** Leaves passes out that were blocked or found nothing to do. */
    acted: Type.Optional(Type.Boolean()),
  },
  closed,
)

export const historyPassParamsSchema = Type.Object({
  storeId: Type.String({ minLength: 1 }),
  passId: count,
})

export const historyPassQuerySchema = Type.Object({ opening: Type.Optional(opening) }, closed)

export const historyEventsQuerySchema = Type.Object(
  {
    opening: Type.Optional(opening),
    from: Type.Optional(count),
    at: Type.Optional(atMs),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: EVENTS_LIMIT_MAX })),
  },
  closed,
)

export const historyLatencyQuerySchema = Type.Object(
  {
    opening: Type.Optional(opening),
    fromMs: atMs,
    toMs: atMs,
    from: Type.Optional(count),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LATENCY_LIMIT_MAX })),
  },
  closed,
)

export const historyStateQuerySchema = Type.Object(
  {
    opening: Type.Optional(opening),
    seq: Type.Optional(count),
    at: Type.Optional(atMs),
  },
  closed,
)

const topics = Type.Array(
  oneOf<Topic>({ segments: 0, queue: 0, passes: 0, trace: 0, metrics: 0 }),
  { maxItems: 5, uniqueItems: true },
)

export const clientMessageSchema = Type.Union([
  Type.Object(
    {
      type: Type.Literal('hello'),
      storeId: Type.String({ minLength: 1, maxLength: 200 }),
      streamId: Type.Union([Type.String({ maxLength: 200 }), Type.Null()]),
      seq: count,
      topics: Type.Optional(topics),
      fresh: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
  Type.Object({ type: Type.Literal('subscribe'), topics }, closed),
  Type.Object({ type: Type.Literal('ping'), id: count }, closed),
])

/** Compiles only when both types accept the same values. */
type Same<A, B> = [A, B] extends [B, A] ? true : never

type ActionBodies = { [Name in ActionName]: Static<(typeof actionBodySchemas)[Name]> }
type ProtocolBodies = { [Name in ActionName]: Actions[Name]['body'] }

/** Never read at run time. */
export const schemasMatchProtocol: [
  Same<ActionBodies, ProtocolBodies>,
  Same<Required<Static<typeof maintenanceOptions>>, MaintenanceOptions>,
  Same<Static<typeof batchBodySchema>, BatchBody>,
  Same<Static<typeof planRequestSchema>, PlanRequest>,
  Same<Static<typeof applyPlanBodySchema>, ApplyPlanBody>,
  Same<Static<typeof openStoreBodySchema>, OpenStoreBody>,
  Same<Static<typeof clientMessageSchema>, ClientMessage>,
] = [true, true, true, true, true, true, true]
