/**
 * `restage inspect DIR`: reads a folder and says what is in it, as text for people or as the report's
 * JSON. It opens nothing for writing. What it prints and how far it is go through `CommandOutput`, so
 * it ends no process and knows no terminal.
 */
import type { Command } from 'commander'
import {
  bytesText,
  countText,
  EXIT_FAILED,
  EXIT_OK,
  grouped,
  INTERRUPTED,
  mtimeText,
  parseDir,
  readFolder,
  runGuarded,
  table,
  type CommandContext,
  type CommandOutput,
} from './command-support.ts'
import { datedByFile, type FolderReading } from './engine-door.ts'

export interface InspectCommand {
  /** As given on the command line. */
  dir: string
  keys: boolean
  replay: boolean
  verify: boolean
  json: boolean
}

export function addInspectCommand(
  program: Command,
  onInspect: (command: InspectCommand) => void,
): void {
  program
    .command('inspect')
    .description('read a data folder without touching it and say what is in it')
    .argument('<dir>', 'data folder', parseDir)
    .option('--keys', 'list all keys with the SHA-256 of their values: reads every value', false)
    .option('--replay', 'lay the pending journal over the keys, as the next opening would', false)
    .option('--verify', 'read the whole value log and check every CRC', false)
    .option('--json', 'the report as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nWithout --verify records are walked by their headers: sizes and live bytes are exact, damage\n' +
        'inside values that were not asked for is not seen.\n' +
        '\nExit codes: 0 the folder was read (problems found are listed), 1 it could not be read,\n' +
        '2 a wrong command line, 130 interrupted.\n',
    )
    .action((dir: string, options: Omit<InspectCommand, 'dir'>) => onInspect({ ...options, dir }))
}

/** Resolves with the exit code. `nowMs` is the wall clock; `signal` stops the reading. */
export async function runInspect(
  command: InspectCommand,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const { dir, keys, replay, verify } = command
  const how = { output, signal: context.signal, interrupted: INTERRUPTED.read }
  return runGuarded('inspect', how, async () => {
    const reading = await readFolder(dir, output, { ...context, request: { keys, replay, verify } })
    const { report } = reading
    const json = { ...report, ages_from_mtime: datedByFile(reading) }
    output.write(command.json ? `${JSON.stringify(json, null, 2)}\n` : describe(command, reading))
    return report.meta_page === null ? EXIT_FAILED : EXIT_OK
  })
}

// ---------------------------------------------------------------- text for people

function describe(command: InspectCommand, reading: FolderReading): string {
  const { report, attachment, info, state } = reading
  const dated = datedByFile(reading).length
  const lines = [
    info.dir,
    `  layout     ${info.layout ?? 'not known'}, checksum ${report.checksum ?? 'not known'}`,
    `  tree       ${treeText(reading)}`,
    `  pages      ${grouped(report.index.pages)} in ${bytesText(report.index.file_bytes)}: ${encodingsText(reading)}`,
    `  keys       ${keysText(reading)}`,
    `  journal    ${journalText(reading)}`,
    `  debt       ${debtText(reading)}`,
    `  recording  ${recordingText(reading)}`,
    ...(dated > 0 ? [`  note       ${mtimeText(dated)}`] : []),
    '',
    ...segmentTable(reading),
    '',
    ...section('Problems', attachment.problems),
    ...section('Not read by this version', attachment.unsupported),
  ]
  // Live bytes that are not known are no sign of death.
  const dead =
    attachment.liveBytesUnknown === null
      ? state.segments.filter(({ bytesLive, bytesTotal }) => bytesLive === 0 && bytesTotal > 0)
      : []
  if (dead.length > 0) {
    const hold = dead.length === 1 ? 'holds' : 'hold'
    lines.push(`${countText(dead.length, 'segment')} ${hold} nothing live.`)
  }
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
  const openings = countText(recording.openings.length, 'opening')
  const damage = [...recording.problems, ...gaps.map((gap) => gap.text)]
  const last = damage.at(-1)
  return [
    `${countText(events, 'event')} of ${openings} in ${bytesText(recording.bytes)}`,
    ...(last === undefined ? [] : [`${countText(damage.length, 'gap')}, the last: ${last}`]),
  ].join('; ')
}

function treeText({ report }: FolderReading): string {
  if (report.meta === null || report.meta_page === null) return 'none that can be read'
  return `meta page ${report.meta_page}, commit ${grouped(report.meta.commit_seq)}`
}

function keysText({ report }: FolderReading): string {
  if (report.key_count === null) return 'not known'
  return `${grouped(report.key_count)}${report.replayed ? ', the journal laid over them' : ''}`
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
  const onDisk = new Set(state.segments.map(({ segmentId }) => segmentId))
  const gone = queue.filter((segmentId) => !onDisk.has(segmentId)).length
  const missing = gone === 0 ? '' : `, ${grouped(gone)} of them without a file`
  return `${countText(queue.length, 'segment')} queued, ${known}${staged}${missing}`
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
  const isKnown = report.segments.every((segment) => segment.live_disk_bytes !== null)
  const total = [
    countText(report.segments.length, 'segment'),
    ...byteCells(
      sum((s) => s.total_bytes),
      isKnown ? sum((s) => s.live_disk_bytes ?? 0) : null,
    ),
    grouped(sum((s) => s.records)),
    grouped(sum((s) => s.frames)),
    '',
  ]
  const last = SEGMENT_COLUMNS.length - 1
  return table([SEGMENT_COLUMNS, ...rows, total], (column) => column === 0 || column === last)
}

/** `live` null: not known, and so neither is what is stale. */
function byteCells(total: number, live: number | null): string[] {
  if (live === null) return [bytesText(total), '-', '-', '-']
  const stale = total - live
  const percent = total === 0 ? '-' : ((stale / total) * 100).toFixed(1)
  return [bytesText(total), bytesText(live), bytesText(stale), percent]
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
