/**
 * Operating errors of the engine. The code is the contract: it never changes meaning, messages may.
 * A caller's mistake is a TypeError or RangeError without code; a bug of ours is an AssertionError.
 */

/** One sentence a code; README lists them, a test holds the two together. */
export const ENGINE_ERRORS = {
  ENGINE_NOT_OPEN: 'The engine is closed, or failed earlier and must be reopened.',
  ENGINE_LOCKED: 'Another process or engine has the folder open for writing.',
  ENGINE_READ_ONLY: 'The folder is attached read-only.',
  ENGINE_CORRUPT: 'Bytes on disk contradict their checksum or the format.',
  ENGINE_UNSUPPORTED: 'The folder uses a feature that this version names but does not read.',
  ENGINE_IO: 'The file system refused a call.',
  ENGINE_ABORTED: 'The caller cancelled the work.',
  ENGINE_OPTIONS: 'Options are out of range; the message lists all of them.',
  ENGINE_NOT_A_FOLDER: 'The path is not a data folder.',
  ENGINE_SEGMENT_MISSING: 'A value names a segment that is not in the folder.',
  ENGINE_KEY_SIZE: 'A key is empty or longer than the format holds.',
  ENGINE_VALUE_SIZE: 'A value is longer than the format holds.',
  ENGINE_LIMIT: 'A counter of the format is used up.',
  ENGINE_REWRITE_REFUSED:
    'The folder is in no state that an offline rewrite starts from; the message says why.',
  ENGINE_BUSY: 'A maintenance pass is running; there is one slot.',
} as const

export type EngineErrorCode = keyof typeof ENGINE_ERRORS

export class EngineError extends Error {
  readonly code: EngineErrorCode
  override readonly name = 'EngineError'

  constructor(code: EngineErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** True for damage and for named-but-unread features alike: both mean "this reading stops here". */
export function isCorruption(error: unknown): error is EngineError {
  return error instanceof EngineError && error.code === 'ENGINE_CORRUPT'
}

/** Wraps whatever a file-system call threw, keeping its errno text. */
export function ioError(what: string, cause: unknown): EngineError {
  if (cause instanceof EngineError) return cause
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('ENGINE_IO', `${what}: ${detail}`, cause)
}
