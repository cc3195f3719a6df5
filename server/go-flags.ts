/**
 * Upstream's spelling of options, that of Go's `flag`: `-rw` is `--rw`, and a switch may say which way:
 * `--json=true`, `-dry-run=false`. Pure: arguments to arguments, which commander then reads.
 */
import { InvalidArgumentError, type Command, type Option } from 'commander'
import { parseSwitch } from './command-support.ts'

/** Throws InvalidArgumentError for a switch that says neither true nor false. `--` ends the options. */
export function fromGoFlags(args: readonly string[], program: Command, fallback: string): string[] {
  const named = program.commands.find((command) => command.name() === args[0])
  const command = named ?? program.commands.find((one) => one.name() === fallback)
  const options = new Map((command?.options ?? []).map((option) => [option.long ?? '', option]))
  const read: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--') return [...read, ...args.slice(i)]
    const [, name = '', value] = /^--?([a-z][a-z-]+)(?:=(.*))?$/s.exec(arg) ?? []
    const long = `--${name}`
    const option = options.get(long)
    if (name === '') read.push(arg)
    else if (option !== undefined && isSwitch(option) && value !== undefined) {
      set(read, option, isOn(long, value), options)
    } else {
      read.push(value === undefined ? long : `${long}=${value}`)
      // What follows is its value, whatever it looks like.
      if (option?.required === true && value === undefined && i + 1 < args.length) {
        read.push(args[++i] ?? '')
      }
    }
  }
  return read
}

function isSwitch(option: Option): boolean {
  return !option.required && !option.optional
}

/** The last one said counts. What has an opposite of its own is told of a no, too. */
function set(
  read: string[],
  option: Option,
  on: boolean,
  options: ReadonlyMap<string, Option>,
): void {
  const long = option.long ?? ''
  const opposite = option.negate ? long.replace('--no-', '--') : `--no-${long.slice(2)}`
  for (let i = read.length - 1; i >= 0; i--) {
    if (read[i] === long || read[i] === opposite) read.splice(i, 1)
  }
  if (on) read.push(long)
  else if (!option.negate && options.has(opposite)) read.push(opposite)
}

function isOn(long: string, value: string): boolean {
  try {
    return parseSwitch(value)
  } catch {
    throw new InvalidArgumentError(`${long}=${value}: a switch is true or false.`)
  }
}
