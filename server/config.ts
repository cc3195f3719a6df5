/**
 * Command line and environment -> what to do. The only place that reads either; it decides nothing
 * about the running server and ends no process.
 */
import { randomBytes } from 'node:crypto'
import * as path from 'node:path'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { AppConfig } from './app.ts'
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, parseDir, type CommandRun } from './command-support.ts'
import { DEFAULT_WORKLOAD, DEMO_DIR, DEMO_ENGINE } from './demo.ts'
import {
  type EngineOptions,
  type FileSystem,
  findIndex,
  nodeFileSystem,
  storeRoot,
} from './engine-door.ts'
import { addExitLoopCommand } from './exit-loop-command.ts'
import { addGcCommand } from './gc-command.ts'
import { fromGoFlags } from './go-flags.ts'
import { addInspectCommand, type InspectCommand } from './inspect-command.ts'
import { addMaintOnceCommand } from './maint-once-command.ts'
import { addPlanCommand } from './plan-command.ts'
import { addRewriteCommand } from './rewrite-command.ts'
import { addVacuumCommand } from './vacuum-command.ts'
import type { MaintenancePhase, Profile, SchedulerMode } from './protocol.ts'
import { storeIdOf } from './stores.ts'
import { VERSION } from './version.ts'

export const DEFAULT_PORT = 4810
/** Upstream's name: scripts that set it for a node need not know of us. */
const PAUSE_FILE_ENV = 'TREEDB_VLOG_MAINTENANCE_PAUSE_FILE'

export interface ServeConfig {
  app: AppConfig
  /** The port was asked for by name: another one will not do. */
  portFixed: boolean
  /** Folder of the store, absolute. */
  dir: string
  /** Show the address in a browser once the server is ready. */
  openBrowser: boolean
  /** One line of JSON instead of text for people. */
  jsonReady: boolean
}

export type Intent =
  | { kind: 'serve'; config: ServeConfig }
  | { kind: 'inspect'; command: InspectCommand }
  /** Any other command: it knows by itself what to do. */
  | { kind: 'run'; run: CommandRun }
  /** Help was asked for, or the arguments make no sense; `text` was made for people. */
  | { kind: 'stop'; exitCode: number; text: string }

export interface Surroundings {
  /** Without node and the script. */
  args: string[]
  env: Record<string, string | undefined>
  cwd: string
  platform: string
  isTerminal: boolean
  fileSystem: FileSystem
}

export function processSurroundings(): Surroundings {
  return {
    args: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    platform: process.platform,
    isTerminal: process.stdout.isTTY,
    fileSystem: nodeFileSystem,
  }
}

interface ServeOptions {
  readOnly: boolean
  create: boolean
  port?: number
  host: string
  mode: SchedulerMode
  profile: Profile
  phase?: MaintenancePhase
  pauseFile?: string
  token?: string
  viewerToken?: string
  allowRoot: string[]
  /** undefined: as the kind of store wants it. */
  workload?: boolean
  open: boolean
  allowOrigin: string[]
  jsonReady: boolean
  logLevel?: string
}

export function readIntent(from: Surroundings): Intent {
  let text = ''
  const intents: Intent[] = []
  const program = makeProgram((dir, options) => {
    intents.push(serveIntent(from, dir, options))
  })
  addInspectCommand(program, (command) => intents.push({ kind: 'inspect', command }))
  const onRun = (run: CommandRun): void => void intents.push({ kind: 'run', run })
  const commands = [
    addPlanCommand,
    addGcCommand,
    addMaintOnceCommand,
    addExitLoopCommand,
    addRewriteCommand,
    addVacuumCommand,
  ]
  for (const add of commands) add(program, onRun)
  const collect = (part: string): void => {
    text += part
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeOut: collect, writeErr: collect })
  }
  const unknown = unknownCommand(from, program)
  if (unknown !== null) return stop(unknown)
  try {
    program.parse(fromGoFlags(from.args, program, 'serve'), { from: 'user' })
  } catch (error) {
    if (error instanceof InvalidArgumentError && text === '') return stop(error.message)
    if (!(error instanceof CommanderError)) throw error
    return { kind: 'stop', exitCode: error.exitCode === EXIT_OK ? EXIT_OK : EXIT_USAGE, text }
  }
  return intents[0] ?? { kind: 'stop', exitCode: EXIT_USAGE, text: program.helpInformation() }
}

/** A first word that is neither a command nor a folder: more likely a slip than a store to be made. */
function unknownCommand({ args, cwd, fileSystem }: Surroundings, program: Command): string | null {
  const [word = ''] = args
  const names = program.commands.map((command) => command.name())
  if (!/^[A-Za-z][\w-]*$/.test(word) || [...names, 'help'].includes(word)) return null
  const dir = path.resolve(cwd, word)
  const exists = fileSystem.list(dir) !== undefined || fileSystem.stat(dir) !== undefined
  if (exists || args.includes('--create')) return null
  return (
    `'${word}' is neither a command nor a folder; commands: ${names.join(', ')};\n` +
    `a new store: restage serve ${word} --create`
  )
}

