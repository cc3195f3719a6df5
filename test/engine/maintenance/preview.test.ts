/**
 * A preview is the pass's own decision, not executed: for many states, each source, asked for and by
 * itself, what is foretold is what the pass that runs next reports.
 */
import { describe, expect, test } from 'vitest'
import type {
  MaintenanceOptions,
  MaintenancePreview,
  PassPreview,
  PassReport,
  SegmentInfo,
} from '../../../engine/types.ts'
import { key, openFixture, value } from '../../support/engine-fixture.ts'
import {
  advance,
  CHECKPOINT,
  debtOf,
  entry,
  type FakeHost,
  id,
  MIB,
  QUEUE,
  segment,
  settle,
  staged,
  T0,
  THREE,
  world,
} from './fake-host.ts'

type Setup = NonNullable<Parameters<typeof world>[1]>
type Asked = keyof MaintenancePreview['asked']

interface State {
  name: string
  segments?: SegmentInfo[]
  setup?: Setup
  /** After loading, before anything is foretold. */
  arrange?: (at: Awaited<ReturnType<typeof world>>) => Promise<void> | void
}

/** A record, so that none can be left out. */
const SOURCES = Object.keys({
  periodic: 0,
  checkpoint_kick: 0,
  checkpoint_pending: 0,
  rewrite_stage_confirm: 0,
  rewrite_stage_confirm_exit: 0,
  rewrite_age_blocked: 0,
  rewrite_age_blocked_exit: 0,
  rewrite_queue_pending: 0,
} satisfies Record<Asked, 0>) as Asked[]

const young = (seq: number, ageMs: number): SegmentInfo =>
  segment(seq, 0.9, { sealedAtMs: T0 - ageMs })
const dead = (seq: number): SegmentInfo => segment(seq, 1)
const pinned = segment(8, 1, {
  keptBy: [{ kind: 'snapshot', pinId: 1, label: 'a reader', sinceMs: T0 }],
  state: 'zombie',
})
const due = debtOf(QUEUE.ledger, staged(T0 - 60_000))
const queueOnly = { queue: [id(1), id(2), id(3)], ledger: [], stage: null }

function activity(changes: Partial<FakeHost['activity']>): Setup {
  return { prepare: (host) => (host.activity = { ...host.activity, ...changes }) }
}

const busy = activity({ lastWriteAtMs: T0 - 1_000 })
const options = (maintenance: Partial<MaintenanceOptions>, more: Setup = {}): Setup => ({
  ...more,
  maintenance,
})

