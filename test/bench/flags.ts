/** Flags of a bench: those it knows, with their defaults, and no others. */
import { parseArgs } from 'node:util'

/** By name; the kind of the default is the kind of the flag. A number is a count, 1 or more. */
type Defaults = Record<string, number | string | boolean>

/** Of the literals of a default only the kind. */
type Values<T extends Defaults> = {
  [K in keyof T]: T[K] extends number ? number : T[K] extends boolean ? boolean : string
}

/** What is wrong with the arguments, with the flags there are. */
export class FlagError extends Error {}

/** Throws FlagError for anything that is not one of the known flags, or not of its kind. */
export function parseFlags<T extends Defaults>(defaults: T, args: string[]): Values<T> {
  const names = Object.keys(defaults)
  const known = names
    .map((name) => {
      const value = defaults[name]
      return typeof value === 'boolean' ? `--${name}` : `--${name} ${typeof value}`
    })
    .join(', ')
  const refuse = (why: string): never => {
    throw new FlagError(`${why}; known are ${known}`)
  }
  const options = Object.fromEntries(
    names.map((name) => {
      const type = typeof defaults[name] === 'boolean' ? ('boolean' as const) : ('string' as const)
      return [name, { type }]
    }),
  )
  let given: Record<string, string | boolean | undefined>
  try {
    given = parseArgs({ args, options, strict: true, allowPositionals: false }).values
  } catch (error) {
    const [first = ''] = (error instanceof Error ? error.message : String(error)).split('. ')
    return refuse(first)
  }
  const values = names.map((name) => {
    const [value, fallback] = [given[name], defaults[name]]
    if (value === undefined || typeof fallback !== 'number') return [name, value ?? fallback]
    const count = Number(value)
    if (!Number.isSafeInteger(count) || count < 1)
      refuse(`--${name} must be a count, got '${value}'`)
    return [name, count]
  })
  return Object.fromEntries(values) as Values<T>
}

/** Of this process; wrong ones end it with the flags there are, before anything is measured. */
export function flags<T extends Defaults>(defaults: T): Values<T> {
  try {
    return parseFlags(defaults, process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exit(2)
  }
}

/** One of the words a flag takes, several with commas between. Ends the process like `flags`. */
export function choices(name: string, given: string, known: readonly string[]): string[] {
  const words = given.split(',')
  const wrong = words.find((word) => !known.includes(word))
  if (wrong === undefined) return words
  process.stderr.write(`--${name} takes ${known.join(', ')}, got '${wrong}'\n`)
  process.exit(2)
}
