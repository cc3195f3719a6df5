/** `restage exit-loop DIR --rw`: repeats the exit pass until it stops paying. */
import * as path from 'node:path'
import { Option, type Command } from 'commander'
import {
  EXIT_FAILED,
  EXIT_OK,
  INTERRUPTED,
  parseBytes,
  parseCount,
  parseDir,
  parsePastMs,
  parsePositive,
  parseRatio,
  parseSwitch,
  runGuarded,
  withEngine,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import { EngineError, nodeFileSystem, RECORDING_FOLDER } from './engine-door.ts'
import type { Engine } from './engine-door.ts'
import { runOne, seedFromPlan, sessionOptions, waitIdle } from './maint-support.ts'
import type { PassOutcome, PassReport } from './protocol.ts'
import { statLines, upstreamStats } from './upstream-shapes.ts'

interface ExitLoopOptions {
  rw: boolean
  rewritePlanTimeout: number
  waitIdle: number
  maxPasses: number
  minReclaimBytes: number
  stopQueueNondecrease: boolean
  reseedFromPlanWhenIdle: boolean
  reseedMaxSegments: number
  reseedMaxBytes: number
  reseedMinStaleRatio: number
  reseedMinStaleBytes: number
  rewriteBudgetTokens: number
  reseedStageObservedAgo: number
  maxReseeds: number
  json: boolean
}

/** Key names of upstream's report; `pass_report` is an addition. */
export interface ExitLoopPass {
  pass: number
  acquired: boolean
  before_bytes: number
  after_bytes: number
  /** Negative when the folder grew. */
  reclaimed_bytes: number
  queue_before: number
  /** After a reseed, if there was one. */
  queue_after: number
  stage_before: boolean
  stage_after: boolean
  run_millis: number
  wait_idle_millis: number
  total_millis: number
  reseeded?: true
  reseed_selected?: number
  /** null when another pass held the slot. */
  pass_report: PassReport | null
}

export type StopReason = 'max_passes' | 'low_reclaim' | 'queue_nondecreasing' | 'completed'

export interface ExitLoopReport {
  dir: string
  max_passes: number
  min_reclaim_bytes: number
  stop_queue_nondecrease: boolean
  initial_bytes: number
  final_bytes: number
  total_reclaimed_bytes: number
  stop_reason: StopReason | 'interrupted'
  passes: ExitLoopPass[]
  /** As in `maint-once`, before the first pass and after the last; an addition to upstream's report. */
  before_stats: Record<string, string>
  after_stats: Record<string, string>
  before_vlog_io: Record<string, string>
  after_vlog_io: Record<string, string>
}

export function addExitLoopCommand(program: Command, onRun: (run: CommandRun) => void): void {
  const MIB = 2 ** 20
  program
    .command('exit-loop')
    .description('repeat the exit pass on a data folder until it stops paying; for copies')
    .argument('<dir>', 'data folder', parseDir)
    .option('--rw', 'yes, write to this folder; required', false)
    .option(
      '--disable-auto-deferred [on]',
      "said to upstream's tool; here no pass follows from another whatever it says",
      parseSwitch,
      true,
    )
    .option('--rewrite-plan-timeout <duration>', 'longest plan, 0 = default', parsePastMs, 0)
    .addOption(
      new Option('--wait-idle <duration>', 'longest wait after a pass')
        .argParser(parsePastMs)
        .default(180_000, '3m'),
    )
    .option('--max-passes <n>', 'end after this many', parsePositive, 7)
    .option('--min-reclaim-bytes <bytes>', 'end when a pass frees less', parseBytes, MIB)
    .option('--stop-queue-nondecrease [on]', 'end when the queue stays long', parseSwitch, true)
    .option(
      '--reseed-from-plan-when-idle [on]',
      'plan anew when nothing is queued',
      parseSwitch,
      true,
    )
    .option('--reseed-max-segments <n>', 'cap of such a plan', parseCount, 64)
    .option('--reseed-max-bytes <bytes>', 'its live-byte cap', parseBytes, 8 * 1024 * MIB)
    .option('--reseed-min-stale-ratio <ratio>', 'its floor', parseRatio, 0.5)
    .option('--reseed-min-stale-bytes <bytes>', 'its floor', parseBytes, 1)
    .option('--rewrite-budget-tokens <bytes>', 'write budget of each pass', parseBytes, 2048 * MIB)
    .addOption(
      new Option('--reseed-stage-observed-ago <duration>', 'age of a reseeded stage')
        .argParser(parsePastMs)
        .default(31_000, '31s'),
    )
    .option('--max-reseeds <n>', 'plans at most', parseCount, 1)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nStops for the first that holds of: max_passes, low_reclaim, queue_nondecreasing, completed\n' +
        '(nothing is queued, no plan is left and the pass did nothing; seen with --min-reclaim-bytes 0).\n' +
        'Within the loop staged debt is due at once. Bytes are those of the folder without its recording.\n' +
        '\nExit codes: 0 the loop ended by its rules, 1 a pass failed or the folder could not be\n' +
        'opened, 2 a wrong command line, 130 interrupted, with the folder whole.\n',
    )
    .action((dir: string, options: ExitLoopOptions, command: Command) => {
      if (!options.rw) command.error('error: this writes to the folder; say so with --rw')
      onRun((output, context) => runExitLoop(dir, options, output, context))
    })
}

