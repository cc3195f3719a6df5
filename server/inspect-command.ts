/**
 * `restage inspect DIR`: reads a folder and says what is in it, as text for people or as the report's
 * JSON. It opens nothing for writing. What it prints and how far it is go through `InspectOutput`, so
 * it ends no process and knows no terminal.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import type { Command } from 'commander'
import { EngineError, inspectFolder, nodeFileSystem } from './engine-door.ts'
import type { FolderReading } from './engine-door.ts'

export interface InspectCommand {
  /** As given on the command line. */
  dir: string
  keys: boolean
  replay: boolean
  verify: boolean
  json: boolean
}

export interface InspectOutput {
  /** Standard output. */
  write: (text: string) => void
  /** Standard error: why nothing could be read. */
  complain: (text: string) => void
  /** One line that the next one replaces; '' clears it. undefined = nobody watches. */
  progress: ((line: string) => void) | undefined
}

/** Everything was read, though problems may have been found. */
export const EXIT_OK = 0
/** No folder, no permission, or no tree that could be read. */
export const EXIT_UNREADABLE = 1
/** Ctrl-C, as shells count it. */
export const EXIT_INTERRUPTED = 130

export function addInspectCommand(
  program: Command,
  onInspect: (command: InspectCommand) => void,
): void {
  program
    .command('inspect')
    .description('read a data folder without touching it and say what is in it')
    .argument('<dir>', 'data folder')
    .option('--keys', 'list all keys with the SHA-256 of their values: reads every value', false)
    .option('--replay', 'lay the pending journal over the keys, as the next opening would', false)
    .option('--verify', 'read the whole value log and check every CRC', false)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nWithout --verify records are walked by their headers: sizes and live bytes are exact, damage\n' +
        'inside values that were not asked for is not seen.\n' +
        '\nExit codes: 0 the folder was read (problems found are listed), 1 it could not be read,\n' +
        '130 interrupted.\n',
    )
    .action((dir: string, options: Omit<InspectCommand, 'dir'>) => onInspect({ ...options, dir }))
}

/** Resolves with the exit code. `nowMs` is the wall clock; `signal` stops the reading. */
export async function runInspect(
  command: InspectCommand,
  output: InspectOutput,
  options: { nowMs: number; signal: AbortSignal },
): Promise<number> {
  const { keys, replay, verify } = command
  const onProgress = output.progress === undefined ? undefined : progressLine(output.progress)
  try {
    const reading = await inspectFolder(
      command.dir,
      {
        fileSystem: nodeFileSystem,
        yieldNow,
        nowMs: options.nowMs,
        monotonic: () => performance.now(),
        signal: options.signal,
        ...(onProgress === undefined ? {} : { onProgress }),
      },
      { keys, replay, verify },
    )
    output.progress?.('')
    const { report } = reading
    output.write(command.json ? `${JSON.stringify(report, null, 2)}\n` : describe(command, reading))
    return report.meta_page === null ? EXIT_UNREADABLE : EXIT_OK
  } catch (error) {
    output.progress?.('')
    if (!(error instanceof EngineError)) throw error
    if (error.code === 'ENGINE_ABORTED') return EXIT_INTERRUPTED
    output.complain(`restage inspect: ${error.code}: ${error.message}`)
    return EXIT_UNREADABLE
  }
}

/** A line is worth drawing ten times a second, not at every slice. */
const PROGRESS_EVERY_MS = 100

function progressLine(
  show: (line: string) => void,
): (progress: { phase: 'index' | 'value_log'; done: number; total: number }) => void {
  let shownAtMs = 0
  return ({ phase, done, total }) => {
    const nowMs = performance.now()
    if (nowMs - shownAtMs < PROGRESS_EVERY_MS) return
    shownAtMs = nowMs
    if (phase === 'index') show(`index: ${grouped(done)} of at most ${grouped(total)} pages`)
    else show(`value log: ${bytesText(done)} of ${bytesText(total)}`)
  }
}

// ---------------------------------------------------------------- text for people

function describe(command: InspectCommand, reading: FolderReading): string {
  const { report, attachment, info, state } = reading
  const lines = [
    info.dir,
    `  layout     ${info.layout}, checksum ${report.checksum ?? 'not known'}`,
    `  tree       ${treeText(reading)}`,
    `  pages      ${grouped(report.index.pages)} in ${bytesText(report.index.file_bytes)}: ${encodingsText(reading)}`,
    `  keys       ${grouped(report.key_count)}${report.replayed ? ', the journal laid over them' : ''}`,
    `  journal    ${journalText(reading)}`,
    `  debt       ${debtText(reading)}`,
    `  recording  ${recordingText(reading)}`,
    '',
    ...segmentTable(reading),
    '',
    ...section('Problems', attachment.problems),
    ...section('Not read by this version', attachment.unsupported),
  ]
  const dead = state.segments.filter(
    ({ bytesLive, bytesTotal }) => bytesLive === 0 && bytesTotal > 0,
  )
  if (dead.length > 0) lines.push(`${grouped(dead.length)} segments hold nothing live.`)
  lines.push(
    report.verified === true
      ? 'Every byte of the value log was read and its CRC checked.'
      : 'Records were walked by their headers; --verify reads every byte and checks its CRC.',
  )
  if (command.keys) lines.push('', ...keyLines(reading))
  return `${lines.join('\n')}\n`
}

