/** The built program as a process: ready line, signals, exit codes. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CLOSE_CODES } from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import { temporaryFolder, TOKEN } from './test-server.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))

interface Ended {
  code: number | null
  output: string
}

interface Ready {
  url: string
  port: number
  pid: number
}

function start(
  args: string[],
  cwd: string,
): { child: ChildProcessWithoutNullStreams; ended: Promise<Ended> } {
  const env = { ...process.env, DISPLAY: '', WAYLAND_DISPLAY: '' }
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString()
    })
  }
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, output }))
  })
  return { child, ended }
}

async function readyOf(child: ChildProcessWithoutNullStreams): Promise<Ready> {
  for await (const line of createInterface(child.stdout)) {
    const message = JSON.parse(line) as Ready & { event: string }
    if (message.event === 'ready') return message
  }
  throw new Error('it ended before it was ready')
}

describe('restage serve', () => {
  const quiet = ['--json-ready', '--log-level', 'silent', '--port', '0', '--token', TOKEN]

  test('makes a store, serves it and ends in order on SIGTERM', async () => {
    const cwd = temporaryFolder()
    const { child, ended } = start(['serve', 'store', '--create', ...quiet], cwd)
    const ready = await readyOf(child)
    expect(ready.pid).toBe(child.pid)
    expect(ready.url).toBe(`http://127.0.0.1:${ready.port}/#token=${TOKEN}`)
    const client = await new LiveClient(`http://127.0.0.1:${ready.port}`, TOKEN).hello('store')
    await client.find('snapshot')
    child.kill('SIGTERM')
    expect((await client.closed).code).toBe(CLOSE_CODES.SHUTTING_DOWN)
    expect((await ended).code).toBe(0)
    expect(fs.existsSync(path.join(cwd, 'store/maindb/index.db'))).toBe(true)

    // The folder is left in order: it opens again without --create.
    const again = start(['store', ...quiet], cwd)
    await readyOf(again.child)
    again.child.kill('SIGINT')
    expect((await again.ended).code).toBe(0)
  })

  test('the demo store appears below the working folder and works by itself', async () => {
    const cwd = temporaryFolder()
    const { child, ended } = start(quiet, cwd)
    const { port } = await readyOf(child)
    const client = await new LiveClient(`http://127.0.0.1:${port}`, TOKEN).hello('demo')
    await client.find('frame', (frame) => frame.workload?.status === 'churning')
    child.kill('SIGTERM')
    expect((await ended).code).toBe(0)
    expect(fs.existsSync(path.join(cwd, 'data/demo/maindb'))).toBe(true)
  })

  test('a taken port ends it when it was asked for by name', async () => {
    const holder = net.createServer()
    onTestFinished(() => void holder.close())
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const { port } = holder.address() as net.AddressInfo
    const { ended } = start(['store', '--create', '--port', String(port)], temporaryFolder())
    const { code, output } = await ended
    expect(code).toBe(1)
    expect(output).toContain(`port ${port} on 127.0.0.1 is taken`)
  })

  test('help and mistakes', async () => {
    const cwd = temporaryFolder()
    const help = await start(['--help'], cwd).ended
    expect([help.code, help.output.includes('serve')]).toEqual([0, true])
    const absent = await start(['absent'], cwd).ended
    expect([absent.code, absent.output.includes('--create')]).toEqual([2, true])
  })
})

describe('output of a command', () => {
  const folder = path.join(import.meta.dirname, '../data/treedb-split-mixed')

  function run(stdout: 'pipe' | number, args: string[]): Promise<Ended> {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', stdout, 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    child.stdout?.destroy()
    let output = ''
    child.stderr?.on('data', (data: Buffer) => (output += data.toString()))
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })))
  }

  test.each([['inspect', folder], ['plan', folder, '--json'], ['--help']])(
    'that finds no room is a failure: %s',
    async (...args) => {
      const full = fs.openSync('/dev/full', 'w')
      onTestFinished(() => fs.closeSync(full))
      const { code, output } = await run(full, args)
      expect(output).toMatch(/^restage: standard output: ENOSPC: .*\n$/)
      expect(code).toBe(1)
    },
  )

  test('that its reader has seen enough of is none', async () => {
    expect(await run('pipe', ['inspect', folder, '--json'])).toEqual({ code: 0, output: '' })
  })
})