function makeProgram(serve: (dir: string | undefined, options: ServeOptions) => void): Command {
  const program = new Command('restage').description(
    'An observatory for value-log maintenance: hosts a key-value store, or attaches to a data ' +
      'folder, and shows in a browser why every segment is rewritten, staged, kept or deleted.',
  )
  program.version(VERSION, '--version', 'print the version')
  const command = program
    .command('serve', { isDefault: true })
    .description('serve the dashboard of one store; without DIR a demo store in ./data/demo')
    .argument('[dir]', 'data folder to host, or to attach to with --read-only', parseDir)
    .option(
      '--read-only',
      'attach: read the folder and never write anything in it; nothing else is hosted either',
      false,
    )
    .option('--create', 'make DIR a new store when it is absent or empty', false)
    .option(
      '--port <port>',
      `port to listen on; 0 = any (default: ${DEFAULT_PORT}, or the next free one)`,
      parsePort,
    )
    .option('--host <address>', 'address to bind', '127.0.0.1')
    .addOption(
      new Option(
        '--mode <mode>',
        'auto: the scheduler runs by itself; step: nothing runs unasked, time stands still',
      )
        .choices(['auto', 'step'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--profile <profile>',
        'what a crash may lose: durable nothing acknowledged; wal_on_fast what the system had not written out; fast all since the last checkpoint',
      )
        .choices(['durable', 'wal_on_fast', 'fast'])
        .default('durable'),
    )
    .addOption(
      new Option(
        '--phase <phase>',
        'what the node around the store is doing; in any other phase than steady no pass starts by itself (default: steady)',
      ).choices(['steady', 'restore', 'catch_up']),
    )
    .option(
      '--pause-file <file>',
      `while this file is there no pass starts by itself; its first line says why (default: none; also ${PAUSE_FILE_ENV})`,
    )
    .option('--workload', 'start the workload (default for the demo store only)')
    .option('--no-workload', 'do not start the workload')
    .option('--no-open', 'do not open a browser')
    .option(
      '--json-ready',
      'print one line of JSON when ready: {"event","url","viewerUrl","port","pid"}',
      false,
    )
    .addOption(
      new Option(
        '--log-level <level>',
        'log to standard error (default: warn on a terminal, else info)',
      ).choices(['silent', 'fatal', 'error', 'warn', 'info', 'debug']),
    )
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  restage serve                            watch the demo store at work\n' +
        '  restage serve ./store --mode step        host a store and step its maintenance\n' +
        '  restage serve ./copy --read-only         look at a folder without touching it\n',
    )
    .action((dir: string | undefined, options: ServeOptions) => serve(dir, options))
  addAccessOptions(command)
  return program
}

/** Who may come in, and what may be opened. */
function addAccessOptions(command: Command): void {
  command
    .option(
      '--token <token>',
      'access token, 16 or more of A-Z a-z 0-9 - _ (default: random; also RESTAGE_TOKEN)',
      parseToken,
    )
    .option(
      '--viewer-token <token>',
      'token that may look and not act (default: random; also RESTAGE_VIEWER_TOKEN)',
      parseToken,
    )
    .addOption(
      new Option(
        '--allow-root <dir>',
        'stores below this folder may be opened from the page; repeatable',
      )
        .argParser((dir: string, before: string[]) => [...before, dir])
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--allow-origin <origin>',
        'serve this origin and host, too, such as a proxy; repeatable',
      )
        .argParser(collectOrigin)
        .default([], 'none'),
    )
}

