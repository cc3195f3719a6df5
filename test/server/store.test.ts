import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  API_BASE,
  type ActionName,
  type PassesBody,
  type StoresBody,
} from '../../server/protocol.ts'
import { actionBodySchemas } from '../../server/schemas.ts'
import { SMALL_STEP_STORE, startServer, STORE, temporaryFolder, WORKER_URL } from './test-server.ts'

const BODIES: Partial<Record<ActionName, unknown>> = {
  gc: { dryRun: true },
  'run-pass': { source: 'periodic' },
  'run-until': { until: { kind: 'passes' }, passesMax: 1, advanceMaxMs: 1 },
  'set-options': { options: {} },
  'set-breakpoints': { breakpoints: [] },
  'hold-iterator': { label: 'x', from: '' },
  'release-pin': { pinId: 1 },
  rewrite: { segmentIds: [1] },
  mode: { mode: 'step' },
  'set-phase': { phase: 'restore' },
  'set-pause-file': { reason: null },
  'advance-clock': { ms: 1 },
  'hold-snapshot': { label: 'x' },
  'release-snapshot': { pinId: 1 },
}

/** Content hash and times of everything below a folder. */
function fingerprint(folder: string): Record<string, string> {
  const seen: Record<string, string> = {}
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  for (const name of ['.', ...names]) {
    const stat = fs.statSync(path.join(folder, name), { bigint: true })
    const content = stat.isFile() ? fs.readFileSync(path.join(folder, name)) : ''
    const hash = createHash('sha256').update(content).digest('hex')
    seen[name] = `${hash} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.mode} ${stat.ino}`
  }
  return seen
}

/** A folder with live and stale segments, closed in order. */
async function writtenFolder(): Promise<string> {
  const dir = temporaryFolder()
  const server = await startServer({ dir })
  await server.put('k', 200, 'a')
  await server.put('k', 150, 'b')
  await server.act('checkpoint', {})
  await server.put('k', 10, 'c')
  await server.close()
  return dir
}

