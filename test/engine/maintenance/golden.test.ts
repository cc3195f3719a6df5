/**
 * Maintenance stories on the real engine with a clock that only the story moves: one readable text each
 * in test/data/golden, with the state in a few lines after every step. Written anew by
 * `npm run test:unit -- test/engine/maintenance/golden.test.ts -u`; what changed is read in the diff.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import type { StepClock } from '../../../engine/clock.ts'
import type {
  MaintenanceOptions,
  PassReport,
  PassStep,
  RewriteDebt,
  SegmentId,
  SegmentInfo,
} from '../../../engine/types.ts'
import { key, memoryFolder, openFixture, value } from '../../support/engine-fixture.ts'

const GOLDEN = path.join(import.meta.dirname, '../../data/golden')
const KIB = 1024

/** Small and quick: eight values of 1000 bytes fill a segment, and age is no matter unless said. */
const MAINTENANCE: Partial<MaintenanceOptions> = {
  triggerTotalBytes: 0,
  minSegmentAgeMs: 0,
  gcMinBytes: 0,
}

class Story {
  readonly #name: string
  readonly #lines: string[] = []
  #dir = ''
  #clock!: StepClock
  #startMs = 0
  #maintenance: Partial<MaintenanceOptions> = MAINTENANCE
  engine!: Engine

  private constructor(name: string) {
    this.#name = name
  }

  static async begin(
    name: string,
    about: string,
    maintenance: Partial<MaintenanceOptions> = {},
  ): Promise<Story> {
    const story = new Story(name)
    story.#lines.push(name, '='.repeat(name.length), about)
    story.#maintenance = { ...MAINTENANCE, ...maintenance }
    const { engine, dir, clock } = await story.#open({ dir: memoryFolder() })
    story.engine = engine
    story.#dir = dir
    story.#clock = clock
    story.#startMs = clock.now()
    return story
  }

  #open(where: { dir: string; clock?: StepClock }): ReturnType<typeof openFixture> {
    const options = { inlineThreshold: 64, segmentBytes: 8 * KIB, maintenance: this.#maintenance }
    return openFixture(options, where)
  }

  /** `segments` full segments, `stale` of eight values deleted in each; checkpointed, and all quiet. */
  async fill(segments: number, stale: readonly number[]): Promise<void> {
    for (let i = 0; i < segments * 8; i++) await this.engine.put(key(i), value(i, 1000))
    await this.engine.put(key(9000), value(1, 1000))
    for (let segment = 0; segment < segments; segment++) {
      for (let i = 0; i < (stale[segment] ?? 0); i++) await this.engine.delete(key(segment * 8 + i))
    }
    await this.engine.checkpoint()
  }

