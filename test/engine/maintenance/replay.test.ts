/** Decisions are pure: a recorded run (state, options and clock at each pass) decides the same again. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decidePass, type Decision } from '../../../engine/maintenance/decide.ts'
import type { PassInput } from '../../../engine/maintenance/pass-input.ts'
import { planRewrite } from '../../../engine/maintenance/planner.ts'
import type { PassSource } from '../../../engine/types.ts'
import { advance, MIB, segment, settle, world } from './fake-host.ts'

interface Recorded {
  input: string
  decision: string
}

/** From its text alone: nothing of the run is left but data. */
function again({ input }: Recorded): Decision {
  const data = JSON.parse(input) as Omit<PassInput, 'plan'>
  const { segments, nowMs } = data
  const cooling = new Map(data.penalties.map((p) => [p.segmentId, p.cooldownUntilMs]))
  return decidePass({
    ...data,
    plan: (filters) => planRewrite({ segments, filters, nowMs, cooling }),
  })
}

const anySource = fc.constantFrom<Exclude<PassSource, 'manual'>>(
  'periodic',
  'checkpoint_kick',
  'checkpoint_pending',
  'rewrite_stage_confirm',
  'rewrite_age_blocked',
  'rewrite_queue_pending',
)
const anyStep = fc.oneof(
  fc.record({ do: fc.constant('pass' as const), source: anySource }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(900, 12_000, 31_000) }),
  fc.record({ do: fc.constant('write' as const), seq: fc.integer({ min: 1, max: 5 }) }),
)

test('a recorded run replays to the same gates and the same decisions', async () => {
  let passes = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 5 }),
      fc.constantFrom('a_only' as const, 'a_plus_c' as const, 'queue_runner' as const),
      fc.array(anyStep, { maxLength: 12 }),
      async (ratios, policy, steps) => {
        const run: Recorded[] = []
        const { host, scheduler } = await world(
          ratios.map((percent, i) => segment(i + 1, percent / 100)),
          {
            mode: 'auto',
            maintenance: { policy, triggerTotalBytes: 3 * MIB },
            observe: (input, decision) => {
              const data = JSON.stringify({ ...input, plan: undefined })
              run.push({ input: data, decision: JSON.stringify(decision) })
            },
          },
        )
        for (const step of steps) {
          if (step.do === 'wait') await advance(host, step.ms, step.ms)
          else if (step.do === 'pass') await scheduler.runPass(step.source)
          else {
            const { seq } = step
            host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() }
            host.list = host.list.map((s) => (s.seq === seq ? segment(seq, 0.5) : s))
          }
          await settle()
        }
        for (const recorded of run) {
          expect(JSON.parse(JSON.stringify(again(recorded)))).toEqual(JSON.parse(recorded.decision))
        }
        passes += run.length
        await scheduler.close()
      },
    ),
    { numRuns: 100 },
  )
  expect(passes).toBeGreaterThan(100)
})