/** What a pass comes to when it finds nothing to act on. */
const IDLE_OUTCOMES: ReadonlySet<PassOutcome | undefined> = new Set(['nothing_to_do', 'blocked'])

/**
 * shouldStopVlogMaintExitLoop, the rules in their order, and then the end of the work; null = go on. Asked
 * when no plan found anything: what a pass could not do with an empty queue the next one cannot either.
 */
export function stopReasonOf(
  pass: Pick<
    ExitLoopPass,
    'pass' | 'reclaimed_bytes' | 'queue_before' | 'queue_after' | 'pass_report'
  >,
  rules: Pick<ExitLoopOptions, 'maxPasses' | 'minReclaimBytes' | 'stopQueueNondecrease'>,
): StopReason | null {
  if (pass.pass >= rules.maxPasses) return 'max_passes'
  if (pass.reclaimed_bytes < rules.minReclaimBytes) return 'low_reclaim'
  const grew = pass.queue_before > 0 && pass.queue_after >= pass.queue_before
  if (rules.stopQueueNondecrease && grew) return 'queue_nondecreasing'
  const isIdle = pass.queue_after === 0 && IDLE_OUTCOMES.has(pass.pass_report?.outcome)
  return isIdle ? 'completed' : null
}

function runExitLoop(
  dir: string,
  options: ExitLoopOptions,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const { signal } = context
  const how = { output, signal, interrupted: INTERRUPTED.worked }
  return runGuarded('exit-loop', how, async () => {
    const engineOptions = sessionOptions({
      // As upstream's loop suppresses what follows: a pass that is not in the report is none of its.
      disableAutoDeferred: true,
      planTimeoutMs: options.rewritePlanTimeout,
      confirmDelayMs: 0,
    })
    const report = await withEngine(dir, { options: engineOptions, output, signal }, (engine) =>
      loop(engine, { dir, options, output, signal }),
    )
    output.progress?.('')
    output.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : textOf(report))
    if (signal.aborted) throw new EngineError('ENGINE_ABORTED', 'interrupted')
    const failed = report.passes.some((pass) => pass.pass_report?.outcome === 'failed')
    return failed ? EXIT_FAILED : EXIT_OK
  })
}

interface LoopContext {
  dir: string
  options: ExitLoopOptions
  output: CommandOutput
  signal: AbortSignal
}

async function loop(engine: Engine, context: LoopContext): Promise<ExitLoopReport> {
  const { dir, options, output, signal } = context
  await engine.checkpoint()
  const before = upstreamStats(engine)
  const report: ExitLoopReport = {
    dir,
    max_passes: options.maxPasses,
    min_reclaim_bytes: options.minReclaimBytes,
    stop_queue_nondecrease: options.stopQueueNondecrease,
    initial_bytes: storeBytes(engine),
    final_bytes: 0,
    total_reclaimed_bytes: 0,
    stop_reason: 'completed',
    passes: [],
    before_stats: before.stats,
    after_stats: {},
    before_vlog_io: before.vlogIo,
    after_vlog_io: {},
  }
  let reseeds = 0
  for (let number = 1; number <= options.maxPasses; number++) {
    if (signal.aborted) break
    output.progress?.(`pass ${number} of at most ${options.maxPasses}`)
    const pass = await onePass(engine, number, context)
    report.passes.push(pass)
    if (
      reseeds < options.maxReseeds &&
      number < options.maxPasses &&
      (await reseed(engine, pass, options))
    ) {
      // A loop that has just found new work is not measured by the pass before it.
      reseeds += 1
      continue
    }
    const stop = stopReasonOf(pass, options)
    if (stop === null) continue
    report.stop_reason = stop
    break
  }
  if (signal.aborted) report.stop_reason = 'interrupted'
  report.final_bytes = storeBytes(engine)
  report.total_reclaimed_bytes = report.initial_bytes - report.final_bytes
  const after = upstreamStats(engine)
  report.after_stats = after.stats
  report.after_vlog_io = after.vlogIo
  return report
}

