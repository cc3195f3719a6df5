/**
 * What the commands of `restage` share: where their output goes, exit codes, how options are read,
 * numbers in words, and the engine as a tool opens it. Ends no process and knows no terminal.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import { InvalidArgumentError } from 'commander'
import {
  bytesText,
  countText,
  durationText,
  EngineError,
  findIndex,
  inspectFolder,
  nodeFileSystem,
  openEngine,
  segmentText,
  StepClock,
} from './engine-door.ts'
import type { Engine, EngineOptions, FolderReading } from './engine-door.ts'
import { PROGRESS_EVERY_MS, WorkProgress } from './work-progress.ts'

export interface CommandOutput {
  /** Standard output. */
  write: (text: string) => void
  /** Standard error: why nothing could be done. */
  complain: (text: string) => void
  /** One line that the next one replaces; '' clears it. undefined = nobody watches. */
  progress: ((line: string) => void) | undefined
}

export interface CommandContext {
  /** Wall clock. */
  nowMs: number
  /** Ctrl-C: finish what cannot be left half done, then end. */
  signal: AbortSignal
}

/** A command that has been read: resolves with the exit code. */
export type CommandRun = (output: CommandOutput, context: CommandContext) => Promise<number>

export const EXIT_OK = 0
/** No folder, no permission, nothing that could be read, or the work failed. */
export const EXIT_FAILED = 1
/** The command line makes no sense, as upstream's tools and Go's `flag` count it. */
export const EXIT_USAGE = 2
/** Ctrl-C, as shells count it. */
export const EXIT_INTERRUPTED = 130

/** Codes that the end of an interrupted work has. */
const ENDED_BY_INTERRUPTION: ReadonlySet<string> = new Set([
  'ENGINE_ABORTED',
  'ENGINE_NOT_OPEN',
  'ENGINE_BUSY',
])

/** What an interrupted command says when nothing went wrong besides. */
export const INTERRUPTED = {
  /** It only read. */
  read: 'nothing was written',
  /** It worked on an open store, pass by pass. */
  worked: 'the folder is whole, and what was done stays',
  /** It has one moment in which all of it takes effect. */
  undone: 'the folder is as before',
} as const

/**
 * Runs the body of a command; an operating error is a line on standard error and an exit code, and so is
 * an interruption: `interrupted` is what is true of the folder then.
 */
export async function runGuarded(
  name: string,
  how: { output: CommandOutput; signal: AbortSignal; interrupted: string },
  body: () => Promise<number>,
): Promise<number> {
  const { output, signal, interrupted } = how
  try {
    return await body()
  } catch (error) {
    if (signal.aborted) {
      output.progress?.('')
      const became = isInterruption(error) ? interrupted : textOfError(error)
      output.complain(`restage ${name}: interrupted; ${became}`)
      return EXIT_INTERRUPTED
    }
    if (!(error instanceof EngineError)) throw error
    output.complain(`restage ${name}: ${textOfError(error)}`)
    return EXIT_FAILED
  } finally {
    output.progress?.('')
  }
}

function isInterruption(error: unknown): boolean {
  if (error instanceof EngineError) return ENDED_BY_INTERRUPTION.has(error.code)
  return error instanceof Error && error.name === 'AbortError'
}

function textOfError(error: unknown): string {
  return error instanceof EngineError ? `${error.code}: ${error.message}` : String(error)
}

// ---------------------------------------------------------------- folders

/** Reads a folder without touching it. */
export async function readFolder(
  dir: string,
  output: CommandOutput,
  context: CommandContext & { request?: Parameters<typeof inspectFolder>[2] },
): Promise<FolderReading> {
  const { progress } = output
  let shownAtMs = 0
  const onProgress = ({
    phase,
    done,
    total,
  }: {
    phase: string
    done: number
    total: number
  }): void => {
    const at = performance.now()
    if (progress === undefined || at - shownAtMs < PROGRESS_EVERY_MS) return
    shownAtMs = at
    if (phase === 'index') progress(`index: ${grouped(done)} of at most ${grouped(total)} pages`)
    else progress(`value log: ${bytesText(done)} of ${bytesText(total)}`)
  }
  const reading = await inspectFolder(
    dir,
    {
      fileSystem: nodeFileSystem,
      yieldNow,
      nowMs: context.nowMs,
      monotonic: () => performance.now(),
      signal: context.signal,
      ...(progress === undefined ? {} : { onProgress }),
    },
    context.request,
  )
  progress?.('')
  return reading
}

/**
 * Opens an existing folder for writing, hands it to `body`, and closes it whatever happens. Closing
 * cancels a running pass, so Ctrl-C leaves a folder that is whole. What of its state file could not be
 * used is complained of.
 */
