/** `restage gc DIR`: deletes what nothing needs, or says what would go and who keeps the rest. */
import { Option, type Command } from 'commander'
import {
  bytesText,
  countText,
  durationText,
  EXIT_FAILED,
  EXIT_OK,
  grouped,
  INTERRUPTED,
  parseDir,
  parseSegmentIds,
  readFolder,
  runGuarded,
  segmentName,
  withEngine,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import { EngineError, gcFolder } from './engine-door.ts'
import type { GcReport, Holding, SegmentKeeper } from './protocol.ts'
import { upstreamGc } from './upstream-shapes.ts'

interface GcOptions {
  /** undefined = nothing was said. */
  rw?: boolean
  dryRun: boolean
  observed?: number[]
  json: boolean
}

export function addGcCommand(program: Command, onRun: (run: CommandRun) => void): void {
  program
    .command('gc')
    .description('delete segments that nothing needs; --dry-run only says which, touching nothing')
    .argument('<dir>', 'data folder', parseDir)
    .option('--dry-run', 'read the folder, write nothing', false)
    .option('--rw', "said to upstream's tool; without --dry-run this one writes anyway")
    // What --rw=false is read as.
    .addOption(new Option('--no-rw').hideHelp())
    .option('--observed <list>', 'report on these segments besides', parseSegmentIds)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nWithout --dry-run the folder is opened for writing: a pending journal is replayed and a\n' +
        'checkpoint made. A folder that another process has open is refused.\n' +
        '\nExit codes: 0 done, 1 the folder could not be opened or a file not deleted,\n' +
        '2 a wrong command line, 130 interrupted.\n',
    )
    .action((dir: string, options: GcOptions, command: Command) => {
      if (options.rw === false && !options.dryRun) {
        command.error('error: --rw=false forbids writing, and this deletes; say --dry-run to look')
      }
      onRun((output, context) => runGc(dir, options, output, context))
    })
}

function runGc(
  dir: string,
  options: GcOptions,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const how = {
    output,
    signal: context.signal,
    interrupted: INTERRUPTED[options.dryRun ? 'read' : 'worked'],
  }
  return runGuarded('gc', how, async () => {
    const request = { opened: true }
    const report = options.dryRun
      ? gcFolder(await readFolder(dir, output, { ...context, request }), options.observed)
      : await collect(dir, options, { output, signal: context.signal })
    if (options.json) {
      const json = {
        dir,
        dry_run: options.dryRun,
        gc: upstreamGc(report, options.observed),
        report,
      }
      output.write(`${JSON.stringify(json, null, 2)}\n`)
    } else output.write(`${gcLines(report, context.nowMs).join('\n')}\n`)
    if (context.signal.aborted) throw new EngineError('ENGINE_ABORTED', 'interrupted')
    return report.errors.length > 0 ? EXIT_FAILED : EXIT_OK
  })
}

function collect(
  dir: string,
  { observed }: GcOptions,
  how: { output: CommandOutput; signal: AbortSignal },
): Promise<GcReport> {
  const options = { mode: 'step' as const, checkpointIntervalMs: 0 }
  return withEngine(dir, { ...how, options }, (engine) =>
    engine.maintenance.gc({ dryRun: false, ...(observed === undefined ? {} : { observed }) }),
  )
}

// ---------------------------------------------------------------- text for people

function gcLines(report: GcReport, nowMs: number): string[] {
  const { classes, total } = report
  const counts = (unit: 'segments' | 'bytes', prefix: string, deleted: number): string =>
    [
      ['total', total[unit]],
      ['referenced', classes.referenced[unit]],
      ['active', classes.active[unit]],
      ['eligible', classes.eligible[unit]],
      ['deleted', deleted],
    ]
      .map(([name, value]) => `${prefix}${name}=${value}`)
      .join(' ')
  const lines = [
    `vlog-gc (${report.dryRun ? 'dry-run' : 'applied'}): segments ` +
      `${counts('segments', '', report.deleted.length)} ${counts('bytes', 'bytes_', report.bytesDeleted)}`,
  ]
  if (report.observed !== null) lines.push(observedText(report.observed))
  const names = report.dryRun ? report.eligible : report.deleted
  const bytes = bytesText(report.dryRun ? report.bytesEligible : report.bytesDeleted)
  const verb = report.dryRun ? 'would be deleted' : 'deleted'
  lines.push(`${countText(names.length, 'segment')} ${verb}, ${bytes}`)
  for (const id of names) lines.push(`  ${segmentName(id)}`)
  if (report.cancelled) {
    const left = bytesText(report.bytesPending)
    lines.push(`ended early: ${grouped(report.pending.length)} more could go, ${left}`)
  }
  for (const error of report.errors) {
    lines.push(`${segmentName(error.segmentId)} was not deleted: ${error.code}: ${error.message}`)
  }
  const holdings = report.holdings.filter(({ keeper }) => keeper.kind !== 'awaiting_gc')
  if (holdings.length > 0) lines.push('kept:')
  for (const holding of holdings) lines.push(`  ${holdingText(holding, nowMs)}`)
  return lines
}

/** Of the segments that were asked about, in the words of upstream's counters. */
function observedText(observed: NonNullable<GcReport['observed']>): string {
  const { classes, total, deleted, pending, unknown } = observed
  const counts = (unit: 'segments' | 'bytes', prefix: string): string => {
    const { referenced, active, in_use, retained, overlap, other, eligible } = classes
    const kept = in_use[unit] + retained[unit] + overlap[unit] + other[unit]
    return [
      ['total', total[unit]],
      ['referenced', referenced[unit]],
      ['active', active[unit]],
      ['protected', kept],
      ['eligible', eligible[unit]],
      ['deleted', deleted[unit]],
      ['pending', pending[unit]],
    ]
      .map(([name, value]) => `${prefix}${name}=${value}`)
      .join(' ')
  }
  const strangers = unknown.length === 0 ? '' : ` unknown=[${unknown.join(' ')}]`
  return `observed: segments ${counts('segments', '')} ${counts('bytes', 'bytes_')}${strangers}`
}

function holdingText(holding: Holding, nowMs: number): string {
  const { keeper, segmentIds, bytes, freesSegmentIds, freesBytes } = holding
  const frees =
    freesSegmentIds.length === 0
      ? 'its end alone frees nothing'
      : `its end frees ${grouped(freesSegmentIds.length)}, ${bytesText(freesBytes)}`
  return `${keeperText(keeper, nowMs)}: ${countText(segmentIds.length, 'segment')}, ${bytesText(bytes)}; ${frees}`
}

function keeperText(keeper: SegmentKeeper, nowMs: number): string {
  switch (keeper.kind) {
    case 'snapshot':
    case 'iterator':
      return `${keeper.kind} '${keeper.label}', open for ${durationText(nowMs - keeper.sinceMs)}`
    case 'root':
      return `the tree of meta page ${keeper.metaPage}, which a crash could select (ends with a checkpoint)`
    case 'journal':
      return 'the journal, which an opening replays (ends with a checkpoint)'
    case 'active_writer':
      return 'it is still written'
    case 'rewriting':
      return 'a rewrite reads it'
    case 'awaiting_gc':
      return 'nothing'
    case 'error':
      return `${keeper.code}: ${keeper.message}`
  }
}
