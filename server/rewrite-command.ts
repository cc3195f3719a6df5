/**
 * `restage rewrite DIR --rw`: the offline rewrite of a closed folder, upstream's `vlog-rewrite`: its line
 * for people, the same facts as JSON. What it prints goes through `CommandOutput`.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import type { Command } from 'commander'
import {
  EXIT_OK,
  EXIT_USAGE,
  grouped,
  INTERRUPTED,
  parseDir,
  runGuarded,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import {
  nodeFileSystem,
  rewriteFolder,
  StepClock,
  type OfflineRewriteProgress,
  type OfflineRewriteReport,
} from './engine-door.ts'
import { PROGRESS_EVERY_MS } from './work-progress.ts'

interface RewriteOptions {
  /** Writing was allowed by name. */
  rw: boolean
  json: boolean
}

/** `--json`: stable key names, sizes in bytes. */
interface RewriteJson {
  dir: string
  segments_before: number
  segments_after: number
  /** Of the value log. */
  bytes_before: number
  bytes_after: number
  index_bytes_before: number
  index_bytes_after: number
  keys: number
  /** Distinct values copied. */
  records: number
  /** Those of them that share compressed frames. */
  records_grouped: number
  elapsed_ms: number
}

export function addRewriteCommand(program: Command, onRun: (run: CommandRun) => void): void {
  program
    .command('rewrite')
    .description('rewrite a closed folder into fresh segments and a compact index')
    .argument('<dir>', 'data folder that nobody has open', parseDir)
    .option('--rw', 'required: allows writing in the folder', false)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nEvery living value is copied once, in key order; what is dead is deleted with the old\n' +
        'segments. Until the new index takes its place, Ctrl-C leaves the folder as it was. The folder\n' +
        'needs room for both generations meanwhile, and a journal without pending writes.\n' +
        '\nExit codes: 0 rewritten, 1 refused or failed (the folder opens with everything in it),\n' +
        '2 a wrong command line, 130 interrupted.\n',
    )
    .action((dir: string, options: RewriteOptions) => {
      onRun((output, context) => runRewrite(dir, options, output, context))
    })
}

function runRewrite(
  dir: string,
  options: RewriteOptions,
  output: CommandOutput,
  { signal }: CommandContext,
): Promise<number> {
  const how = { output, signal, interrupted: INTERRUPTED.undone }
  return runGuarded('rewrite', how, async () => {
    if (!options.rw) {
      output.complain('restage rewrite: it writes in the folder and deletes segments; say --rw')
      return EXIT_USAGE
    }
    const report = await rewriteFolder(dir, {
      fileSystem: nodeFileSystem,
      clock: new StepClock({ wall: Date.now, monotonic: () => performance.now(), arm: null }),
      yieldNow,
      signal,
      ...(output.progress === undefined ? {} : { onProgress: progressLine(output.progress) }),
    })
    output.progress?.('')
    const json = jsonOf(dir, report)
    output.write(options.json ? `${JSON.stringify(json, null, 2)}\n` : textOf(json))
    return EXIT_OK
  })
}

function jsonOf(dir: string, report: OfflineRewriteReport): RewriteJson {
  return {
    dir,
    segments_before: report.segmentsBefore,
    segments_after: report.segmentsAfter,
    bytes_before: report.bytesBefore,
    bytes_after: report.bytesAfter,
    index_bytes_before: report.indexBytesBefore,
    index_bytes_after: report.indexBytesAfter,
    keys: report.keys,
    records: report.recordsCopied,
    records_grouped: report.recordsGrouped,
    elapsed_ms: Math.round(report.elapsedMs),
  }
}

/** Upstream's line, then what it does not tell. */
function textOf(report: RewriteJson): string {
  const line = (name: string, keys: (keyof RewriteJson)[]): string =>
    `${name}: ${keys.map((key) => `${key}=${report[key]}`).join(' ')}\n`
  return (
    line('vlog-rewrite', [
      'segments_before',
      'segments_after',
      'bytes_before',
      'bytes_after',
      'records',
    ]) +
    line('index', ['index_bytes_before', 'index_bytes_after', 'keys']) +
    line('frames', ['records_grouped', 'elapsed_ms'])
  )
}

const PHASE_TEXT: Record<OfflineRewriteProgress['phase'], string> = {
  record_ids: 'looking for the highest record id',
  survey: 'looking through the index',
  copy: 'copying',
  delete: 'deleting old segments',
}

function progressLine(show: (line: string) => void): (progress: OfflineRewriteProgress) => void {
  let shownAtMs = -Infinity
  return ({ phase, done, total }) => {
    const nowMs = performance.now()
    if (nowMs - shownAtMs < PROGRESS_EVERY_MS) return
    shownAtMs = nowMs
    show(`${PHASE_TEXT[phase]}: ${grouped(done)}${total === null ? '' : ` of ${grouped(total)}`}`)
  }
}
