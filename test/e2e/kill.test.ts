/** kill -9 of the server during churn: what was acknowledged is there after a restart, ten times. */
import { afterAll, expect, test } from 'vitest'
import type { EngineState, KeyBody } from '../../server/protocol.ts'
import { cleanUp, startServer, temporaryFolder, type Server } from './support.ts'

afterAll(cleanUp)

const CYCLES = 10
const WRITERS = 4

/** Acknowledged versions by key; a version still in flight may be there or not. */
interface Oracle {
  acknowledged: Map<string, number>
  inFlight: Map<string, number>
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

/** About 700 bytes, so that values go to the log. */
function valueOf(key: string, version: number): string {
  return `${key}=${String(version)};`.padEnd(700, `${key}:${String(version)} `)
}

/** Overwrites its own keys until the server dies under it. */
async function write(server: Server, oracle: Oracle, writer: number): Promise<void> {
  for (let n = 0; ; n++) {
    const keys = [0, 1, 2].map((i) => `w${String(writer)}/k${String((n * 3 + i) % 30)}`)
    const versions = keys.map((key) => (oracle.acknowledged.get(key) ?? 0) + 1)
    keys.forEach((key, i) => oracle.inFlight.set(key, versions[i] ?? 0))
    const operations = keys.map((key, i) => ({
      op: 'put',
      key: base64(key),
      value: base64(valueOf(key, versions[i] ?? 0)),
    }))
    try {
      const response = await server.post('/batch', { operations })
      if (!response.ok) throw new Error(await response.text())
    } catch (error) {
      // Only a dead server ends a writer; anything it answered would be a finding.
      if (server.child.exitCode === null && server.child.signalCode === null) {
        if (!(error instanceof TypeError)) throw error
      }
      return
    }
    keys.forEach((key, i) => {
      oracle.acknowledged.set(key, versions[i] ?? 0)
      oracle.inFlight.delete(key)
    })
  }
}

async function read(server: Server, key: string): Promise<string> {
  const body = await server.get<KeyBody>(`/keys/${Buffer.from(key).toString('hex')}`)
  return Buffer.from(body.value, 'base64').toString()
}

async function check(server: Server, oracle: Oracle): Promise<void> {
  for (const [key, version] of oracle.acknowledged) {
    const found = await read(server, key)
    const allowed = [version, oracle.inFlight.get(key) ?? version].map((v) => valueOf(key, v))
    expect(allowed, `${key} after ${String(version)} acknowledged versions`).toContain(found)
    if (found !== allowed[0]) oracle.acknowledged.set(key, oracle.inFlight.get(key) ?? version)
  }
  oracle.inFlight.clear()
}

test('kill -9 during churn loses no acknowledged write, ten times; queue and stage come back', async () => {
  const dir = temporaryFolder()
  const oracle: Oracle = { acknowledged: new Map(), inFlight: new Map() }
  // Delays that put the kill into different moments; the same in every run.
  const killAfterMs = [120, 700, 250, 900, 180, 400, 1100, 60, 600, 330]
  let staged: EngineState['debt'] | null = null
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const server = await startServer([
      dir,
      '--create',
      '--profile',
      'durable',
      '--workload',
      '--port',
      '0',
    ])
    await check(server, oracle)
    const { state } = await server.get<{ state: EngineState }>('/state')
    if (staged !== null) {
      expect(state.debt.queue).toEqual(staged.queue)
      expect(state.debt.stage?.observedAtMs).toBe(staged.stage?.observedAtMs)
    }
    const verified = await server.act('verify', {})
    expect(verified.differences).toEqual([])
    const writers = Array.from({ length: WRITERS }, (_, writer) => write(server, oracle, writer))
    await new Promise((resolve) => setTimeout(resolve, killAfterMs[cycle]))
    if (cycle === CYCLES - 2) staged = await stageSomething(server)
    await server.kill()
    await Promise.all(writers)
  }
  expect(oracle.acknowledged.size).toBeGreaterThan(WRITERS * 20)
  expect(staged?.queue.length).toBeGreaterThan(0)
})

/** Stages debt in step mode, so that nothing consumes it before the kill. */
async function stageSomething(server: Server): Promise<EngineState['debt']> {
  await server.act('mode', { mode: 'step' })
  await server.act('checkpoint', {})
  const { pass } = await server.act('stage', {
    filters: { minStaleRatio: 0.01, minAgeMs: 0, maxSegments: 3 },
  })
  expect(pass.sentence).toMatch(/staged/i)
  return pass.after
}
