import { describe, expect, test } from 'vitest'
import {
  readIntent,
  type Intent,
  type ServeConfig,
  type Surroundings,
} from '../../server/config.ts'
import { DEMO_ENGINE } from '../../server/demo.ts'
import { nodeFileSystem } from '../../server/engine-door.ts'

/** Folders that exist, with the names in them. */
const FOLDERS: Record<string, string[]> = {
  '/work/store': ['maindb', 'vlog_generation_state.json'],
  '/work/maindb': ['index.db', 'wal'],
  '/work/empty': [],
  '/work/photos': ['a.jpg'],
}

function intentOf(args: string[], more: Partial<Surroundings> = {}): Intent {
  return readIntent({
    args,
    env: {},
    cwd: '/work',
    platform: 'linux',
    isTerminal: true,
    fileSystem: { ...nodeFileSystem, list: (folder) => FOLDERS[folder], stat: () => undefined },
    ...more,
  })
}

function configOf(args: string[], more: Partial<Surroundings> = {}): ServeConfig {
  const intent = intentOf(args, more)
  if (intent.kind !== 'serve') throw new Error(JSON.stringify(intent))
  return intent.config
}

function textOf(args: string[]): string {
  const intent = intentOf(args)
  if (intent.kind !== 'stop') throw new Error('serves')
  return intent.text
}