function recordingText({ report }: FolderReading): string {
  const { recording } = report
  if (recording === undefined) return 'none'
  const events = recording.openings.reduce((sum, opening) => sum + opening.events, 0)
  const gaps = recording.openings.flatMap((opening) => opening.gaps)
  const openings = `${grouped(recording.openings.length)} openings`
  const damage = [...recording.problems, ...gaps.map((gap) => gap.text)]
  const last = damage.at(-1)
  return [
    `${grouped(events)} events of ${openings} in ${bytesText(recording.bytes)}`,
    ...(last === undefined ? [] : [`${grouped(damage.length)} gaps, the last: ${last}`]),
  ].join('; ')
}

function treeText({ report }: FolderReading): string {
  if (report.meta === null || report.meta_page === null) return 'none that can be read'
  return `meta page ${report.meta_page}, commit ${grouped(report.meta.commit_seq)}`
}

function encodingsText({ report }: FolderReading): string {
  const names = Object.entries(report.index.visited).sort(([a], [b]) => (a < b ? -1 : 1))
  return names.map(([name, count]) => `${grouped(count)} ${name}`).join(', ') || 'none met'
}

function journalText({ report }: FolderReading): string {
  if (report.commitlog.length === 0) return 'none'
  const files = report.commitlog.map(({ file, state }) => `${file} ${state}`).join(', ')
  return `${grouped(report.commitlog_pending_records)} pending records (${files})`
}

function debtText({ state }: FolderReading): string {
  const { queue, ledger, stage } = state.debt
  if (queue.length === 0 && ledger.length === 0) return 'none'
  const stale = ledger.reduce((sum, entry) => sum + entry.bytesStale, 0)
  const staged = stage === null ? '' : ', staged'
  const known = ledger.length === 0 ? 'without economics' : `${bytesText(stale)} stale`
  return `${grouped(queue.length)} segments queued, ${known}${staged}`
}

const SEGMENT_COLUMNS = [
  'segment',
  'total',
  'live',
  'stale',
  'stale %',
  'records',
  'frames',
  'tail',
]

function segmentTable({ report }: FolderReading): string[] {
  const rows = report.segments.map((segment) => [
    segment.file,
    ...byteCells(segment.total_bytes, segment.live_disk_bytes),
    grouped(segment.records),
    grouped(segment.frames),
    segment.tail === 'clean' ? 'clean' : `${segment.tail} at ${grouped(segment.tail_offset)}`,
  ])
  const sum = (of: (segment: (typeof report.segments)[number]) => number): number =>
    report.segments.reduce((total, segment) => total + of(segment), 0)
  const total = [
    `${grouped(report.segments.length)} segments`,
    ...byteCells(
      sum((s) => s.total_bytes),
      sum((s) => s.live_disk_bytes),
    ),
    grouped(sum((s) => s.records)),
    grouped(sum((s) => s.frames)),
    '',
  ]
  return aligned([SEGMENT_COLUMNS, ...rows, total])
}

function byteCells(total: number, live: number): string[] {
  const stale = total - live
  const percent = total === 0 ? '-' : ((stale / total) * 100).toFixed(1)
  return [bytesText(total), bytesText(live), bytesText(stale), percent]
}

/** First and last column to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = SEGMENT_COLUMNS.map((_, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        const isText = column === 0 || column === row.length - 1
        return isText ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}

function section(title: string, sentences: readonly string[]): string[] {
  if (sentences.length === 0) return []
  return [`${title}:`, ...sentences.map((sentence) => `  - ${sentence}`), '']
}

function keyLines({ report }: FolderReading): string[] {
  return Object.entries(report.keys ?? {}).map(([hex, key]) => {
    const name = printable(hex)
    if ('tombstone' in key) return `${name}  deleted`
    if ('error' in key) return `${name}  ${key.where}  ${key.error}`
    return `${name}  ${key.where}  ${grouped(key.size)} bytes  ${key.sha256}`
  })
}

/** The key as text when all of it is printable ASCII, else its hex digits behind 0x. */
function printable(hex: string): string {
  const text = Buffer.from(hex, 'hex').toString('latin1')
  return /^[\x21-\x7e]+$/.test(text) ? text : `0x${hex}`
}

function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${UNITS[unit] ?? ''}`
}
