/** The example of embedding as the program that it is: it starts, serves both sides, and ends in order. */
import { spawn } from 'node:child_process'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { StoresBody } from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import { startServer, STORE, temporaryFolder } from './test-server.ts'

const EXAMPLE = fileURLToPath(new URL('../../dist/server/examples/embed.js', import.meta.url))

test('the example of embedding starts, answers beside Restage, and leaves its folder in order', async () => {
  const dir = path.join(temporaryFolder(), 'embedded')
  const child = spawn(process.execPath, [EXAMPLE, dir, '0'])
  onTestFinished(() => void child.kill('SIGKILL'))
  let complaints = ''
  child.stderr.on('data', (data: Buffer) => (complaints += data.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    void exited.then((code) => reject(new Error(`it ended with ${code}: ${complaints}`)))
  })
  const { origin, pathname, hash } = new URL(address)
  expect(pathname).toBe('/restage/')
  const token = new URLSearchParams(hash.slice(1)).get('token') ?? ''

  // Its own routes, which know nothing of tokens.
  const put = await fetch(`${origin}/values/greeting`, {
    method: 'PUT',
    headers: { 'content-type': 'text/plain' },
    body: 'hello',
  })
  expect(await put.json()).toEqual({ ok: true })
  expect(await (await fetch(`${origin}/values/greeting`)).text()).toBe('hello')
  expect((await fetch(`${origin}/values/nothing`)).status).toBe(404)

  // Restage below its prefix, closed without the token, and following the program's engine.
  const stores = `${origin}/restage/api/v1/stores`
  expect((await fetch(stores)).status).toBe(401)
  const answer = await fetch(stores, { headers: { authorization: `Bearer ${token}` } })
  const { stores: listed } = (await answer.json()) as StoresBody
  expect(listed).toMatchObject([{ dir, mode: 'hosted', status: 'open', closable: false }])
  const live = new LiveClient(origin, token, {}, '/restage/api/v1/live')
  const client = await live.hello(listed[0]?.storeId ?? '')
  const snapshot = await client.find('snapshot')
  expect(snapshot.snapshot.gauges.puts).toBe(1)

  child.kill('SIGTERM')
  expect((await client.closed).code).toBe(4012)
  expect([await exited, complaints]).toEqual([0, ''])
  const reopened = await startServer({ dir })
  const { body } = await reopened.get<{ value: string }>(
    `/stores/${STORE}/keys/${Buffer.from('greeting').toString('hex')}`,
  )
  expect(Buffer.from(body.value, 'base64').toString()).toBe('hello')
})