describe('hosted store', () => {
  test('is listed with its engine', async () => {
    const dir = temporaryFolder()
    const server = await startServer({ dir })
    const { body } = await server.get<StoresBody>('/stores')
    expect(body.stores).toMatchObject([
      { storeId: STORE, mode: 'hosted', status: 'open', failure: null, attachment: null },
    ])
    expect(body.stores[0]?.engine).toMatchObject({ dir, profile: 'fast', readOnly: false })
  })

  test('keys are written in batches and read one by one', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.put('k', 3, 'z')
    const url = (key: string): string => `/stores/${STORE}/keys/${Buffer.from(key).toString('hex')}`
    const { body } = await server.get<{ key: string; value: string }>(url('k000001'))
    expect(Buffer.from(body.key, 'base64').toString()).toBe('k000001')
    expect(Buffer.from(body.value, 'base64')).toEqual(Buffer.alloc(1024, 'z'))
    const operations = [{ op: 'delete', key: Buffer.from('k000001').toString('base64') }]
    expect((await server.post(`/stores/${STORE}/batch`, { operations })).status).toBe(200)
    expect((await server.get(url('k000001'))).body.error.code).toBe('NOT_FOUND')
    const bad = [{ op: 'delete', key: 'not base64!' }]
    expect((await server.post(`/stores/${STORE}/batch`, { operations: bad })).status).toBe(400)
  })

  test('maintenance is stepped: plan, stage, advance, confirm, one rewritten, the rest restaged', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.put('k', 400, 'a')
    await server.put('k', 200, 'b', 2)
    await server.act('checkpoint', {})
    await server.act('advance-clock', { ms: 600_000 })

    const filters = { minStaleRatio: 0.2, minAgeMs: 0 }
    const { plan } = await server.act('plan', { filters })
    expect(plan.selected.length).toBeGreaterThan(2)
    const staged = await server.act('stage', { filters })
    expect(staged.pass.outcome).toBe('staged')
    const early = await server.act('stage-confirm', {})
    expect(early.pass).toMatchObject({ outcome: 'blocked', blockedBy: 'stage_due' })

    await server.act('advance-clock', { ms: 600_000 })
    const { pass } = await server.act('stage-confirm', {})
    expect(pass.outcome).toBe('rewrote')
    expect(pass.after.queue).toHaveLength(pass.before.queue.length - 1)
    expect(pass.after.stage).not.toBeNull()

    const { body } = await server.get<PassesBody>(`/stores/${STORE}/passes`)
    expect(body.passes.map((one) => one.passId).slice(0, 2)).toEqual([
      pass.passId,
      early.pass.passId,
    ])
    const { differences } = await server.act('verify', {})
    expect(differences).toEqual([])
  })

  test('a checkpoint answers with the pass that it kicked, or with why there was none', async () => {
    const maintenance = { triggerTotalBytes: 1, minSegmentAgeMs: 0, genericMinStaleRatio: 0.2 }
    const engine = {
      ...SMALL_STEP_STORE,
      maintenance: { ...maintenance, efficacyMinTotalBytes: 1 },
    }
    const server = await startServer({ dir: temporaryFolder(), engine })
    await server.put('k', 400, 'a')
    await server.put('k', 200, 'b', 2)
    const kicked = await server.act('checkpoint', {})
    expect(kicked.checkpoint.entriesMerged).toBe(400)
    expect(kicked.pass).toMatchObject({ source: 'checkpoint_kick', outcome: 'rewrote' })
    expect(kicked.pass?.after.stage).not.toBeNull()
    await server.act('pause', {})
    const paused = await server.act('checkpoint', {})
    expect(paused).toMatchObject({
      pass: null,
      kickSkipped: expect.stringContaining('paused') as unknown,
    })
    await server.act('resume', {})
  })

  test('a held snapshot keeps a dead segment, releasing it deletes the file', async () => {
    const dir = temporaryFolder()
    const server = await startServer({ dir })
    await server.put('k', 200, 'a')
    await server.act('checkpoint', {})
    const { pinId } = await server.act('hold-snapshot', { label: 'reader of the test' })
    await server.put('k', 200, 'b')
    await server.act('checkpoint', {})
    await server.act('checkpoint', {})
    const held = await server.carryOut({ action: 'gc', body: {} })
    expect(held).toMatchObject({ action: 'gc', answer: { gc: { deleted: [] } } })

    const { deleted } = await server.act('release-snapshot', { pinId })
    expect(deleted.length).toBeGreaterThan(0)
    const again = await server.post(`/stores/${STORE}/actions/release-snapshot`, { pinId })
    expect(again.body.error.code).toBe('NOT_FOUND')
  })

  test('the clock is advanced in step mode only', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const before = (await server.act('advance-clock', { ms: 0 })).nowMs
    expect((await server.act('advance-clock', { ms: 1000 })).nowMs).toBe(before + 1000)
    await server.act('mode', { mode: 'auto' })
    const { status, body } = await server.post(`/stores/${STORE}/actions/advance-clock`, { ms: 1 })
    expect([status, body.error.code]).toEqual([400, 'BAD_REQUEST'])
    await server.act('mode', { mode: 'step' })
    // Time never jumps back: the advance stays.
    expect((await server.act('advance-clock', { ms: 0 })).nowMs).toBeGreaterThanOrEqual(
      before + 1000,
    )
  })

  test('the engine’s refusals keep their codes', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const key = Buffer.alloc(70_000, 'k').toString('base64')
    const operations = [{ op: 'put', key, value: '' }]
    const { status, body } = await server.post(`/stores/${STORE}/batch`, { operations })
    expect([status, body.error.code]).toEqual([400, 'ENGINE_KEY_SIZE'])
  })

  test('a folder that another engine holds is a failed store', async () => {
    const dir = temporaryFolder()
    await startServer({ dir })
    const second = await startServer({ dir })
    const { body } = await second.get<StoresBody>('/stores')
    expect(body.stores).toMatchObject([
      { status: 'failed', failure: { code: 'ENGINE_LOCKED' }, engine: null },
    ])
    const client = await second.live().hello(STORE)
    expect((await client.find('error')).code).toBe('STORE_FAILED')
    const answer = await second.post(`/stores/${STORE}/actions/pause`, {})
    expect([answer.status, answer.body.error.code]).toEqual([503, 'STORE_FAILED'])
  })

  test('a worker that dies is a failed store, and the server lives', async () => {
    // The real worker, and a request that throws outside of every handler.
    const code = `
      import { parentPort } from 'node:worker_threads'
      await import(${JSON.stringify(WORKER_URL.href)})
      parentPort.on('message', ({ name }) => { if (name === 'verify') throw new Error('planted') })
    `
    const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const server = await startServer({ dir: temporaryFolder(), deps: { workerUrl } })
    const client = await server.live().hello(STORE)
    await client.find('snapshot')
    const answer = await server.post(`/stores/${STORE}/actions/verify`, {})
    expect([answer.status, answer.body.error.code]).toEqual([503, 'STORE_FAILED'])
    const { store } = await client.find('store')
    expect(store).toMatchObject({ status: 'failed', failure: { code: 'STORE_FAILED' } })
    expect(store.failure?.message).toContain('planted')
    expect((await fetch(`${server.origin}/healthz`)).status).toBe(200)
    expect((await server.get<StoresBody>('/stores')).status).toBe(200)
  })
})

