/** `restage maint-once DIR --rw`: one maintenance pass on a copied folder, and what it did. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import {
  EXIT_FAILED,
  EXIT_OK,
  INTERRUPTED,
  parseBytes,
  parseCount,
  parseDir,
  parsePastMs,
  parseRatio,
  runGuarded,
  withEngine,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import { EngineError } from './engine-door.ts'
import type { Engine } from './engine-door.ts'
import { runOne, seedFromPlan, sessionOptions, waitIdle } from './maint-support.ts'
import { filtersOf } from './plan-command.ts'
import { openProfiles, type Profiles } from './profiling.ts'
import type { PassReport, PassSource, RewritePlan } from './protocol.ts'
import {
  statLines,
  upstreamPlan,
  upstreamState,
  upstreamStats,
  type UpstreamState,
} from './upstream-shapes.ts'

/** Upstream's modes and the sources of their passes (valueLogMaintModeOptions). */
const SOURCES = {
  periodic: 'periodic',
  checkpoint: 'checkpoint_pending',
  'stage-confirm': 'rewrite_stage_confirm',
  'age-blocked': 'rewrite_age_blocked',
} as const satisfies Record<string, Exclude<PassSource, 'manual'>>

type Mode = keyof typeof SOURCES

interface MaintOnceOptions {
  rw: boolean
  mode: Mode
  seedFromPlan: boolean
  clearState: boolean
  disableAutoDeferred: boolean
  rewritePlanTimeout: number
  waitIdle: number
  seedStagePending: boolean
  seedStageObservedAgo: number
  rewriteMaxSegments: number
  rewriteMaxBytes: number
  rewriteMinStaleRatio: number
  rewriteMinStaleBytes: number
  cpuprofile?: string
  cpuprofileTotal: boolean
  heapprofile?: string
  allocsprofile?: string
  json: boolean
}

/** Key names of upstream's report; `initial_state` and `pass` are additions. */
export interface MaintOnceReport {
  dir: string
  mode: Mode
  /** The pass had the slot. */
  acquired: boolean
  open_millis?: number
  seed_millis?: number
  run_millis?: number
  wait_idle_millis?: number
  total_millis?: number
  seeded_from_plan?: true
  seed_plan?: Record<string, unknown>
  /** As the folder was opened. */
  initial_state: UpstreamState
  /** As the pass found it: after seeding or clearing (F10). */
  before_state: UpstreamState
  after_state: UpstreamState
  /** Upstream's statistics under `treedb.cache.vlog_generation.`, at the same moments as the states. */
  before_stats: Record<string, string>
  after_stats: Record<string, string>
  /** Those of reading the value log. */
  before_vlog_io: Record<string, string>
  after_vlog_io: Record<string, string>
  /** null when the slot was taken. */
  pass: PassReport | null
}

export function addMaintOnceCommand(program: Command, onRun: (run: CommandRun) => void): void {
  program
    .command('maint-once')
    .description('run one maintenance pass on a data folder and report it; for copies')
    .argument('<dir>', 'data folder', parseDir)
    .option('--rw', 'yes, write to this folder; required', false)
    .option(
      '--mode <mode>',
      `what wakes the pass: ${Object.keys(SOURCES).join(', ')}`,
      parseMode,
      'checkpoint',
    )
    .option('--seed-from-plan', 'make a fresh plan the queue first', false)
    .option('--clear-state', 'empty queue and ledger first', false)
    .option('--disable-auto-deferred', 'no pass follows from this one', false)
    .option('--rewrite-plan-timeout <duration>', 'longest plan, 0 = default', parsePastMs, 0)
    .option('--wait-idle <duration>', 'longest wait until maintenance is idle', parsePastMs, 0)
    .option('--seed-stage-pending', 'the seeded queue is staged', false)
    .addOption(
      new Option('--seed-stage-observed-ago <duration>', 'how far in the past it was staged')
        .argParser(parsePastMs)
        .default(31_000, '31s'),
    )
    .option('--rewrite-max-segments <n>', 'cap of the seed plan, 0 = none', parseCount, 0)
    .option('--rewrite-max-bytes <bytes>', 'live-byte cap of the seed plan', parseBytes, 0)
    .option('--rewrite-min-stale-ratio <ratio>', 'floor of the seed plan', parseRatio, 0)
    .option('--rewrite-min-stale-bytes <bytes>', 'floor of the seed plan', parseBytes, 0)
    .option('--cpuprofile <file>', 'write a CPU profile of the pass there')
    .option('--cpuprofile-total', 'the CPU profile goes on until maintenance is idle', false)
    .option('--heapprofile <file>', 'write there what is on the heap at the end')
    .option('--allocsprofile <file>', 'write there all that was allocated')
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nDurations have a unit: 31s, 2m, 1500ms. Profiles are in V8 formats (.cpuprofile, .heapprofile).\n' +
        '\nExit codes: 0 the pass ran, whatever it decided; 1 it failed, found the slot taken, was\n' +
        'not idle in time (--wait-idle), or the folder could not be opened; 2 a wrong command line; 130 interrupted, with the folder whole.\n',
    )
    .action((dir: string, options: MaintOnceOptions, command: Command) => {
      const problem =
        problemOf(options) ?? (options.seedFromPlan ? null : unusedSeedProblem(command))
      if (problem !== null) command.error(`error: ${problem}`)
      onRun((output, context) => runMaintOnce(dir, options, output, context))
    })
}