describe('command line', () => {
  test('without arguments the demo store is hosted with its workload', () => {
    const { app, dir, portFixed } = configOf([])
    expect(dir).toBe('/work/data/demo')
    expect([app.host, app.port, portFixed]).toEqual(['127.0.0.1', 4810, false])
    const [store] = app.stores
    expect(store?.storeId).toBe('demo')
    expect(store?.init).toMatchObject({ mode: 'hosted', workload: { autostart: true } })
    expect(store?.init.engine).toEqual({ ...DEMO_ENGINE, mode: 'auto', profile: 'durable' })
  })

  test('a folder is hosted without workload and with the options given', () => {
    const { app, portFixed } = configOf([
      'serve',
      'store',
      '--mode',
      'step',
      '--profile',
      'fast',
      '--port',
      '0',
    ])
    expect([app.port, portFixed]).toEqual([0, true])
    expect(app.stores[0]?.init).toMatchObject({
      dir: '/work/store',
      mode: 'hosted',
      engine: { mode: 'step', profile: 'fast' },
      workload: { autostart: false },
    })
    expect(configOf(['store', '--workload']).app.stores[0]?.init.workload.autostart).toBe(true)
    expect(configOf(['--no-workload']).app.stores[0]?.init.workload.autostart).toBe(false)
  })

  test('a phase and a pause file are passed on; a script may name the file in the environment', () => {
    const engineOf = (args: string[], env: Record<string, string> = {}) =>
      configOf(['store', ...args], { env }).app.stores[0]?.init.engine
    expect(engineOf([])).toEqual({ mode: 'auto', profile: 'durable' })
    expect(engineOf(['--phase', 'restore', '--pause-file', 'run/vlog.pause'])).toMatchObject({
      phase: 'restore',
      pauseFile: '/work/run/vlog.pause',
    })
    const env = { TREEDB_VLOG_MAINTENANCE_PAUSE_FILE: '/run/vlog.pause' }
    expect(engineOf([], env)).toMatchObject({ pauseFile: '/run/vlog.pause' })
    expect(engineOf(['--pause-file', '/other'], env)).toMatchObject({ pauseFile: '/other' })
    expect(textOf(['store', '--phase', 'later'])).toMatch(/steady, restore, catch_up/)
    expect(textOf(['store', '--read-only', '--phase', 'steady'])).toContain('--phase exclude')
    expect(textOf(['store', '--read-only', '--pause-file', 'x'])).toContain('--pause-file exclude')
  })

  test('--read-only attaches', () => {
    expect(configOf(['maindb', '--read-only']).app.stores[0]?.init.mode).toBe('attached')
    expect(textOf(['--read-only'])).toContain('needs a DIR')
    expect(textOf(['empty', '--read-only'])).toContain('/work/empty is empty')
    expect(textOf(['store', '--read-only', '--workload'])).toContain('exclude')
    expect(textOf(['store', '--read-only', '--create'])).toContain('exclude')
  })

  test('a folder that is no data folder is refused, an absent one asks for --create', () => {
    expect(textOf(['photos', '--create'])).toContain('neither maindb/ nor index.db')
    expect(textOf(['absent'])).toContain('--create')
    expect(textOf(['empty'])).toContain('--create')
    expect(configOf(['absent', '--create']).dir).toBe('/work/absent')
    expect(configOf(['empty', '--create']).dir).toBe('/work/empty')
  })

  test('the token is random unless given', () => {
    const token = configOf([]).app.tokens.operator
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(configOf([]).app.tokens.operator).not.toBe(token)
    expect(configOf(['--token', 'a-token-of-the-test']).app.tokens.operator).toBe(
      'a-token-of-the-test',
    )
    expect(
      configOf([], { env: { RESTAGE_TOKEN: 'token-in-environment' } }).app.tokens.operator,
    ).toBe('token-in-environment')
    expect(textOf(['--token', 'short'])).toContain('16 to 200')
    const same = ['--token', 'a-token-of-the-test', '--viewer-token', 'a-token-of-the-test']
    expect(textOf(same)).toContain('must differ')
    const viewer = { env: { RESTAGE_VIEWER_TOKEN: 'viewer-in-environment' } }
    expect(configOf([], viewer).app.tokens.viewer).toBe('viewer-in-environment')
    expect(configOf([]).app.tokens.viewer).not.toBe(configOf([]).app.tokens.operator)
  })

  test('a bad token in the environment is refused as one on the command line', () => {
    const intent = intentOf([], { env: { RESTAGE_TOKEN: 'no' } })
    expect(intent).toMatchObject({ kind: 'stop', exitCode: 2 })
  })

  test('origins are exact', () => {
    const args = ['--allow-origin', 'https://a.example', '--allow-origin', 'http://localhost:5173']
    expect(configOf(args).app.allowedOrigins).toEqual([
      'https://a.example',
      'http://localhost:5173',
    ])
    for (const origin of ['a.example', 'https://a.example/path', 'ftp://a.example', '*']) {
      expect(textOf(['--allow-origin', origin])).toContain('an origin is')
    }
  })

  test('a browser is opened on a desktop terminal only', () => {
    const desktop = { DISPLAY: ':0' }
    expect(configOf([], { env: desktop }).openBrowser).toBe(true)
    expect(configOf([], { platform: 'darwin' }).openBrowser).toBe(true)
    expect(configOf([]).openBrowser).toBe(false)
    expect(configOf(['--no-open'], { env: desktop }).openBrowser).toBe(false)
    expect(configOf(['--json-ready'], { env: desktop }).openBrowser).toBe(false)
    expect(configOf([], { env: desktop, isTerminal: false }).openBrowser).toBe(false)
  })

  test('help and mistakes stop with a text and a code', () => {
    const help = intentOf(['serve', '--help'])
    expect(help).toMatchObject({ kind: 'stop', exitCode: 0 })
    for (const word of [
      '--read-only',
      '--port',
      '--mode',
      '--profile',
      '--token',
      '--allow-origin',
      '--json-ready',
    ]) {
      expect(help.kind === 'stop' && help.text).toContain(word)
    }
    expect(help.kind === 'stop' && help.text).not.toContain('[]')
    expect(intentOf(['--port', '70000'])).toMatchObject({ kind: 'stop', exitCode: 2 })
    expect(textOf(['--port', '70000'])).toContain('0 to 65535')
    expect(textOf(['--nonsense'])).toContain('--nonsense')
    expect(textOf(['--mode', 'fast'])).toContain('auto')
  })
})
