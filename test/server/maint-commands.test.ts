/**
 * `restage maint-once` and `restage exit-loop` as processes on real folders, among them the replays on
 * frozen copies that the source document reports.
 */
import { execFile, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { stopReasonOf, type ExitLoopReport } from '../../server/exit-loop-command.ts'
import type { MaintOnceReport } from '../../server/maint-once-command.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  openFixture,
  removeFolder,
  segmentFiles,
  temporaryFolder,
  value,
} from '../support/engine-fixture.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const MIB = 2 ** 20
const VALUE_BYTES = 64 * 1024
/** Values of one segment of 8 MiB. */
const PER_SEGMENT = 127

interface Ran {
  code: number
  out: string
  complaints: string
}

function restage(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...args],
      { maxBuffer: 64 * MIB },
      (error, out, complaints) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, out, complaints })
      },
    )
  })
}

async function maintOnce(dir: string, ...args: string[]): Promise<MaintOnceReport> {
  const { code, out, complaints } = await restage('maint-once', dir, '--rw', '--json', ...args)
  expect(complaints).toBe('')
  expect(code).toBe(0)
  return JSON.parse(out) as MaintOnceReport
}

/** Five sealed segments of 8 MiB, half of each stale, all five staged long ago. */
async function makeStaged(): Promise<string> {
  const { engine, dir, clock } = await openFixture({ segmentBytes: 8 * MIB, profile: 'fast' })
  const count = 5 * PER_SEGMENT
  for (let i = 0; i < count; i++) await engine.put(key(i), value(i, VALUE_BYTES))
  for (let i = 0; i < count; i += 2) await engine.delete(key(i))
  await engine.checkpoint()
  clock.advance(600_000)
  const sealed = engine
    .state()
    .segments.slice(0, 5)
    .map((s) => s.segmentId)
  const staged = await engine.maintenance.stage({ segmentIds: sealed, minStaleRatio: 0.3 })
  expect(staged.after.queue.length).toBe(5)
  await engine.close()
  return dir
}

let frozen = ''
beforeAll(async () => {
  frozen = await makeStaged()
}, 120_000)

const thaw = (): string => copyFolder(frozen, temporaryFolder())

function stateFile(dir: string): string {
  return path.join(dir, 'vlog_generation_state.json')
}

async function expectAllValues(dir: string): Promise<void> {
  const { engine } = await openFixture({}, { dir })
  for (let i = 0; i < 5 * PER_SEGMENT; i++) {
    const expected = i % 2 === 0 ? undefined : value(i, VALUE_BYTES)
    if (!bytesEqual(engine.get(key(i)), expected)) throw new Error(`key ${i} is wrong`)
  }
  expect((await engine.verify()).differences).toEqual([])
  await engine.close()
}

