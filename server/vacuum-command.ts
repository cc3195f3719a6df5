/**
 * `restage vacuum DIR`: gives the free space of index.db back, or says how much that is. The value log is
 * not touched; `restage rewrite` is what makes both small.
 */
import type { Command } from 'commander'
import {
  bytesText,
  countText,
  EXIT_OK,
  EXIT_USAGE,
  INTERRUPTED,
  parseDir,
  readFolder,
  runGuarded,
  withEngine,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import { EngineError, vacuumFolder } from './engine-door.ts'
import type { VacuumReport } from './protocol.ts'

interface VacuumOptions {
  /** Writing was allowed by name. */
  rw: boolean
  dryRun: boolean
  json: boolean
}

/** `--json`: stable key names, sizes in bytes. */
interface VacuumJson {
  dir: string
  dry_run: boolean
  index_bytes_before: number
  /** null of a dry run that could not read every page. */
  index_bytes_after: number | null
  /** null of a dry run. */
  report: VacuumReport | null
}

export function addVacuumCommand(program: Command, onRun: (run: CommandRun) => void): void {
  program
    .command('vacuum')
    .description('give free space of index.db back; --dry-run only says how much, touching nothing')
    .argument('<dir>', 'data folder', parseDir)
    .option('--rw', 'required unless --dry-run: allows writing in the folder', false)
    .option('--dry-run', 'read the folder, write nothing', false)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nThe folder is opened for writing: a pending journal is replayed and a checkpoint made. Pages are\n' +
        'copied to free places in front, a tree is published at a time, and then the file is cut: Ctrl-C\n' +
        'leaves it whole. A folder that another process has open is refused; its page has this action.\n' +
        '\nExit codes: 0 done, 1 refused or failed, 2 a wrong command line, 130 interrupted.\n',
    )
    .action((dir: string, options: VacuumOptions) => {
      onRun((output, context) => runVacuum(dir, options, output, context))
    })
}

function runVacuum(
  dir: string,
  options: VacuumOptions,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const { signal } = context
  const how = { output, signal, interrupted: INTERRUPTED[options.dryRun ? 'read' : 'worked'] }
  return runGuarded('vacuum', how, async () => {
    if (!options.rw && !options.dryRun) {
      output.complain('restage vacuum: it writes in the folder; say --rw, or --dry-run')
      return EXIT_USAGE
    }
    const json = options.dryRun
      ? await foreseen(dir, output, context)
      : await vacuumed(dir, { output, signal })
    output.write(options.json ? `${JSON.stringify(json, null, 2)}\n` : textOf(json))
    if (signal.aborted) throw new EngineError('ENGINE_ABORTED', 'interrupted')
    return EXIT_OK
  })
}

async function foreseen(
  dir: string,
  output: CommandOutput,
  context: CommandContext,
): Promise<VacuumJson> {
  const { bytesBefore, bytesAfter } = vacuumFolder(await readFolder(dir, output, context))
  return {
    dir,
    dry_run: true,
    index_bytes_before: bytesBefore,
    index_bytes_after: bytesAfter,
    report: null,
  }
}

async function vacuumed(
  dir: string,
  how: { output: CommandOutput; signal: AbortSignal },
): Promise<VacuumJson> {
  // In step mode nothing but the vacuum runs.
  const options = { mode: 'step' as const, checkpointIntervalMs: 0 }
  const report = await withEngine(dir, { ...how, options }, (engine) => engine.maintenance.vacuum())
  return {
    dir,
    dry_run: false,
    index_bytes_before: report.bytesBefore,
    index_bytes_after: report.bytesAfter,
    report,
  }
}

function textOf({ dry_run, index_bytes_before, index_bytes_after, report }: VacuumJson): string {
  const after = index_bytes_after ?? 'unknown'
  const lines = [
    `vacuum (${dry_run ? 'dry-run' : 'applied'}): index_bytes_before=${index_bytes_before} index_bytes_after=${after}`,
  ]
  if (report !== null) {
    const { pagesMoved, commits } = report
    lines.push(
      report.text,
      `${countText(pagesMoved, 'page')} moved in ${countText(commits, 'commit')}`,
    )
  } else if (index_bytes_after === null) {
    lines.push('how much could be given back is unknown: some pages of the index could not be read')
  } else {
    const freed = index_bytes_before - index_bytes_after
    lines.push(
      freed > 0
        ? `${bytesText(freed)} of index.db could be given back`
        : 'index.db has no space to give back',
    )
  }
  return `${lines.join('\n')}\n`
}