function serveIntent(
  from: Surroundings,
  dirArgument: string | undefined,
  options: ServeOptions,
): Intent {
  const isDemo = dirArgument === undefined
  if (isDemo && options.readOnly) return stop('--read-only needs a DIR to attach to')
  if (options.readOnly && options.create) return stop('--read-only and --create exclude each other')
  if (options.readOnly && options.workload === true)
    return stop('--read-only and --workload exclude each other')
  for (const [flag, value] of [
    ['--phase', options.phase],
    ['--pause-file', options.pauseFile],
  ] as const) {
    if (options.readOnly && value !== undefined)
      return stop(
        `--read-only and ${flag} exclude each other: nothing runs that could be held back`,
      )
  }
  const dir = storeRoot(from.fileSystem, path.resolve(from.cwd, dirArgument ?? DEMO_DIR))
  const problem = folderProblem(from.fileSystem, dir, {
    mayCreate: isDemo || options.create,
    readOnly: options.readOnly,
  })
  if (problem !== null) return stop(problem, EXIT_FAILED)

  const hosted = hostedOptions(from, options)
  const tokens = {
    operator: options.token ?? environmentToken(from, 'RESTAGE_TOKEN'),
    viewer: options.viewerToken ?? environmentToken(from, 'RESTAGE_VIEWER_TOKEN'),
  }
  if (!TOKEN_FORM.test(tokens.operator)) return stop(`RESTAGE_TOKEN: ${TOKEN_RULE}`)
  if (!TOKEN_FORM.test(tokens.viewer)) return stop(`RESTAGE_VIEWER_TOKEN: ${TOKEN_RULE}`)
  if (tokens.operator === tokens.viewer) return stop('the two tokens must differ')
  const allowRoots = options.allowRoot.map((root) => path.resolve(from.cwd, root))
  const absent = allowRoots.find((root) => from.fileSystem.list(root) === undefined)
  if (absent !== undefined) return stop(`--allow-root: there is no folder ${absent}`, EXIT_FAILED)
  return {
    kind: 'serve',
    config: {
      app: {
        host: options.host,
        port: options.port ?? DEFAULT_PORT,
        tokens,
        readOnly: options.readOnly,
        allowRoots,
        allowedOrigins: options.allowOrigin,
        logLevel: options.logLevel ?? (from.isTerminal ? 'warn' : 'info'),
        stores: [
          {
            storeId: storeIdOf(dir),
            init: {
              dir,
              mode: options.readOnly ? 'attached' : 'hosted',
              engine: isDemo ? { ...DEMO_ENGINE, ...hosted } : hosted,
              workload: { settings: DEFAULT_WORKLOAD, autostart: options.workload ?? isDemo },
            },
          },
        ],
      },
      portFixed: options.port !== undefined,
      dir,
      openBrowser: options.open && !options.jsonReady && from.isTerminal && hasDesktop(from),
      jsonReady: options.jsonReady,
    },
  }
}

function hostedOptions(from: Surroundings, options: ServeOptions): EngineOptions {
  const pauseFile = options.pauseFile ?? from.env[PAUSE_FILE_ENV] ?? ''
  return {
    mode: options.mode,
    profile: options.profile,
    ...(options.phase === undefined ? {} : { phase: options.phase }),
    ...(pauseFile === '' ? {} : { pauseFile: path.resolve(from.cwd, pauseFile) }),
  }
}

function stop(problem: string, exitCode = EXIT_USAGE): Intent {
  return { kind: 'stop', exitCode, text: `error: ${problem}\n` }
}

/** null when the folder can be served as asked. The engine checks the inside when it opens it. */
function folderProblem(
  fileSystem: FileSystem,
  dir: string,
  how: { mayCreate: boolean; readOnly: boolean },
): string | null {
  const names = fileSystem.list(dir)
  if (names === undefined) {
    if (how.mayCreate) return null
    if (fileSystem.stat(dir) !== undefined) return `${dir} is not a folder`
    return `there is no folder ${dir}${how.readOnly ? '' : '; --create makes a new store there'}`
  }
  if (names.includes('maindb') || names.includes('index.db')) return null
  // A crash in the middle of an offline rewrite's swap leaves it under another name.
  if (findIndex(fileSystem, dir) !== undefined) return null
  if (names.length > 0) return `${dir} is not a data folder: it has neither maindb/ nor index.db`
  if (how.mayCreate) return null
  return `${dir} is empty${how.readOnly ? '' : '; --create makes a new store there'}`
}

function hasDesktop({ platform, env }: Surroundings): boolean {
  if (platform === 'darwin' || platform === 'win32') return true
  return (env['DISPLAY'] ?? '') !== '' || (env['WAYLAND_DISPLAY'] ?? '') !== ''
}

/** A random one when the environment has none. */
function environmentToken({ env }: Surroundings, name: string): string {
  const token = env[name] ?? ''
  return token === '' ? randomBytes(32).toString('base64url') : token
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('a port is 0 to 65535.')
  return port
}

/** The token travels as a websocket subprotocol, which allows few characters. */
const TOKEN_FORM = /^[A-Za-z0-9_-]{16,200}$/
const TOKEN_RULE = 'a token is 16 to 200 of A-Z a-z 0-9 - _.'

function parseToken(text: string): string {
  if (!TOKEN_FORM.test(text)) throw new InvalidArgumentError(TOKEN_RULE)
  return text
}

function collectOrigin(text: string, before: string[]): string[] {
  let origin: string
  try {
    origin = new URL(text).origin
  } catch {
    origin = ''
  }
  if (origin !== text.toLowerCase() || !/^https?:/.test(origin)) {
    throw new InvalidArgumentError(
      'an origin is scheme://host[:port] without a path, such as http://localhost:5173.',
    )
  }
  return [...before, origin]
}
