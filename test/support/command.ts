/** A command of `restage` within the test's own process: its arguments read as `main.ts` reads them. */
import type { CommandOutput } from '../../server/command-support.ts'
import { readIntent } from '../../server/config.ts'
import { nodeFileSystem } from '../../server/engine-door.ts'
import { runInspect } from '../../server/inspect-command.ts'

export interface Ran {
  code: number
  /** Standard output. */
  out: string
  /** Standard error. */
  complaints: string
}

/** For all but `serve`, which does not end by itself. */
export async function restageWith(
  how: { signal?: AbortSignal; nowMs?: number; progress?: (line: string) => void },
  ...args: string[]
): Promise<Ran> {
  const intent = readIntent({
    args,
    env: {},
    cwd: process.cwd(),
    platform: 'linux',
    isTerminal: false,
    fileSystem: nodeFileSystem,
  })
  const ran = { code: 0, out: '', complaints: '' }
  if (intent.kind === 'serve') throw new Error(`${args.join(' ')} would serve`)
  if (intent.kind === 'stop') {
    ran.code = intent.exitCode
    ran[intent.exitCode === 0 ? 'out' : 'complaints'] = intent.text
    return ran
  }
  const output: CommandOutput = {
    write: (text) => void (ran.out += text),
    complain: (text) => void (ran.complaints += `${text}\n`),
    progress: how.progress,
  }
  const { signal = new AbortController().signal, nowMs = Date.now() } = how
  const context = { nowMs, signal }
  ran.code =
    intent.kind === 'run'
      ? await intent.run(output, context)
      : await runInspect(intent.command, output, context)
  return ran
}

export function restageHere(...args: string[]): Promise<Ran> {
  return restageWith({}, ...args)
}