describe('frozen copies of the source document', () => {
  test('a staged confirm rewrites one of five segments, deletes it and restages the rest', async () => {
    const dir = thaw()
    const before = [...segmentFiles(dir).keys()].filter((name) => name.startsWith('value-l0-'))
    const report = await maintOnce(
      dir,
      ...['--mode', 'stage-confirm', '--disable-auto-deferred', '--wait-idle=2m'],
    )
    const { before_state, after_state, pass } = report
    expect(report).toMatchObject({ mode: 'stage-confirm', acquired: true })
    expect(before_state).toEqual(report.initial_state)
    expect(before_state.RewriteSourceFileIDs?.length).toBe(5)
    expect(before_state.RewriteStagePending).toBe(true)
    // Queue 5 -> 4, pending, observed later.
    expect(after_state.RewriteSourceFileIDs?.length).toBe(4)
    expect(after_state.RewriteDebtLedger?.length).toBe(4)
    expect(after_state.RewriteStagePending).toBe(true)
    expect(after_state.RewriteStageObservedAtNS).toBeGreaterThan(
      before_state.RewriteStageObservedAtNS,
    )
    // One rewrite, one segment of 8 MiB deleted, no planner asked.
    expect(pass?.outcome).toBe('rewrote')
    expect(pass?.steps.map((step) => step.kind)).not.toContain('plan')
    expect(pass?.steps.filter((step) => step.kind === 'rewrite').length).toBe(1)
    const [gc] = pass?.steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : [])) ?? []
    expect(gc?.deleted.length).toBe(1)
    expect(gc?.bytesDeleted).toBeGreaterThan(7.9 * MIB)
    expect(gc?.bytesDeleted).toBeLessThanOrEqual(8 * MIB)
    const after = [...segmentFiles(dir).keys()].filter((name) => name.startsWith('value-l0-'))
    expect(before.length - after.length).toBe(1)
    // The statistics tell the same, of the same two moments.
    const stat = (of: Record<string, string>, name: string): string | undefined =>
      of[`treedb.cache.vlog_generation.${name}`]
    const { before_stats, after_stats } = report
    for (const [name, from, to] of [
      ['rewrite.queue_len', '5', '4'],
      ['rewrite.stage_pending', 'true', 'true'],
      ['rewrite.runs', '0', '1'],
      ['gc.deleted_segments', '0', '1'],
      ['gc.deleted_bytes', '0', String(gc?.bytesDeleted)],
      ['scheduler_state', 'disabled', 'idle'],
      ['scheduler_last_reason', 'none', 'rewrite_resume'],
    ] as const) {
      expect([stat(before_stats, name), stat(after_stats, name)], name).toEqual([from, to])
    }
    expect(Object.keys(after_stats).every((key) => key.includes('vlog_generation'))).toBe(true)
    for (const io of [report.before_vlog_io, report.after_vlog_io]) {
      expect(Object.keys(io).length).toBe(5)
      expect(Object.keys(io).every((key) => key.startsWith('treedb.vlog.'))).toBe(true)
    }
    // The folder says the same to whoever opens it next.
    const saved = JSON.parse(fs.readFileSync(stateFile(dir), 'utf8')) as Record<string, unknown>
    expect(saved['rewrite_source_file_ids']).toEqual(after_state.RewriteSourceFileIDs?.map(String))
    expect(saved['rewrite_stage_pending']).toBe(true)
    await expectAllValues(dir)
    removeFolder(dir)
  }, 60_000)

  test('two queued ids that are gone are pruned, nothing is rewritten and the state is cleared', async () => {
    const dir = thaw()
    const gone = [0x80000000 + 900, 0x80000000 + 901].map(String)
    const state = JSON.parse(fs.readFileSync(stateFile(dir), 'utf8')) as {
      rewrite_debt_ledger: { file_id: string }[]
    }
    const ledger = state.rewrite_debt_ledger
      .slice(0, 2)
      .map((entry, i) => ({ ...entry, file_id: gone[i] }))
    fs.writeFileSync(
      stateFile(dir),
      JSON.stringify({ ...state, rewrite_source_file_ids: gone, rewrite_debt_ledger: ledger }),
    )
    const files = segmentFiles(dir)
    const { pass, ...report } = await maintOnce(
      dir,
      ...['--mode=stage-confirm', '--disable-auto-deferred', '--wait-idle=2m'],
    )
    expect(report.before_state.RewriteSourceFileIDs?.map(String)).toEqual(gone)
    expect(report.after_state).toEqual({
      RewriteSourceFileIDs: null,
      RewriteDebtLedger: null,
      RewriteStagePending: false,
      RewriteStageObservedAtNS: 0,
    })
    const [prune] = pass?.steps.filter((step) => step.kind === 'prune_missing') ?? []
    expect(prune).toMatchObject({ segmentIds: gone.map(Number), remaining: 0 })
    const kinds = pass?.steps.map((step) => step.kind)
    expect(kinds).not.toContain('rewrite')
    expect(kinds).not.toContain('plan')
    expect(fs.existsSync(stateFile(dir))).toBe(false)
    expect([...segmentFiles(dir).keys()]).toEqual([...files.keys()])
    removeFolder(dir)
  }, 60_000)

  test('F10: a seeded run has the old debt as initial and the seeded debt as before state', async () => {
    const dir = thaw()
    const report = await maintOnce(
      dir,
      ...['--mode', 'STAGE-CONFIRM', '--disable-auto-deferred', '--seed-from-plan'],
      ...['--seed-stage-pending', '--rewrite-max-segments=3', '--rewrite-min-stale-ratio=0.4'],
    )
    expect(report.initial_state.RewriteSourceFileIDs?.length).toBe(5)
    expect(report.before_state.RewriteSourceFileIDs?.length).toBe(3)
    expect(report.before_state.RewriteStagePending).toBe(true)
    expect(report.seeded_from_plan).toBe(true)
    expect(report.seed_plan).toMatchObject({ SegmentsSelected: 3 })
    expect(report.after_state.RewriteSourceFileIDs?.length).toBe(2)
    removeFolder(dir)
  }, 60_000)

  test('--clear-state empties the debt before the pass', async () => {
    const dir = thaw()
    const report = await maintOnce(dir, '--mode=stage-confirm', '--clear-state')
    expect(report.initial_state.RewriteSourceFileIDs?.length).toBe(5)
    expect(report.before_state.RewriteSourceFileIDs).toBeNull()
    expect(report.pass?.steps.map((step) => step.kind)).not.toContain('rewrite')
    removeFolder(dir)
  }, 60_000)
})