async function onePass(
  engine: Engine,
  number: number,
  context: LoopContext,
): Promise<ExitLoopPass> {
  const { options, signal } = context
  const debt = engine.state().debt
  const before = storeBytes(engine)
  const begun = performance.now()
  const pass = await runOne(engine, 'rewrite_stage_confirm_exit', {
    budgetTokensBytes: options.rewriteBudgetTokens,
  })
  const ran = performance.now()
  if (options.waitIdle > 0 && !signal.aborted) await waitIdle(engine, options.waitIdle, signal)
  const ended = performance.now()
  const after = storeBytes(engine)
  const left = engine.state().debt
  return {
    pass: number,
    acquired: pass !== null,
    before_bytes: before,
    after_bytes: after,
    reclaimed_bytes: before - after,
    queue_before: debt.queue.length,
    queue_after: left.queue.length,
    stage_before: debt.stage !== null,
    stage_after: left.stage !== null,
    run_millis: Math.round(ran - begun),
    wait_idle_millis: Math.round(ended - ran),
    total_millis: Math.round(ended - begun),
    pass_report: pass,
  }
}

/** With nothing queued, a fresh plan becomes staged debt, dated in the past. false = nothing was found. */
async function reseed(
  engine: Engine,
  pass: ExitLoopPass,
  options: ExitLoopOptions,
): Promise<boolean> {
  if (!options.reseedFromPlanWhenIdle || pass.queue_after > 0) return false
  const plan = await seedFromPlan(engine, {
    filters: {
      maxSegments: options.reseedMaxSegments,
      maxLiveBytes: options.reseedMaxBytes,
      minStaleRatio: options.reseedMinStaleRatio,
      minStaleBytes: options.reseedMinStaleBytes,
    },
    stagePending: true,
    observedAgoMs: options.reseedStageObservedAgo,
  })
  if (plan.sourceSegmentIds.length === 0) return false
  const { debt } = engine.state()
  pass.reseeded = true
  pass.reseed_selected = plan.sourceSegmentIds.length
  pass.queue_after = debt.queue.length
  pass.stage_after = debt.stage !== null
  return true
}

/**
 * Sum of file sizes below the store's folder (dirLogicalSizeBytes), without its recording: that grows by
 * the events of the very passes that are measured.
 */
function storeBytes(engine: Engine): number {
  const root = engine.info.dir
  const names = nodeFileSystem.list(root) ?? []
  return names
    .filter((name) => name !== RECORDING_FOLDER)
    .reduce((sum, name) => sum + bytesOf(path.join(root, name)), 0)
}

function bytesOf(file: string): number {
  const stat = nodeFileSystem.stat(file)
  if (stat?.isDirectory !== true) return stat?.isFile === true ? stat.size : 0
  const names = nodeFileSystem.list(file) ?? []
  return names.reduce((sum, name) => sum + bytesOf(path.join(file, name)), 0)
}

// ---------------------------------------------------------------- text for people

function textOf(report: ExitLoopReport): string {
  const lines = [
    `dir=${report.dir}`,
    `initial_bytes=${report.initial_bytes} final_bytes=${report.final_bytes} ` +
      `reclaimed_bytes=${report.total_reclaimed_bytes} stop_reason=${report.stop_reason}`,
  ]
  for (const pass of report.passes) {
    lines.push(
      `pass=${pass.pass} acquired=${pass.acquired} reseeded=${pass.reseeded === true} ` +
        `reseed_selected=${pass.reseed_selected ?? 0} timing_ms: run=${pass.run_millis} ` +
        `wait_idle=${pass.wait_idle_millis} total=${pass.total_millis} ` +
        `bytes=${pass.before_bytes}->${pass.after_bytes} reclaim=${pass.reclaimed_bytes} ` +
        `queue=${pass.queue_before}->${pass.queue_after} stage=${pass.stage_before}->${pass.stage_after}`,
    )
  }
  lines.push(...statLines(report.before_stats, report.after_stats))
  return `${lines.join('\n')}\n`
}