const STATES: State[] = [
  { name: 'no segment at all', segments: [] },
  { name: 'everything live', segments: [segment(1, 0), segment(2, 0)] },
  { name: 'stale, nothing queued' },
  {
    name: 'one stale segment below the floor of kicks',
    segments: [segment(1, 0.9)],
    setup: options({ triggerTotalBytes: 4096 * MIB }),
  },
  { name: 'below the stale ratio', segments: [segment(1, 0.1), segment(2, 0.15)] },
  { name: 'open debt', setup: { debt: QUEUE } },
  { name: 'open debt without economics', setup: { debt: queueOnly } },
  { name: 'staged, not due', setup: { debt: debtOf(QUEUE.ledger, staged(T0)) } },
  { name: 'staged and due', setup: { debt: due } },
  { name: 'staged and due, restage off', setup: options({ restage: 'off' }, { debt: due }) },
  { name: 'staged and due, a_only', setup: options({ policy: 'a_only' }, { debt: due }) },
  { name: 'queued segments gone', segments: [segment(1, 0.6)], setup: { debt: QUEUE } },
  { name: 'queued and all gone, staged', segments: [segment(7, 0)], setup: { debt: due } },
  {
    name: 'queued and no longer worth it',
    segments: [segment(1, 0.1), segment(2, 0.1), segment(3, 0.8)],
    setup: { debt: QUEUE },
  },
  {
    name: 'staged and nothing of it worth it',
    segments: [segment(1, 0.1), segment(2, 0.1), segment(3, 0.1)],
    setup: { debt: due },
  },
  {
    name: 'queued and dead meanwhile',
    segments: [dead(1), dead(2), segment(3, 0.8)],
    setup: { debt: QUEUE },
  },
  {
    name: 'a zombie in the queue',
    segments: [...THREE, pinned],
    setup: { debt: debtOf([entry(1, 0.6), entry(8, 1)]) },
  },
  { name: 'writes a moment ago', setup: busy },
  { name: 'reads a moment ago', setup: activity({ lastReadAtMs: T0 - 100 }) },
  { name: 'open iterators', setup: activity({ openIterators: 2 }) },
  { name: 'no checkpoint yet', setup: activity({ checkpoints: 0 }) },
  { name: 'a checkpoint being written', setup: activity({ checkpointing: true }) },
  { name: 'writes in memory', setup: activity({ dirty: true }) },
  { name: 'dead segments', segments: [segment(1, 0), dead(2), dead(3)] },
  {
    name: 'dead segments and GC off',
    segments: [segment(1, 0), dead(2)],
    setup: options({ disableGc: true }),
  },
  {
    name: 'dead and too few bytes',
    segments: [segment(1, 0), dead(2)],
    setup: options({ gcMinBytes: 8 * MIB }),
  },
  { name: 'a dead segment that a reader keeps', segments: [segment(1, 0), pinned] },
  { name: 'too young', segments: [young(1, 1_000), segment(2, 0.1)] },
  {
    name: 'too young, and a retry waits',
    segments: [young(1, 18_000), segment(2, 0.1)],
    arrange: async ({ scheduler }) => {
      await scheduler.runPass('periodic')
    },
  },
  {
    name: 'too young, and the retry is due',
    segments: [young(1, 18_000), segment(2, 0.1)],
    arrange: async ({ host, scheduler }) => {
      await scheduler.runPass('periodic')
      host.clock.advance(12_000)
    },
  },
  { name: 'rewrites off, open debt', setup: options({ disableRewrite: true }, { debt: QUEUE }) },
  { name: 'rewrites off, nothing queued', setup: options({ disableRewrite: true }) },
  { name: 'both triggers off', setup: options({ triggerStaleRatio: 0 }) },
  { name: 'a big log', setup: options({ triggerTotalBytes: MIB, rewriteMinIntervalMs: 0 }) },
  {
    name: 'a big log of little debt',
    segments: [segment(1, 0.1), segment(2, 0.05)],
    setup: options({ triggerTotalBytes: MIB }),
  },
  {
    name: 'planned a moment ago',
    segments: [segment(1, 0.1), segment(2, 0.05)],
    arrange: async ({ scheduler }) => {
      await scheduler.runPass('periodic')
    },
  },
  {
    name: 'rewritten a moment ago, rest open',
    setup: options({ restage: 'off' }, { debt: QUEUE }),
    arrange: async ({ scheduler }) => {
      await scheduler.runPass('checkpoint_kick')
    },
  },
  {
    name: 'restaged a moment ago',
    setup: { debt: due },
    arrange: async ({ scheduler }) => {
      await scheduler.runPass('rewrite_stage_confirm')
    },
  },
  {
    name: 'an empty budget',
    setup: options(
      { rewriteBudgetBytesPerSec: 1, rewriteBudgetStartBytes: 0, triggerTotalBytes: 100 * MIB },
      { debt: QUEUE },
    ),
  },
  {
    name: 'a small budget, nothing queued',
    setup: options({
      rewriteBudgetBytesPerSec: 1,
      rewriteBudgetStartBytes: MIB / 4,
      triggerTotalBytes: 100 * MIB,
    }),
  },
  {
    name: 'the queue runner with a queue',
    setup: options({ policy: 'queue_runner', debtDrainMaxSegments: 2 }, { debt: QUEUE }),
  },
  { name: 'the queue runner without one', setup: options({ policy: 'queue_runner' }) },
  { name: 'kicks off', setup: options({ disableCheckpointKick: true }, { debt: QUEUE }) },
  {
    name: 'kicked a moment ago',
    setup: options({ checkpointKickMinIntervalMs: 60_000 }, { debt: QUEUE }),
    arrange: async ({ scheduler }) => {
      await scheduler.kickFromCheckpoint()
    },
  },
  {
    name: 'paused',
    setup: { debt: QUEUE },
    arrange: ({ scheduler }) => scheduler.pause('a backup'),
  },
  { name: 'a phase of the node', setup: { debt: QUEUE, phase: 'restore' } },
  {
    name: 'a pause file',
    setup: { debt: QUEUE, pauseFile: '/run/pause', prepare: (host) => (host.pauseFile = true) },
  },
  { name: 'no loop', setup: options({ disableLoop: true }, { debt: QUEUE }) },
  { name: 'nothing deferred', setup: options({ disableAutoDeferred: true }, { debt: due }) },
  {
    name: 'a segment that cools down',
    arrange: async ({ host, scheduler }) => {
      // A rewrite after which nothing has moved is penalised.
      host.onRewrite = () => {
        host.list = [...host.list, segment(20, 0, { bytesTotal: 64 * MIB })]
        return Promise.resolve()
      }
      await scheduler.rewrite([id(3)])
      host.onRewrite = () => Promise.resolve()
    },
  },
]

async function arranged(state: State, mode: 'auto' | 'step') {
  const at = await world(state.segments ?? THREE, { mode, ...state.setup })
  await state.arrange?.(at)
  return at
}

