/**
 * Phases of the node and the pause file (upstream's later line): what they hold back, and what runs when
 * they are over. Upstream's tests are named where one has the same scenario.
 */
import { describe, expect, test } from 'vitest'
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { MaintenancePhase } from '../../../engine/types.ts'
import { openFixture, temporaryFolder } from '../../support/engine-fixture.ts'
import {
  advance,
  debtOf,
  id,
  segment,
  settle,
  staged,
  T0,
  world,
  type FakeHost,
  QUEUE,
  THREE,
  CHECKPOINT,
} from './fake-host.ts'

/** The next rewrite waits until the answer is called. */
function holdRewrite(host: FakeHost): () => void {
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  host.onRewrite = () => held
  return release
}

describe('a phase other than steady', () => {
  test.each<MaintenancePhase>(['restore', 'catch_up'])(
    'holds ticks back, told once and counted each time (Maintenance_PeriodicSkipsWhenMaintenancePhaseNonSteady, %s)',
    async (phase) => {
      const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto', phase })
      await advance(host, 5_000)
      expect(host.types()).not.toContain('maintenance_active_acquire')
      expect(host.eventsOf('maintenance_skip')).toMatchObject([
        { reason: 'maintenance_phase', source: 'periodic' },
      ])
      expect(host.eventsOf('maintenance_skip')[0]?.text).toContain(phase)
      expect(scheduler.counters()).toMatchObject({ passes: 0, passSkipsPhase: 5 })
      expect(scheduler.info()).toMatchObject({ phase, pauseFile: null, state: 'idle' })
      scheduler.setPhase('steady')
      await advance(host, 1_000)
      expect(host.rewrites).toEqual([[id(3)]])
      expect(host.eventsOf('maintenance_phase_change')).toMatchObject([
        { from: phase, to: 'steady' },
      ])
    },
  )

  test('refuses kicks, also asked-for ones (Checkpoint_KickSkipsWhenMaintenancePhaseNonSteady)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto', phase: 'restore' })
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    const answer = await scheduler.kickFromCheckpoint()
    expect(answer).toEqual({
      pass: null,
      skipped: 'In the phase restore no pass starts by itself.',
    })
    expect(host.eventsOf('checkpoint_kick_skip').map((e) => e.reason)).toEqual([
      'maintenance_phase',
      'maintenance_phase',
    ])
    expect(host.rewrites).toEqual([])
    expect(scheduler.counters()).toMatchObject({ checkpointKicks: 0, checkpointKickSkips: 2 })
  })

  test('keeps a kick that waited for the slot (MaintenancePhaseSuppressionPreservesQueuedCheckpointKickRetry)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    const first = scheduler.runPass('periodic')
    await settle()
    scheduler.afterCheckpoint(CHECKPOINT)
    scheduler.setPhase('catch_up')
    release()
    await first
    await settle()
    expect(scheduler.info().checkpointKickPending).toBe(true)
    expect(host.rewrites).toHaveLength(1)
    expect(host.eventsOf('maintenance_skip')).toMatchObject([{ source: 'checkpoint_pending' }])
    scheduler.setPhase('steady')
    await settle()
    expect(host.rewrites).toEqual([[id(3)], [id(2)]])
    expect(scheduler.info().checkpointKickPending).toBe(false)
    expect(host.eventsOf('maintenance_active_acquire').at(-1)?.source).toBe('checkpoint_pending')
  })

  test('holds a due confirm back until it is steady again', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 29_000))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto', phase: 'restore' })
    await advance(host, 60_000)
    expect(host.rewrites).toEqual([])
    expect(host.eventsOf('maintenance_skip').map((e) => e.source)).toContain(
      'rewrite_stage_confirm',
    )
    scheduler.setPhase('steady')
    await advance(host, 1)
    expect(host.rewrites).toEqual([[id(3)]])
  })

  test('lets what is asked for run, and a running pass end', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    scheduler.setPhase('restore')
    release()
    await settle()
    expect(host.eventsOf('pass_done')).toMatchObject([{ report: { outcome: 'rewrote' } }])
    expect((await scheduler.rewrite([id(1)])).outcome).toBe('rewrote')
  })

  test('of a wrong name is refused, the same again is no change', async () => {
    const { host, scheduler } = await world(THREE)
    expect(() => scheduler.setPhase('later' as MaintenancePhase)).toThrow(
      /steady, restore, catch_up/,
    )
    scheduler.setPhase('steady')
    expect(host.eventsOf('maintenance_phase_change')).toEqual([])
  })
})

describe('a pause file', () => {
  test('holds ticks and kicks back while it is there, looked for at each', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      pauseFile: '/run/pause',
      prepare: (of) => (of.pauseFile = true),
    })
    scheduler.afterCheckpoint(CHECKPOINT)
    await advance(host, 3_000)
    expect(host.rewrites).toEqual([])
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'pause_file' }])
    expect(host.eventsOf('maintenance_skip')).toMatchObject([
      { reason: 'pause_file', source: 'periodic', text: 'Maintenance is paused by /run/pause.' },
    ])
    expect(scheduler.info().pauseFile).toEqual({
      file: '/run/pause',
      present: true,
      reason: null,
    })
    expect(scheduler.counters()).toMatchObject({ passSkipsPauseFile: 3, passSkipsPhase: 0 })
    host.pauseFile = false
    await advance(host, 2_000)
    expect(host.rewrites[0]).toEqual([id(3)])
    expect(scheduler.info().pauseFile).toEqual({
      file: '/run/pause',
      present: false,
      reason: null,
    })
  })

  test('that goes lets a due confirm run soon after, also without a loop', async () => {
    const { host } = await world(THREE, {
      debt: debtOf(QUEUE.ledger, staged(T0 - 29_000)),
      mode: 'auto',
      pauseFile: '/run/pause',
      maintenance: { disableLoop: true },
      prepare: (of) => (of.pauseFile = true),
    })
    await advance(host, 10_000)
    expect(host.rewrites).toEqual([])
    host.pauseFile = false
    await advance(host, 2_000)
    expect(host.rewrites).toEqual([[id(3)]])
  })

  test('is a file of any kind beside a real store; a folder that is not there has none', async () => {
    const file = path.join(temporaryFolder(), 'vlog.pause')
    const { engine } = await openFixture({ pauseFile: file, phase: 'steady' })
    expect((await engine.checkpointWithKick()).skipped).not.toMatch(/paused by/)
    fs.writeFileSync(file, '')
    const { skipped } = await engine.checkpointWithKick()
    expect(skipped).toBe(`Maintenance is paused by ${file}.`)
    fs.rmSync(file)
    expect((await engine.checkpointWithKick()).skipped).not.toBe(skipped)
    await engine.close()
  })
})

