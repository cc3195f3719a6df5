/**
 * What comes in from outside, as TypeBox schemas. Each one is tied to its protocol type at the end
 * of this file: a difference is a compile error, in either direction.
 */
import { Type, type Static, type TSchema } from 'typebox'
import type { ActionName, Actions, BatchBody, ClientMessage } from './protocol.ts'

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
    maxLiveBytes: Type.Optional(count),
    segmentIds: Type.Optional(Type.Union([segmentIds, Type.Null()])),
  },
  closed,
)

const workloadSettings = Type.Object(
  {
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 0xffff_ffff })),
    shape: Type.Optional(Type.Union([Type.Literal('uniform'), Type.Literal('skewed')])),
    keys: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
    // At least the readable start of a value.
    valueBytes: Type.Optional(Type.Integer({ minimum: 32, maximum: 1024 * 1024 })),
    putsPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    deleteRatio: Type.Optional(ratio),
    burstMs: Type.Optional(Type.Integer({ minimum: 100, maximum: DURATION_MAX_MS })),
    restMs: Type.Optional(durationMs),
    diskCapBytes: Type.Optional(count),
  },
  closed,
)

/** An empty object; Static of the plain schema would be `{}`, which admits anything. */
const nothing = Type.Unsafe<Record<string, never>>(Type.Object({}, closed))

/** Bodies of POST actions/<name>. */
export const actionBodySchemas = {
  checkpoint: nothing,
  'periodic-pass': nothing,
  'stage-confirm': nothing,
  gc: Type.Object({ dryRun: Type.Boolean() }, closed),
  plan: Type.Object({ filters: Type.Optional(planFilters) }, closed),
  stage: Type.Object({ filters: Type.Optional(planFilters) }, closed),
  rewrite: Type.Object({ segmentIds }, closed),
  pause: nothing,
  resume: nothing,
  mode: Type.Object({ mode: Type.Union([Type.Literal('auto'), Type.Literal('step')]) }, closed),
  'advance-clock': Type.Object({ ms: durationMs }, closed),
  'hold-snapshot': Type.Object({ label: Type.String({ minLength: 1, maxLength: 200 }) }, closed),
  'release-snapshot': Type.Object({ pinId: count }, closed),
  'workload-start': Type.Object({ settings: Type.Optional(workloadSettings) }, closed),
  'workload-stop': nothing,
  verify: nothing,
  reread: nothing,
} satisfies Record<ActionName, TSchema>

const base64 = Type.String({
  pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
})

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

export const EVENTS_LIMIT_MAX = 10_000

export const eventsQuerySchema = Type.Object(
  {
    after: Type.Optional(count),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: EVENTS_LIMIT_MAX })),
  },
  closed,
)

export const clientMessageSchema = Type.Union([
  Type.Object(
    {
      type: Type.Literal('hello'),
      storeId: Type.String({ minLength: 1, maxLength: 200 }),
      streamId: Type.Union([Type.String({ maxLength: 200 }), Type.Null()]),
      seq: count,
    },
    closed,
  ),
  Type.Object({ type: Type.Literal('ping'), id: count }, closed),
])

/** Compiles only when both types accept the same values. */
type Same<A, B> = [A, B] extends [B, A] ? true : never

type ActionBodies = { [Name in ActionName]: Static<(typeof actionBodySchemas)[Name]> }
type ProtocolBodies = { [Name in ActionName]: Actions[Name]['body'] }

/** Never read at run time. */
export const schemasMatchProtocol: [
  Same<ActionBodies, ProtocolBodies>,
  Same<Static<typeof batchBodySchema>, BatchBody>,
  Same<Static<typeof clientMessageSchema>, ClientMessage>,
] = [true, true, true]