describe('maint-once', () => {
  test('F9: an observation in the future is refused', async () => {
    const ran = await restage(
      ...['maint-once', frozen, '--rw', '--seed-from-plan', '--seed-stage-pending'],
      '--seed-stage-observed-ago=-10s',
    )
    expect(ran.code).toBe(2)
    expect(ran.complaints).toContain('would lie in the future')
  })

  test('needs --rw, and refuses what excludes each other', async () => {
    const bare = await restage('maint-once', frozen)
    expect(bare).toMatchObject({ code: 2, out: '' })
    expect(bare.complaints).toContain('--rw')
    const both = await restage('maint-once', frozen, '--rw', '--seed-from-plan', '--clear-state')
    expect(both.complaints).toContain('exclude each other')
    const mode = await restage('maint-once', frozen, '--rw', '--mode', 'sometimes')
    expect(mode.complaints).toContain('periodic, checkpoint, stage-confirm, age-blocked')
    expect(fs.existsSync(path.join(frozen, 'maindb'))).toBe(true)
  })

  test('text has upstream lines, the gates and the sentence', async () => {
    const dir = thaw()
    const { code, out } = await restage(
      ...['maint-once', dir, '--rw', '--mode=stage-confirm', '--disable-auto-deferred'],
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^dir=.*\nmode=stage-confirm acquired=true seeded_from_plan=false\n/)
    expect(out).toMatch(/^timing_ms: open=\d+ seed=0 run=\d+ wait_idle=0 total=\d+$/m)
    expect(out).toMatch(/^before: queue=\[(\d+ ){4}\d+\] ledger=5 stage_pending=true /m)
    expect(out).toMatch(/^after: queue=\[(\d+ ){3}\d+\] ledger=4 stage_pending=true /m)
    expect(out).toMatch(/^stats:$/m)
    expect(out).toMatch(/^ {2}\S+\.rewrite\.runs=0 -> 1 \(delta=1\)$/m)
    expect(out).toMatch(/^ {2}\S+\.scheduler_last_reason="none" -> "rewrite_resume"$/m)
    expect(out).toMatch(/^pass: outcome=rewrote/m)
    expect(out).toMatch(/pass stage_due: /)
    removeFolder(dir)
  }, 60_000)

  test('F19: a profile that cannot be written is said before anything is done', async () => {
    const dir = thaw()
    const before = fs.readFileSync(stateFile(dir))
    const file = path.join(dir, 'absent', 'pass.cpuprofile')
    const { code, out, complaints } = await restage(
      ...['maint-once', dir, '--rw', '--mode', 'stage-confirm', '--cpuprofile', file],
    )
    expect(code).toBe(1)
    expect(out).toBe('')
    expect(complaints).toMatch(/ENGINE_IO: the CPU profile cannot be written to .*pass\.cpuprofile/)
    expect(fs.readFileSync(stateFile(dir))).toEqual(before)
    removeFolder(dir)
  }, 60_000)

  test('profiles of a pass are in the formats of V8', async () => {
    const dir = thaw()
    const cpu = path.join(temporaryFolder(), 'pass.cpuprofile')
    const allocations = path.join(path.dirname(cpu), 'pass.heapprofile')
    const profiles = ['--cpuprofile', cpu, '--cpuprofile-total', '--allocsprofile', allocations]
    await maintOnce(dir, '--mode', 'stage-confirm', ...profiles)
    const { nodes } = JSON.parse(fs.readFileSync(cpu, 'utf8')) as {
      nodes: { callFrame: { url: string } }[]
    }
    expect(nodes.some(({ callFrame }) => callFrame.url.endsWith('/rewrite.js'))).toBe(true)
    const { head } = JSON.parse(fs.readFileSync(allocations, 'utf8')) as { head: object }
    expect(head).toHaveProperty('children')
    const both = await restage(
      ...['maint-once', dir, '--rw', '--heapprofile', cpu, '--allocsprofile', allocations],
    )
    expect(both.code).not.toBe(0)
    expect(both.complaints).toMatch(/exclude each other/)
    removeFolder(dir)
    removeFolder(path.dirname(cpu))
  }, 60_000)

  test('Ctrl-C ends with 130 and leaves a whole folder that no one holds', async () => {
    const dir = thaw()
    const child = spawn(process.execPath, [
      ...[MAIN, 'exit-loop', dir, '--rw', '--min-reclaim-bytes=0', '--max-passes=50'],
    ])
    const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
    let complaints = ''
    child.stderr.on('data', (data: Buffer) => (complaints += data.toString()))
    // The first deletion: passes are under way.
    while (segmentFiles(dir).has('value-l0-000001.log') && child.exitCode === null) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    child.kill('SIGINT')
    expect(await exited).toBe(130)
    expect(complaints).toBe(
      'restage exit-loop: interrupted; the folder is whole, and what was done stays\n',
    )
    await expectAllValues(dir)
    removeFolder(dir)
  }, 60_000)
})