/** In any case, as upstream's tool takes them; empty = checkpoint. */
function parseMode(text: string): Mode {
  const mode = text === '' ? 'checkpoint' : text.toLowerCase()
  if (Object.hasOwn(SOURCES, mode)) return mode as Mode
  throw new InvalidArgumentError(`one of ${Object.keys(SOURCES).join(', ')}.`)
}

function problemOf(options: MaintOnceOptions): string | null {
  if (!options.rw) return 'this writes to the folder; say so with --rw'
  if (options.seedFromPlan && options.clearState) {
    return '--seed-from-plan and --clear-state exclude each other'
  }
  if (options.cpuprofileTotal && options.cpuprofile === undefined) {
    return '--cpuprofile-total needs --cpuprofile'
  }
  if (options.heapprofile !== undefined && options.allocsprofile !== undefined) {
    return '--heapprofile and --allocsprofile exclude each other: there is one sampler'
  }
  return null
}

/** The plan that they are about is not made without it. */
const OF_THE_SEED = [
  'seedStagePending',
  'seedStageObservedAgo',
  'rewriteMaxSegments',
  'rewriteMaxBytes',
  'rewriteMinStaleRatio',
  'rewriteMinStaleBytes',
] as const satisfies (keyof MaintOnceOptions)[]

function unusedSeedProblem(command: Command): string | null {
  const given = OF_THE_SEED.find((name) => command.getOptionValueSource(name) === 'cli')
  const option = command.options.find((one) => one.attributeName() === given)
  return option === undefined ? null : `${option.long} needs --seed-from-plan`
}

function runMaintOnce(
  dir: string,
  options: MaintOnceOptions,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const { signal } = context
  const how = { output, signal, interrupted: INTERRUPTED.worked }
  return runGuarded('maint-once', how, async () => {
    const begun = performance.now()
    const profiles = await openProfiles({
      cpu: options.cpuprofile,
      cpuUntilIdle: options.cpuprofileTotal,
      heap: options.heapprofile,
      allocations: options.allocsprofile,
    })
    const engineOptions = sessionOptions({
      disableAutoDeferred: options.disableAutoDeferred,
      planTimeoutMs: options.rewritePlanTimeout,
    })
    const { report, neverIdle } = await withEngine(
      dir,
      { options: engineOptions, output, signal },
      (engine) =>
        reportOf(engine, { dir, options, profiles, signal, openMs: performance.now() - begun }),
    ).finally(profiles.finish)
    const total = Math.round(performance.now() - begun)
    const whole = { ...report, ...(total > 0 ? { total_millis: total } : {}) }
    output.progress?.('')
    output.write(options.json ? `${JSON.stringify(whole, null, 2)}\n` : textOf(whole))
    if (signal.aborted) throw new EngineError('ENGINE_ABORTED', 'interrupted')
    if (neverIdle !== null) throw neverIdle
    return whole.pass === null || whole.pass.outcome === 'failed' ? EXIT_FAILED : EXIT_OK
  })
}