/** What both of them tell. */
function foretoldBy(preview: PassPreview, gates: number) {
  const { source, outcome, blockedBy, dropped, staged: chosen, rewritten, bytesCopied } = preview
  const { deleted, queueAfter, stagedAfter } = preview
  return {
    source,
    outcome,
    blockedBy,
    gates: preview.gates.slice(0, gates),
    dropped,
    staged: chosen,
    rewritten,
    bytesCopied,
    deleted: rewritten.length > 0 ? [] : deleted,
    queueAfter,
    stagedAfter,
  }
}

function reportedBy(report: PassReport, gates: number) {
  const ids = (pick: (step: PassReport['steps'][number]) => number[]) => report.steps.flatMap(pick)
  const rewritten = ids((s) => (s.kind === 'rewrite' ? s.report.sourceSegmentsRequested : []))
  return {
    source: report.source,
    outcome: report.outcome,
    blockedBy: report.blockedBy,
    // After a rewrite come the gates of GC and vacuum, which look at what it did.
    gates: report.gates.slice(0, gates),
    dropped: ids((s) =>
      s.kind === 'prune_missing' || s.kind === 'prune_quality' || s.kind === 'refresh'
        ? s.segmentIds
        : [],
    ),
    staged: ids((s) => (s.kind === 'stage' ? s.segmentIds : [])),
    rewritten,
    bytesCopied: report.steps.reduce(
      (sum, s) => sum + (s.kind === 'rewrite' ? s.report.bytesRead : 0),
      0,
    ),
    deleted: rewritten.length > 0 ? [] : ids((s) => (s.kind === 'gc' ? s.report.deleted : [])),
    queueAfter: report.after.queue,
    stagedAfter: report.after.stage !== null,
  }
}

function expectSame(preview: PassPreview, report: PassReport): void {
  const gates = report.outcome === 'rewrote' ? preview.gates.length : Infinity
  expect(reportedBy(report, gates)).toEqual(foretoldBy(preview, gates))
  if (
    report.outcome === 'nothing_to_do' &&
    preview.dropped.length === 0 &&
    report.steps.every((s) => s.kind !== 'confirm')
  ) {
    expect(preview.sentence).toBe(report.sentence)
  }
  if (report.outcome === 'blocked') {
    const why = report.sentence.replace('Nothing done: ', '')
    expect(preview.sentence.toLowerCase()).toContain(why.toLowerCase())
  }
}

describe.each(STATES)('$name', (state) => {
  test.each(SOURCES)('%s asked for comes to what was foretold', async (source) => {
    const { host, scheduler } = await arranged(state, 'step')
    const events = host.events.length
    const preview = (await scheduler.preview()).asked[source]
    expect(host.events.length).toBe(events)
    expect(host.rewrites).toHaveLength(scheduler.counters().rewriteRuns)
    expectSame(preview, await scheduler.runPass(source))
  })

  test('a kick that follows from a checkpoint comes to what was foretold', async () => {
    const { host, scheduler } = await arranged(state, 'step')
    const { checkpoint } = await scheduler.preview()
    if (host.activity.dirty) host.activity = { ...host.activity, checkpoints: 2, dirty: false }
    const { pass, skipped } = await scheduler.kickFromCheckpoint()
    if (pass !== null) {
      expectSame(checkpoint, pass)
      return
    }
    expect(checkpoint.outcome).toBeNull()
    expect(checkpoint.sentence.toLowerCase()).toBe(`no pass: ${skipped ?? ''}`.toLowerCase())
  })

  test.each([false, true])(
    'in auto mode the kick of a checkpoint does (writes wait: %s)',
    async (dirty) => {
      const { host, scheduler } = await arranged(state, 'auto')
      await settle()
      const reports = () => host.eventsOf('pass_done').map((event) => event.report)
      const before = reports().length
      host.activity = { ...host.activity, dirty }
      const { wakes, checkpoint } = await scheduler.preview()
      const byItself = wakes.at(-1)
      expect(byItself).toMatchObject({ on: 'checkpoint', atMs: null })
      // As the engine's checkpoint does: published, then its own kick, then the one that was asked for.
      const { checkpoints } = host.activity
      host.activity = { ...host.activity, checkpoints: checkpoints + (dirty ? 1 : 0), dirty: false }
      if (dirty) scheduler.afterCheckpoint(CHECKPOINT)
      const { pass, skipped } = await scheduler.kickFromCheckpoint()
      if (dirty && byItself?.pass.outcome === null) {
        const [skip] = host.eventsOf('checkpoint_kick_skip').slice(skipped === null ? -1 : -2)
        expect(byItself.pass.sentence.toLowerCase()).toBe(
          `no pass: ${skip?.text ?? ''}`.toLowerCase(),
        )
      }
      if (pass === null) {
        expect(checkpoint.outcome).toBeNull()
        return
      }
      expectSame(checkpoint, pass)
      if (dirty && byItself !== undefined && byItself.pass.outcome !== null)
        expectSame(byItself.pass, pass)
      expect(reports().length).toBeGreaterThan(before)
    },
  )

  test('in auto mode the pass that comes first by itself does', async () => {
    const { host, scheduler } = await arranged(state, 'auto')
    await settle()
    const [next] = (await scheduler.preview()).wakes
    if (next === undefined || next.on === 'checkpoint') {
      // Nothing starts by itself, and nothing does.
      const passes = host.eventsOf('pass_done').length
      await advance(host, 5_000)
      expect(host.eventsOf('pass_done')).toHaveLength(passes)
      return
    }
    const { atMs } = next
    if (atMs === null) throw new Error('a wake of the loop has a time')
    const passes = host.eventsOf('pass_done').length
    const waitMs = atMs - host.clock.now()
    if (waitMs > 1) {
      await advance(host, waitMs - 1, waitMs - 1)
      expect(host.eventsOf('pass_done')).toHaveLength(passes)
    }
    host.clock.advance(atMs - host.clock.now())
    await settle()
    const report = host.eventsOf('pass_done')[passes]?.report
    if (report === undefined) {
      // A tick that has nothing new to say makes no pass; it must then have been foretold as idle.
      expect(['blocked', 'nothing_to_do']).toContain(next.pass.outcome)
      return
    }
    expectSame(next.pass, report)
  })
})