describe('exit-loop', () => {
  test('drains staged debt pass by pass until it stops paying', async () => {
    const dir = thaw()
    const { code, out } = await restage('exit-loop', dir, '--rw', '--json')
    expect(code).toBe(0)
    const report = JSON.parse(out) as ExitLoopReport
    expect(report.passes.slice(0, 5).map((p) => [p.queue_before, p.queue_after])).toEqual([
      [5, 4],
      [4, 3],
      [3, 2],
      [2, 1],
      [1, 0],
    ])
    expect(report.passes.every((p) => p.acquired)).toBe(true)
    expect(report.passes[0]?.reclaimed_bytes).toBeGreaterThan(3 * MIB)
    expect(report.total_reclaimed_bytes).toBe(report.initial_bytes - report.final_bytes)
    expect(report.total_reclaimed_bytes).toBeGreaterThan(15 * MIB)
    expect(report.stop_reason).toBe('low_reclaim')
    const runs = 'treedb.cache.vlog_generation.rewrite.runs'
    const { before_stats, after_stats, after_vlog_io } = report
    expect([before_stats[runs], after_stats[runs]]).toEqual(['0', '5'])
    expect(after_vlog_io).toHaveProperty(['treedb.vlog.mmap_read.fallback_readat'])
    await expectAllValues(dir)
    removeFolder(dir)
  }, 90_000)

  test('stops by upstream rules, in their order', () => {
    const rules = { maxPasses: 3, minReclaimBytes: 10, stopQueueNondecrease: true }
    const pass = {
      pass: 1,
      reclaimed_bytes: 10,
      queue_before: 2,
      queue_after: 1,
      pass_report: null,
    }
    expect(stopReasonOf(pass, rules)).toBeNull()
    expect(stopReasonOf({ ...pass, pass: 3, reclaimed_bytes: 0 }, rules)).toBe('max_passes')
    expect(stopReasonOf({ ...pass, reclaimed_bytes: 9, queue_after: 2 }, rules)).toBe('low_reclaim')
    expect(stopReasonOf({ ...pass, queue_after: 2 }, rules)).toBe('queue_nondecreasing')
    expect(stopReasonOf({ ...pass, queue_before: 0, queue_after: 2 }, rules)).toBeNull()
    expect(
      stopReasonOf({ ...pass, queue_after: 2 }, { ...rules, stopQueueNondecrease: false }),
    ).toBeNull()
  })
})