describe('a pause file that is put down by a request', () => {
  test('holds passes back at once, says why, and what waited runs when it is taken away', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      pauseFile: '/run/pause',
    })
    const put = await scheduler.setPauseFile('state sync until noon')
    expect(put).toEqual({ present: true, reason: 'state sync until noon' })
    expect(scheduler.info().pauseFile).toEqual({ file: '/run/pause', ...put })
    await advance(host, 3_000)
    expect(host.rewrites).toEqual([])
    const text = 'Maintenance is paused by /run/pause: state sync until noon.'
    expect(host.eventsOf('maintenance_skip')[0]).toMatchObject({ reason: 'pause_file', text })
    expect(await scheduler.setPauseFile(null)).toEqual({ present: false, reason: null })
    expect(scheduler.info().pauseFile?.present).toBe(false)
    await advance(host, 1_000)
    expect(host.rewrites[0]).toEqual([id(3)])
  })

  test('is refused where none is set, and by a closed store', async () => {
    const { scheduler } = await world(THREE)
    await expect(scheduler.setPauseFile('why')).rejects.toMatchObject({ code: 'ENGINE_OPTIONS' })
    const { scheduler: other } = await world(THREE, { pauseFile: '/run/pause' })
    await other.close()
    await expect(other.setPauseFile('why')).rejects.toMatchObject({ code: 'ENGINE_NOT_OPEN' })
  })

  test('is on disk with its line, outlives the store, and of a long or odd file only a line is told', async () => {
    const file = path.join(temporaryFolder(), 'vlog.pause')
    const { engine, dir } = await openFixture({ pauseFile: file })
    await engine.maintenance.setPauseFile('copying the folder')
    expect(fs.readFileSync(file, 'utf8')).toBe('copying the folder\n')
    await engine.close()
    const { engine: again } = await openFixture({ pauseFile: file }, { dir })
    expect(again.state().scheduler.pauseFile).toMatchObject({ present: true })
    const seen = async () => {
      await again.checkpointWithKick()
      return again.state().scheduler.pauseFile
    }
    expect(await seen()).toEqual({ file, present: true, reason: 'copying the folder' })
    fs.writeFileSync(file, `  ${'x'.repeat(300)}\nsecond line`)
    expect(await seen()).toMatchObject({ present: true, reason: 'x'.repeat(200) })
    fs.writeFileSync(file, Buffer.alloc(5_000, 'x'))
    expect(await seen()).toMatchObject({ present: true, reason: null })
    await again.maintenance.setPauseFile('')
    expect(await seen()).toMatchObject({ present: true, reason: null })
    await again.maintenance.setPauseFile(null)
    expect(fs.existsSync(file)).toBe(false)
    await again.maintenance.setPauseFile(null)
    await again.close()
  })

  test('that cannot be written is an error that says so, and the store goes on', async () => {
    const file = path.join(temporaryFolder(), 'no-such-folder', 'vlog.pause')
    const { engine } = await openFixture({ pauseFile: file })
    await expect(engine.maintenance.setPauseFile('why')).rejects.toMatchObject({
      code: 'ENGINE_IO',
    })
    expect((await engine.maintenance.runPass('periodic')).outcome).not.toBe('failed')
    await engine.close()
  })
})

test('a pause keeps the reason it was given until it is resumed', async () => {
  const { scheduler } = await world(THREE, { mode: 'auto' })
  scheduler.pause('a backup runs')
  expect(scheduler.info()).toMatchObject({ paused: true, pauseReason: 'a backup runs' })
  scheduler.setMode('step')
  expect(scheduler.info()).toMatchObject({ paused: true, pauseReason: 'a backup runs' })
  scheduler.pause()
  expect(scheduler.info()).toMatchObject({ paused: true, pauseReason: null })
  scheduler.resume()
  expect(scheduler.info()).toMatchObject({ paused: false, pauseReason: null })
})

describe('a busy store', () => {
  test('with nothing pending takes no slot at its ticks (Maintenance_PeriodicPreflightSkipsHotNoPending)', async () => {
    const { host } = await world([segment(1, 0.9)], { mode: 'auto' })
    const write = (): void => {
      host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() }
    }
    write()
    await advance(host, 1_000)
    const acquired = host.eventsOf('maintenance_active_acquire').length
    for (let i = 0; i < 20; i++) {
      write()
      await advance(host, 1_000)
    }
    // The first tick says why; the others only look.
    expect(acquired).toBe(1)
    expect(host.eventsOf('maintenance_active_acquire')).toHaveLength(1)
    expect(host.plans).toEqual([])
  })
})