  /** Breaks the bytes of these of a segment's eight values; its name for people. */
  damage(name: string, values: readonly number[]): string {
    const file = fs.openSync(path.join(this.#dir, 'maindb', 'value_vlog', name), 'r+')
    for (const i of values) fs.writeSync(file, Buffer.alloc(8, 0xff), 0, 8, i * 1020 + 100)
    fs.closeSync(file)
    return name.replace(/\.log$/, '')
  }

  advance(ms: number): void {
    this.#clock.advance(ms)
  }

  async reopen(): Promise<void> {
    await this.engine.close()
    this.engine = (await this.#open({ dir: this.#dir, clock: this.#clock })).engine
  }

  /** The pass in the words of its report; what it met, what it did. */
  tell(title: string, told: PassReport | string | null = null): void {
    const at = (this.#clock.now() - this.#startMs) / 1000
    this.#lines.push('', `[${at} s] ${title}`)
    if (typeof told === 'string') this.#lines.push(`  ${told}`)
    else if (told !== null) {
      const blocked = told.blockedBy === null ? '' : ` at ${told.blockedBy}`
      this.#lines.push(`  pass: ${told.source} ${told.outcome}${blocked}`, `  ${told.sentence}`)
      for (const step of told.steps) this.#lines.push(`  - ${stepText(step)}`)
    }
    this.#lines.push(`  debt: ${this.#debtText(this.engine.state().debt)}`)
    for (const { segmentId, attempts, cooldownUntilMs } of this.engine.state().penalties) {
      const until = (cooldownUntilMs - this.#startMs) / 1000
      this.#lines.push(`  penalty: ${shortName(segmentId)}, attempt ${attempts}, until ${until} s`)
    }
    for (const segment of this.engine.state().segments) {
      this.#lines.push(`  ${segmentText(segment)}`)
    }
  }

  #debtText({ queue, ledger, stage }: RewriteDebt): string {
    if (queue.length === 0) return 'none'
    const economics = ledger.length === 0 ? ', queue-only' : ''
    const due =
      stage === null ? 'open' : `staged, due at ${(stage.dueAtMs - this.#startMs) / 1000} s`
    return `${idsText(queue)}${economics}, ${due}`
  }

  async end(): Promise<void> {
    expect((await this.engine.verify()).differences).toEqual([])
    await this.engine.close()
    const text = `${this.#lines.join('\n')}\n`
    await expect(text).toMatchFileSnapshot(path.join(GOLDEN, `${this.#name}.txt`))
  }
}

function shortName(id: SegmentId): string {
  return `l${(id >>> 23) & 0xff}-${id & 0x7fffff}`
}

function idsText(ids: readonly SegmentId[]): string {
  return `[${ids.map(shortName).join(' ')}]`
}

function segmentText(s: SegmentInfo): string {
  const kept = s.keptBy.map((k) => ('label' in k ? `${k.kind} '${k.label}'` : k.kind)).join(', ')
  const name = shortName(s.segmentId).padEnd(5)
  const bytes = `${s.bytesLive}/${s.bytesTotal}`.padStart(10)
  return `${name} ${s.state.padEnd(6)} ${bytes} live${kept === '' ? '' : `, kept by ${kept}`}`
}

function stepText(step: PassStep): string {
  switch (step.kind) {
    case 'plan': {
      const { sourceSegmentIds, ageBlockedSegments, candidates } = step.plan
      const cooling = candidates.filter((c) => c.verdict === 'penalty').map((c) => c.segmentId)
      const left = cooling.length === 0 ? '' : `, ${idsText(cooling)} cool down`
      return `plan: selected ${idsText(sourceSegmentIds)}, ${ageBlockedSegments} too young${left}`
    }
    case 'penalty':
      return `penalty: ${idsText(step.segmentIds)}, ${step.growthBytes} bytes grown`
    case 'rewrite':
      return `rewrite (${step.reason}): ${idsText(step.report.sourceSegmentsRequested)}, ${step.report.recordsCopied} records`
    case 'gc':
      return `gc: deleted ${idsText(step.report.deleted)}, kept ${idsText(step.report.segmentsKept)}`
    case 'stage':
      return `stage: ${idsText(step.segmentIds)} at ${step.minStaleRatio}`
    case 'prune_missing':
    case 'prune_quality':
    case 'consume':
      return `${step.kind}: ${idsText(step.segmentIds)}, ${step.remaining} remain`
    case 'confirm':
      return `confirm: ${idsText(step.segmentIds)} ${step.result}`
    case 'restage':
      return `restage: ${step.remaining} remain`
    default:
      return step.kind
  }
}

const staged = (story: Story): Promise<PassReport> =>
  story.engine.maintenance.stage({ minStaleRatio: 0.3 })

describe('stories', () => {
  test('kick with restage', async () => {
    const story = await Story.begin(
      'kick-with-restage',
      'Four segments are queued. A checkpoint kick rewrites one and puts the rest behind the delay.',
    )
    await story.fill(4, [4, 5, 6, 7])
    const plan = story.engine.maintenance.plan({ minStaleRatio: 0.3 })
    const debt = { queue: plan.sourceSegmentIds, ledger: plan.selected, stage: null }
    await story.engine.maintenance.setDebt(debt, 0.3)
    story.tell('four segments are queued')
    story.tell('a kick', await story.engine.maintenance.runPass('checkpoint_kick'))
    story.advance(10_000)
    story.tell('another kick, too early', await story.engine.maintenance.runPass('checkpoint_kick'))
    story.advance(25_000)
    const confirm = await story.engine.maintenance.runPass('rewrite_stage_confirm')
    story.tell('the delay is over', confirm)
    await story.end()
  })

  test('confirm', async () => {
    const story = await Story.begin(
      'confirm',
      'What a quiet periodic pass staged is executed when it is due, one segment a time.',
    )
    await story.fill(3, [4, 0, 6])
    story.advance(60_000)
    story.tell('a periodic pass stages', await story.engine.maintenance.runPass('periodic'))
    story.tell('too early', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    for (const title of ['the first', 'the second', 'nothing is left']) {
      story.advance(31_000)
      story.tell(title, await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    }
    await story.end()
  })

  test('confirm that fails', async () => {
    const story = await Story.begin(
      'confirm-that-fails',
      'Everything staged dies before it is due: the stage is cleared, and GC has the rest.',
    )
    await story.fill(2, [4, 4])
    story.tell('two are staged', await staged(story))
    for (let i = 0; i < 16; i++) await story.engine.delete(key(i))
    story.advance(31_000)
    story.tell('due', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    await story.end()
  })

  test('age-blocked', async () => {
    const story = await Story.begin(
      'age-blocked',
      'The only candidates are too young: nothing is staged until the first is old enough.',
      { minSegmentAgeMs: 60_000 },
    )
    await story.fill(2, [5, 6])
    story.advance(20_000)
    story.tell('too young', await story.engine.maintenance.runPass('periodic'))
    story.advance(41_000)
    story.tell('old enough', await story.engine.maintenance.runPass('rewrite_age_blocked'))
    await story.end()
  })

  test('pinned source', async () => {
    const story = await Story.begin(
      'pinned-source',
      'A snapshot keeps the rewritten segment: it is freed when the snapshot ends.',
    )
    await story.fill(2, [6, 6])
    const snapshot = story.engine.snapshot('nightly report')
    story.tell('two are staged', await staged(story))
    story.advance(31_000)
    const pass = await story.engine.maintenance.runPass('rewrite_stage_confirm')
    story.tell('the first is rewritten under a snapshot', pass)
    const freed = await snapshot.close()
    story.tell('the snapshot ends', `freed ${idsText(freed)}`)
    story.advance(60_000)
    story.tell('the next confirm', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    await story.end()
  })

  test('penalty', async () => {
    const story = await Story.begin(
      'penalty',
      'A rewrite that moves nothing is penalised: plans leave the segment out until more of it is stale, or time is over.',
      { penaltyCooldownMs: 600_000 },
    )
    await story.fill(2, [5, 5])
    const damaged = story.damage('value-l0-000001.log', [5, 6, 7])
    story.tell('two candidates', `all that lives in ${damaged} cannot be read`)
    story.advance(60_000)
    story.tell('a periodic pass stages', await story.engine.maintenance.runPass('periodic'))
    for (const title of ['the damaged one moves nothing', 'the other one pays']) {
      story.advance(31_000)
      story.tell(title, await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    }
    story.advance(31_000)
    const again = await story.engine.maintenance.stage({ minStaleRatio: 0.3 })
    story.tell('a plan leaves it out', again)
    await story.reopen()
    story.tell('after reopening')
    await story.engine.delete(key(5))
    await story.engine.checkpoint()
    story.advance(31_000)
    story.tell(
      'more of it is stale: readmitted',
      await story.engine.maintenance.runPass('periodic'),
    )
    story.advance(31_000)
    const confirm = await story.engine.maintenance.runPass('rewrite_stage_confirm')
    story.tell('nothing moves again', confirm)
    story.advance(599_000)
    story.tell('a second early', await story.engine.maintenance.runPass('periodic'))
    story.advance(31_000)
    story.tell('the time is over', await story.engine.maintenance.runPass('periodic'))
    await story.end()
  })

  test('missing segments', async () => {
    const story = await Story.begin(
      'missing-segments',
      'Two queued ids exist no more: they are pruned, and nothing is rewritten.',
    )
    await story.fill(1, [0])
    const gone = [0x80000000 + 70, 0x80000000 + 71]
    const observedAtMs = story.engine.gauges().nowMs
    await story.engine.maintenance.setDebt({
      queue: gone,
      ledger: gone.map((segmentId) => ({
        segmentId,
        bytesTotal: 8000,
        bytesLive: 2000,
        bytesStale: 6000,
        staleRatio: 0.75,
      })),
      stage: { observedAtMs, dueAtMs: observedAtMs + 30_000, minStaleRatio: 0.5 },
    })
    story.tell('two ids of segments that are gone')
    story.advance(31_000)
    story.tell('due', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    await story.end()
  })

  test('queue-only debt', async () => {
    const story = await Story.begin(
      'queue-only-debt',
      'Ids without economics are kept, executed in their order, and restaged like the rest.',
    )
    await story.fill(3, [2, 7, 4])
    const queue = story.engine
      .state()
      .segments.slice(0, 3)
      .map((s) => s.segmentId)
    await story.engine.maintenance.setDebt({ queue, ledger: [], stage: null })
    story.tell('three ids are queued')
    story.tell('a kick', await story.engine.maintenance.runPass('checkpoint_kick'))
    await story.reopen()
    story.tell('after reopening')
    story.advance(31_000)
    story.tell('due', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    await story.end()
  })

  test('reopen in each state', async () => {
    const story = await Story.begin(
      'reopen-in-each-state',
      'None, open, staged and due debt are the same after a reopening.',
    )
    await story.fill(3, [6, 5, 4])
    await story.reopen()
    story.tell('none')
    const plan = story.engine.maintenance.plan({ minStaleRatio: 0.3 })
    const debt = { queue: plan.sourceSegmentIds, ledger: plan.selected, stage: null }
    await story.engine.maintenance.setDebt(debt, 0.3)
    await story.reopen()
    story.tell('open')
    story.tell('a kick', await story.engine.maintenance.runPass('checkpoint_kick'))
    await story.reopen()
    story.tell('staged')
    story.advance(31_000)
    await story.reopen()
    story.tell('due')
    story.tell('confirm', await story.engine.maintenance.runPass('rewrite_stage_confirm'))
    await story.end()
  })
})