describe('workload', () => {
  test('fills, churns, stops, and resumes where the store’s own records end', async () => {
    const dir = temporaryFolder()
    const workload = { keys: 500, putsPerSecond: 4000, restMs: 0 }
    const first = await startServer({ dir, workload: { ...workload, autostart: true } })
    const client = await first.live().hello(STORE)
    await client.find('frame', (frame) => (frame.workload?.height ?? 0) >= 3)
    const stopped = (await first.act('workload-stop', {})).workload
    expect(stopped).toMatchObject({ status: 'stopped', failure: null })
    expect(stopped.putsTotal).toBeGreaterThan(500)
    expect((await first.act('verify', {})).differences).toEqual([])
    await first.close()

    const second = await startServer({ dir, workload })
    const again = await second.live().hello(STORE)
    await second.act('workload-start', { settings: { shape: 'uniform' } })
    const frame = await again.find('frame', (f) => (f.workload?.height ?? 0) > stopped.height)
    expect(frame.workload?.settings).toMatchObject({ ...workload, shape: 'uniform' })
    // The key space is there, so nothing was filled again.
    const heights = (frame.workload?.height ?? 0) - stopped.height
    expect(frame.workload?.putsTotal).toBe(heights * 201)
  })

  test('is capped by the bytes of the value log, and its settings are checked', async () => {
    const server = await startServer({ dir: temporaryFolder(), workload: { keys: 10, restMs: 0 } })
    const settings = { diskCapBytes: 1, putsPerSecond: 5000 }
    await server.act('workload-start', { settings })
    const client = await server.live().hello(STORE)
    const capped = await client.find('frame', (frame) => frame.workload?.status === 'capped')
    expect(capped.workload?.settings.diskCapBytes).toBe(1)
    const bad = await server.post(`/stores/${STORE}/actions/workload-start`, {
      settings: { keys: 0 },
    })
    expect(bad.body.error.code).toBe('BAD_REQUEST')
  })
})

describe('attached store', () => {
  test('leaves the folder as it is, down to the times of its files', async () => {
    const dir = await writtenFolder()
    const before = fingerprint(dir)
    const server = await startServer({ dir, mode: 'attached' })
    const client = await server.live().hello(STORE)
    const snapshot = await client.find('snapshot')
    expect(snapshot).toMatchObject({
      seq: 0,
      events: [],
      store: { mode: 'attached', status: 'open' },
    })
    expect(snapshot.store.attachment).toMatchObject({
      keyCount: 200,
      unsupported: [],
      problems: [],
    })
    expect(snapshot.snapshot.workload).toBeNull()
    expect(snapshot.snapshot.state.segments.length).toBeGreaterThan(2)
    for (const segment of snapshot.snapshot.state.segments) {
      expect(segment.bytesLive + segment.bytesStale).toBe(segment.bytesTotal)
      expect(fs.statSync(path.join(dir, segment.file)).size).toBe(segment.bytesTotal)
    }
    await server.act('reread', {})
    await server.close()
    expect(fingerprint(dir)).toEqual(before)
  })

  test('refuses everything that could write', async () => {
    const dir = await writtenFolder()
    const server = await startServer({ dir, mode: 'attached' })
    for (const name of Object.keys(actionBodySchemas) as ActionName[]) {
      // Those that come as a plan only are refused below.
      if (name === 'reread' || name === 'rewrite' || name === 'vacuum') continue
      const { status, body } = await server.post(
        `/stores/${STORE}/actions/${name}`,
        BODIES[name] ?? {},
      )
      expect([name, status, body.error.code]).toEqual([name, 403, 'READ_ONLY'])
    }
    for (const [action, asked] of [
      ['gc', {}],
      ['rewrite', { segmentIds: [1] }],
      ['vacuum', {}],
    ]) {
      const plan = await server.post(`/stores/${STORE}/plans`, { action, body: asked })
      expect([action, plan.body.error.code]).toEqual([action, 'READ_ONLY'])
    }
    const operations = [{ op: 'delete', key: 'aaaa' }]
    const batch = await server.post(`/stores/${STORE}/batch`, { operations })
    expect(batch.body.error.code).toBe('READ_ONLY')
    expect((await server.get(`/stores/${STORE}/keys/61`)).body.error.code).toBe('READ_ONLY')
    const { body } = await server.get<PassesBody>(`/stores/${STORE}/passes`)
    expect(body.passes).toEqual([])
  })

  test('reading again is a new stream that shows what changed', async () => {
    const dir = await writtenFolder()
    const server = await startServer({ dir, mode: 'attached' })
    const client = await server.live().hello(STORE)
    const first = await client.find('snapshot')

    const writer = await startServer({ dir, engine: SMALL_STEP_STORE })
    await writer.put('new', 100, 'n')
    await writer.act('checkpoint', {})
    const { attachment } = await server.act('reread', {})
    expect(attachment.keyCount).toBe(300)
    const second = await client.find('snapshot', (snapshot) => snapshot.reason === 'resync')
    expect(second.streamId).not.toBe(first.streamId)
    expect(second.store.attachment?.keyCount).toBe(300)
    // A client that kept the old position is told the same way.
    const late = await server.live().hello(STORE, { streamId: first.streamId, seq: 0 })
    expect(await late.find('snapshot')).toMatchObject({ reason: 'resync' })
  })

  test('rereading is for attached stores', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const { body } = await server.post(`/stores/${STORE}/actions/reread`, {})
    expect(body.error.code).toBe('BAD_REQUEST')
  })

  test('a folder without data is a failed store', async () => {
    const server = await startServer({ dir: temporaryFolder(), mode: 'attached' })
    const answer = await server.app.inject({
      url: `${API_BASE}/stores`,
      headers: {
        host: new URL(server.origin).host,
        authorization: 'Bearer token-of-the-server-tests',
      },
    })
    expect(answer.json()).toMatchObject({
      stores: [{ status: 'failed', failure: { code: 'ENGINE_NOT_A_FOLDER' } }],
    })
  })
})