export async function withEngine<T>(
  dir: string,
  how: { options: EngineOptions; output: CommandOutput; signal: AbortSignal },
  body: (engine: Engine) => Promise<T>,
): Promise<T> {
  const { options, output, signal } = how
  mustBeDataFolder(dir)
  signal.throwIfAborted()
  output.progress?.(`opening ${dir}`)
  const clock = new StepClock({
    wall: Date.now,
    monotonic: () => performance.now(),
    arm: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs)
      return () => clearTimeout(timer)
    },
  })
  let work: WorkProgress | undefined
  const engine = await openEngine(dir, options, {
    clock,
    fileSystem: nodeFileSystem,
    yieldNow: () => {
      work?.tick(performance.now())
      return yieldNow()
    },
    // Part of the opening, so nobody could have subscribed by then.
    onEvent: (event) => {
      if (event.type === 'state_file_ignored') output.complain(`restage: ${event.problem}`)
    },
  })
  if (output.progress !== undefined) work = new WorkProgress(engine, output.progress)
  const stop = (): void => void engine.close().catch(() => undefined)
  signal.addEventListener('abort', stop)
  try {
    // One that came while the folder was opened calls no listener any more.
    signal.throwIfAborted()
    return await body(engine)
  } finally {
    signal.removeEventListener('abort', stop)
    work?.end()
    await engine.close()
  }
}

/** Opening makes a new store where there is none; a tool must not. */
function mustBeDataFolder(dir: string): void {
  if (findIndex(nodeFileSystem, dir) !== undefined) return
  throw new EngineError('ENGINE_NOT_A_FOLDER', `${dir} has no maindb/index.db and no index.db`)
}

// ---------------------------------------------------------------- reading options

/** A folder has a name: an empty one, such as an unset variable leaves, would be the working folder. */
export function parseDir(text: string): string {
  if (text === '') throw new InvalidArgumentError('the name of a folder is empty.')
  return text
}

const DURATION_UNITS_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** "31s", "2m", "1m30s", "1500ms", "-10s", "0"; plain milliseconds are not guessed, less than one is refused. */
export function parseDurationMs(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1
  const body = text.replace(/^[+-]/, '')
  if (body === '0') return 0
  const parts = [...body.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== body) {
    throw new InvalidArgumentError('a duration is a number with a unit, such as 31s, 2m or 1500ms.')
  }
  const ms = parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * (DURATION_UNITS_MS[unit ?? ''] ?? 0),
    0,
  )
  const whole = Math.round(ms)
  // 0 often has a meaning of its own, such as the default.
  if (whole === 0 && ms > 0) throw new InvalidArgumentError(`${text} is less than a millisecond.`)
  return sign * whole
}

/** As parseDurationMs, and refuses what lies in the future. */
export function parsePastMs(text: string): number {
  const ms = parseDurationMs(text)
  if (ms < 0)
    throw new InvalidArgumentError('a negative one would lie in the future; give 0 or more.')
  return ms
}

const BYTE_UNITS: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }

/** "1048576", "8GiB", "64M"; units are powers of 1024. What comes to less than a byte is no number of bytes. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text)
  const [, number = '', unit = ''] = match ?? []
  const bytes = Math.round(Number(number) * (BYTE_UNITS[unit.toLowerCase()] ?? NaN))
  if (match === null || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError('bytes are a number with or without KiB, MiB, GiB.')
  }
  const isWhole = unit !== '' || /^\d+$/.test(number)
  if (!isWhole || (bytes === 0 && Number(number) > 0)) {
    throw new InvalidArgumentError(`${text} is no whole number of bytes.`)
  }
  return bytes
}

export function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('a whole number from 0 up.')
  return Number(text)
}

export function parsePositive(text: string): number {
  const count = parseCount(text)
  if (count === 0) throw new InvalidArgumentError('a whole number from 1 up.')
  return count
}

export function parseRatio(text: string): number {
  const ratio = Number(text)
  if (!/^\d*\.?\d+$/.test(text) || ratio > 1) throw new InvalidArgumentError('a ratio from 0 to 1.')
  return ratio
}

/** Upstream's `-flag=false`. */
export function parseSwitch(text: string): boolean {
  if (/^(1|t|true|y|yes|on)$/i.test(text)) return true
  if (/^(0|f|false|n|no|off)$/i.test(text)) return false
  throw new InvalidArgumentError('true or false.')
}

/** "2147483668,value-l0-000004": ids as numbers or as file names. */
export function parseSegmentIds(text: string): number[] {
  return text.split(',').map((part) => {
    const name = /^(?:.*\/)?value-l(\d{1,3})-(\d{1,7})(?:\.log)?$/.exec(part.trim())
    const id =
      name === null
        ? Number(/^\d{1,10}$/.exec(part.trim())?.[0])
        : 2 ** 31 + Number(name[1]) * 2 ** 23 + Number(name[2])
    if (!(id >= 2 ** 31 && id < 2 ** 32)) {
      throw new InvalidArgumentError(
        'segments are file ids or names with commas between, such as 2147483668,value-l0-000004.',
      )
    }
    return id
  })
}

// ---------------------------------------------------------------- words

export function grouped(value: number): string {
  return value.toLocaleString('en-US')
}

export { bytesText, countText, durationText, segmentText as segmentName }

/** Said wherever an age may come from a file (X5). */
export function mtimeText(segments: number): string {
  const of =
    segments === 1
      ? 'the age of 1 segment is that of its file'
      : `the ages of ${grouped(segments)} segments are those of their files`
  return `${of}, which copying resets: no seal time is kept`
}

export function percentText(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`
}

/** A table: text columns to the left, numbers to the right. */
export function table(
  rows: readonly (readonly string[])[],
  isText: (column: number) => boolean,
): string[] {
  const columns = rows.reduce((count, row) => Math.max(count, row.length), 0)
  const widths = Array.from({ length: columns }, (_, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  )
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return isText(column) ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