/** `neverIdle`: why the wait after the pass had no good end; the pass was made all the same. */
async function reportOf(
  engine: Engine,
  how: {
    dir: string
    options: MaintOnceOptions
    profiles: Profiles
    signal: AbortSignal
    openMs: number
  },
): Promise<{ report: MaintOnceReport; neverIdle: Error | null }> {
  const { dir, options, profiles, signal, openMs } = how
  const initial = engine.state().debt
  const seeding = performance.now()
  const plan = await prepare(engine, options)
  const running = performance.now()
  const before = engine.state().debt
  const statsBefore = upstreamStats(engine)
  await profiles.startCpu()
  // As upstream's passes do; what is already durable makes it a no-op.
  await engine.checkpoint()
  const pass = await runOne(engine, SOURCES[options.mode])
  const ran = performance.now()
  await profiles.passDone()
  const waiting = performance.now()
  const neverIdle = await waitedFor(engine, options.waitIdle, signal)
  const waitedMs = performance.now() - waiting
  const statsAfter = upstreamStats(engine)
  const report: MaintOnceReport = {
    dir,
    mode: options.mode,
    acquired: pass !== null,
    ...millis('open_millis', openMs),
    ...(plan === null ? {} : millis('seed_millis', running - seeding)),
    ...millis('run_millis', ran - running),
    ...millis('wait_idle_millis', waitedMs),
    ...(plan === null ? {} : { seeded_from_plan: true, seed_plan: upstreamPlan(plan) }),
    initial_state: upstreamState(initial),
    before_state: upstreamState(before),
    after_state: upstreamState(engine.state().debt),
    before_stats: statsBefore.stats,
    after_stats: statsAfter.stats,
    before_vlog_io: statsBefore.vlogIo,
    after_vlog_io: statsAfter.vlogIo,
    pass,
  }
  return { report, neverIdle }
}

/** null when maintenance went idle in time, or was not waited for. */
async function waitedFor(
  engine: Engine,
  forMs: number,
  signal: AbortSignal,
): Promise<Error | null> {
  if (forMs === 0) return null
  try {
    await waitIdle(engine, forMs, signal)
    return null
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}

/** Debt as the options want it before the pass; the plan that seeded it, or null. */
async function prepare(engine: Engine, options: MaintOnceOptions): Promise<RewritePlan | null> {
  if (options.clearState) {
    await engine.maintenance.setDebt({ queue: [], ledger: [], stage: null })
    return null
  }
  if (!options.seedFromPlan) return null
  return seedFromPlan(engine, {
    filters: filtersOf(options),
    stagePending: options.seedStagePending,
    observedAgoMs: options.seedStageObservedAgo,
  })
}

/** Upstream leaves out what is zero. */
function millis<K extends string>(name: K, ms: number): Partial<Record<K, number>> {
  const rounded = Math.round(ms)
  return rounded > 0 ? ({ [name]: rounded } as Partial<Record<K, number>>) : {}
}

// ---------------------------------------------------------------- text for people

function textOf(report: MaintOnceReport): string {
  const { pass } = report
  const seeded = report.seeded_from_plan === true
  const lines = [
    `dir=${report.dir}`,
    `mode=${report.mode} acquired=${report.acquired} seeded_from_plan=${seeded}`,
    `timing_ms: open=${report.open_millis ?? 0} seed=${report.seed_millis ?? 0} ` +
      `run=${report.run_millis ?? 0} wait_idle=${report.wait_idle_millis ?? 0} total=${report.total_millis ?? 0}`,
    ...(report.seed_plan === undefined ? [] : [seedText(report.seed_plan)]),
    `initial: ${stateText(report.initial_state)}`,
    `before: ${stateText(report.before_state)}`,
    `after: ${stateText(report.after_state)}`,
    ...statLines(report.before_stats, report.after_stats),
  ]
  if (pass === null) lines.push('pass: another pass held the slot')
  else {
    lines.push(
      `pass: outcome=${pass.outcome} blocked_by=${pass.blockedBy ?? '-'} steps=${pass.steps.length}`,
    )
    lines.push(`  ${pass.sentence}`)
    for (const gate of pass.gates) {
      lines.push(
        `  ${gate.verdict}${gate.bypassed ? ' (bypassed)' : ''} ${gate.name}: ${gate.text}`,
      )
    }
  }
  return `${lines.join('\n')}\n`
}

function seedText(plan: Record<string, unknown>): string {
  const number = (name: string): string => String(plan[name])
  const ids = plan['SourceFileIDs']
  return (
    `seed_plan: selected=${number('SegmentsSelected')}/${number('SegmentsTotal')} ` +
    `selected_bytes_total=${number('SelectedBytesTotal')} selected_bytes_live=${number('SelectedBytesLive')} ` +
    `selected_bytes_stale=${number('SelectedBytesStale')} source_file_ids=${listText(ids)}`
  )
}

export function stateText(state: UpstreamState): string {
  return (
    `queue=${listText(state.RewriteSourceFileIDs)} ledger=${state.RewriteDebtLedger?.length ?? 0} ` +
    `stage_pending=${state.RewriteStagePending} stage_observed_unix_nano=${state.RewriteStageObservedAtNS}`
  )
}

/** As Go prints a slice. */
function listText(ids: unknown): string {
  return `[${Array.isArray(ids) ? ids.join(' ') : ''}]`
}