describe('a preview', () => {
  test('of a slot that is taken names the pass that has it', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    let release: () => void = () => undefined
    host.onRewrite = () => new Promise((resolve) => (release = resolve))
    const running = scheduler.runPass('periodic')
    await settle()
    const { asked, wakes, checkpoint } = await scheduler.preview()
    expect(asked.periodic).toMatchObject({
      outcome: null,
      blockedBy: 'slot_free',
      sentence: 'No pass: pass 1 (periodic) holds the slot.',
    })
    expect(checkpoint).toMatchObject({ outcome: null, blockedBy: 'slot_free' })
    expect(wakes.map(({ on }) => on)).toEqual(['checkpoint'])
    await expect(scheduler.runPass('periodic')).rejects.toThrow('periodic pass is running')
    release()
    await running
  })

  test('makes one plan for all sources that need the same, and one more for each later time', async () => {
    const { host, scheduler } = await world(THREE)
    await scheduler.preview()
    expect(host.plans).toHaveLength(1)
    const auto = await world(THREE, { mode: 'auto' })
    await auto.scheduler.preview()
    expect(auto.host.plans).toHaveLength(2)
  })

  test('is of one moment, whatever happens while its plans are made', async () => {
    const { host, scheduler } = await world(THREE)
    const before = (await scheduler.preview()).asked.periodic
    host.onPlan = () => {
      host.list = [segment(9, 0)]
      return Promise.resolve()
    }
    expect((await scheduler.preview()).asked.periodic).toEqual(before)
  })

  test('looks for the pause file and tells nobody', async () => {
    const { host, scheduler } = await world(THREE, { pauseFile: '/run/pause', mode: 'auto' })
    host.pauseFile = true
    host.pauseReason = 'state sync'
    const { wakes } = await scheduler.preview()
    expect(wakes.map(({ on }) => on)).toEqual(['checkpoint'])
    expect(wakes[0]?.pass.sentence).toBe(
      'No pass: maintenance is paused by /run/pause: state sync.',
    )
    expect(scheduler.info().pauseFile).toMatchObject({ present: false })
    expect(host.eventsOf('scheduler_changed').filter((e) => 'pauseFile' in e.scheduler)).toEqual([])
  })

  test('of the real engine is what its checkpoint then does', async () => {
    const { engine } = await openFixture({
      mode: 'step',
      segmentBytes: 8 * 1024,
      maintenance: {
        triggerTotalBytes: 0,
        minSegmentAgeMs: 0,
        gcMinBytes: 0,
        checkpointKickMinIntervalMs: 0,
      },
    })
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < 24; n += 1) await engine.put(key(n), value(n + 100 * round, 1000))
      const { checkpoint } = await engine.maintenance.preview()
      const { pass } = await engine.checkpointWithKick()
      if (pass === null) throw new Error('a kick runs a pass')
      const { outcome, gates, staged: chosen, deleted } = checkpoint
      expect(gates).toEqual(pass.gates)
      expect(outcome).toBe(pass.outcome)
      const stagedNow = pass.steps.flatMap((s) => (s.kind === 'stage' ? s.segmentIds : []))
      expect(chosen).toEqual(stagedNow)
      expect(deleted).toEqual(pass.steps.flatMap((s) => (s.kind === 'gc' ? s.report.deleted : [])))
    }
    await engine.close()
  })
})
