/** The key-value contract for each profile, both places of a value, and each state of a store. */
import { describe } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import type { Profile } from '../../engine/types.ts'
import { copyFolder, memoryFolder, openFixture } from '../support/engine-fixture.ts'
import { describeKeyValueContract } from '../support/key-value-contract.ts'

const INLINE_THRESHOLD = 64

function optionsOf(profile: Profile): EngineOptions {
  return { profile, inlineThreshold: INLINE_THRESHOLD, segmentBytes: 8 * 1024, sliceMs: 0.1 }
}

async function rewriteEverything(engine: Engine): Promise<Engine> {
  const { segments } = engine.state()
  const ids = segments.filter((s) => s.state !== 'zombie').map((s) => s.segmentId)
  await engine.maintenance.rewrite(ids)
  return engine
}

type Settle = (engine: Engine, options: EngineOptions) => Promise<Engine>

const STATES: Record<string, Settle> = {
  'in memory': (engine) => Promise.resolve(engine),
  'after a checkpoint': async (engine) => {
    await engine.checkpoint()
    return engine
  },
  'after closing and opening': async (engine, options) => {
    await engine.close()
    return (await openFixture(options, { dir: engine.info.dir })).engine
  },
  'after a rewrite of everything': rewriteEverything,
  'after a rewrite, a checkpoint and an opening': async (engine, options) => {
    await rewriteEverything(engine)
    await engine.checkpoint()
    await engine.close()
    return (await openFixture(options, { dir: engine.info.dir })).engine
  },
}

/** A killed process: what is in the files, and nothing else. `fast` promises nothing here. */
const afterCrash: Settle = async (engine, options) => {
  const dir = copyFolder(engine.info.dir, memoryFolder())
  await engine.close()
  return (await openFixture(options, { dir })).engine
}

for (const profile of ['durable', 'wal_on_fast', 'fast'] as const) {
  const states = profile === 'fast' ? STATES : { ...STATES, 'after a crash': afterCrash }
  for (const [state, settle] of Object.entries(states)) {
    for (const [place, valueBytes] of [
      ['inline values', INLINE_THRESHOLD],
      ['values in the log', INLINE_THRESHOLD + 1],
      ['values of several KiB', 3000],
    ] as const) {
      describe(`${profile}, ${place}, ${state}`, () => {
        const options = optionsOf(profile)
        describeKeyValueContract({
          valueBytes,
          open: async () => (await openFixture(options, { dir: memoryFolder() })).engine,
          settle: (engine) => settle(engine, options),
        })
      })
    }
  }
}
