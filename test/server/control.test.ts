/** Actions in two steps, several stores side by side, folders below roots, the debugger of passes. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { Plans } from '../../server/plans.ts'
import {
  CLOSE_CODES,
  type AppliedPlan,
  type AuditBody,
  type FoldersBody,
  type PassProgress,
  type PassReport,
  type PlansBody,
  type StoreBody,
  type StoredPlan,
  type StoreSnapshot,
  type StoresBody,
} from '../../server/protocol.ts'
import type { StoreClient } from '../../server/store/store-client.ts'
import {
  SMALL_STEP_STORE,
  startServer,
  STORE,
  temporaryFolder,
  VIEWER_TOKEN,
  WORKER_URL,
  type TestServer,
} from './test-server.ts'

/** A store with segments that are partly stale, and one that is wholly. */
async function storeWithDebt(): Promise<TestServer> {
  const server = await startServer({ dir: temporaryFolder() })
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await server.act('checkpoint', {})
  return server
}

/** An index of more than a megabyte that needs a part of it. */
async function storeWithSparseIndex(): Promise<TestServer> {
  const server = await startServer({
    dir: temporaryFolder(),
    engine: { ...SMALL_STEP_STORE, inlineThreshold: 2048 },
  })
  await server.put('k', 2_000, 'a')
  await server.act('checkpoint', {})
  const operations = Array.from({ length: 2_000 }, (_, i) => ({
    op: 'delete',
    key: Buffer.from(`k${String(i).padStart(6, '0')}`).toString('base64'),
  })).filter((_, i) => i % 20 !== 0)
  await server.post(`/stores/${STORE}/batch`, { operations })
  await server.act('checkpoint', {})
  await server.act('checkpoint', {})
  return server
}

async function staleSegments(server: TestServer): Promise<number[]> {
  const { plan } = await server.act('plan', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
  return plan.selected.map((entry) => entry.segmentId)
}

describe('a stored plan', () => {
  test('says what it would do, and applying it does exactly that', async () => {
    const server = await storeWithDebt()
    const segmentIds = (await staleSegments(server)).slice(0, 2)
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds } })
    expect(plan).toMatchObject({ status: 'open', storeId: STORE, weight: 'plain' })
    expect(plan.inputHash).toMatch(/^[0-9a-f]{64}$/)
    const total = plan.effect.segments.reduce((sum, segment) => sum + segment.bytesTotal, 0)
    expect(plan.confirm).toEqual({ segments: 2, bytes: total })
    expect(plan.effect.bytesCopied + plan.effect.bytesGained).toBe(plan.effect.bytesFreed)

    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const { body } = await server.post<AppliedPlan>(url, { confirm: plan.confirm })
    if (body.action !== 'rewrite') throw new Error('another action was applied')
    const rewrites = body.answer.pass.steps.filter((step) => step.kind === 'rewrite')
    const sources = rewrites.flatMap(({ report }) => report.sourceSegmentsRequested)
    expect(sources).toEqual(segmentIds)
    const processed = rewrites.reduce((sum, { report }) => sum + report.sourceBytesProcessed, 0)
    expect(processed).toBe(plan.effect.bytesCopied)
    const freed = body.answer.pass.steps.flatMap((step) =>
      step.kind === 'gc' ? [step.report] : [],
    )
    expect(freed.reduce((sum, report) => sum + report.bytesDeleted, 0)).toBe(
      plan.effect.bytesFreedNow,
    )
    expect(plan.effect).toMatchObject({ bytesFreed: total, bytesFreedNow: total, waitsFor: [] })
    expect((await server.act('verify', {})).differences).toEqual([])
    const written = rewrites.reduce((sum, { report }) => sum + report.bytesWritten, 0)
    const { body: audit } = await server.get<AuditBody>('/audit')
    const entry = audit.entries.find(({ what }) => what.endsWith('/apply'))
    expect(entry?.result).toContain(`rewrite: ${plan.sentence}. Done: pass `)
    expect(entry?.result).toContain(
      `${String(written)} bytes written, 2 segments of ${String(total)} bytes deleted`,
    )
    const again = await server.post(url, { confirm: plan.confirm })
    expect(again.body.error.code).toBe('CONFLICT')
  })

  test('of a rewrite names the readers that its files wait for, and frees nothing before they end', async () => {
    const server = await storeWithDebt()
    const segmentIds = (await staleSegments(server)).slice(0, 2)
    const { pinId } = await server.act('hold-snapshot', { label: 'backup' })
    await server.act('hold-iterator', { label: 'scan', from: '' })
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds } })
    expect(plan.effect).toMatchObject({ bytesFreedNow: 0, bytesFreed: plan.confirm.bytes })
    expect(plan.effect.waitsFor.map(({ kind, label }) => [kind, label])).toEqual([
      ['snapshot', 'backup'],
      ['iterator', 'scan'],
    ])
    expect(plan.sentence).toContain(
      `the files stay until snapshot backup (pin ${String(pinId)}) and 1 more reader end`,
    )
    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const { body } = await server.post<AppliedPlan>(url, { confirm: plan.confirm })
    if (body.action !== 'rewrite') throw new Error('another action was applied')
    const deleted = body.answer.pass.steps.map((step) =>
      step.kind === 'gc' ? step.report.bytesDeleted : 0,
    )
    expect(Math.max(...deleted)).toBe(0)

    // They are dead now: alone they are refused, beside a living one they are left out.
    const refused = await server.post(`/stores/${STORE}/plans`, {
      action: 'rewrite',
      body: { segmentIds },
    })
    expect(refused.body.error.code).toBe('ENGINE_REWRITE_REFUSED')
    expect(refused.body.error.message).toContain('nothing live is in value-l0-')
    const [third = 0] = await staleSegments(server)
    const mixed = await server.plan({
      action: 'rewrite',
      body: { segmentIds: [...segmentIds, third] },
    })
    expect(mixed.confirm.segments).toBe(1)
    expect(mixed.effect.segments.map(({ segmentId, fate }) => [segmentId, fate])).toEqual([
      [third, 'rewritten'],
      ...segmentIds.map((id) => [id, 'kept']),
    ])
    expect(mixed.sentence).toContain('; 2 are dead already and left to GC')
    const carried = await server.carryOut({
      action: 'rewrite',
      body: { segmentIds: [...segmentIds, third] },
    })
    if (carried.action !== 'rewrite') throw new Error('another action was applied')
    const sources = carried.answer.pass.steps.flatMap((step) =>
      step.kind === 'rewrite' ? step.report.sourceSegmentsRequested : [],
    )
    expect(sources).toEqual([third])
  })

  test('is refused when a reader came that its files would wait for', async () => {
    const server = await storeWithDebt()
    const segmentIds = (await staleSegments(server)).slice(0, 1)
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds } })
    await server.act('hold-snapshot', { label: 'late' })
    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const { body } = await server.post(url, { confirm: plan.confirm })
    expect(body.error.code).toBe('PLAN_CHANGED')
  })

  test('is refused when its input changed, and nothing was done', async () => {
    const server = await storeWithDebt()
    const [first = 0] = await staleSegments(server)
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds: [first] } })
    // Somebody else rewrites the segment meanwhile.
    await server.carryOut({ action: 'rewrite', body: { segmentIds: [first] } })
    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const passes = (await server.get<{ passes: unknown[] }>(`/stores/${STORE}/passes`)).body.passes
    const { status, body } = await server.post(url, { confirm: plan.confirm })
    expect(status).toBeGreaterThanOrEqual(400)
    expect(['PLAN_CHANGED', 'ENGINE_SEGMENT_MISSING']).toContain(body.error.code)
    const after = await server.get<{ passes: unknown[] }>(`/stores/${STORE}/passes`)
    expect(after.body.passes).toHaveLength(passes.length)
    const { body: listed } = await server.get<PlansBody>(`/stores/${STORE}/plans`)
    expect(listed.plans.map((one) => one.status)).toEqual(['applied', 'refused'])
  })

  test('of a GC is refused once more became dead, and still applies when live bytes fell', async () => {
    const server = await storeWithDebt()
    const [first = 0] = await staleSegments(server)
    const rewrite = await server.plan({ action: 'rewrite', body: { segmentIds: [first] } })
    await server.put('k', 50, 'c', 2)
    const url = `/stores/${STORE}/plans/${rewrite.planId}/apply`
    expect((await server.post(url, { confirm: rewrite.confirm })).status).toBe(200)

    const gc = await server.plan({ action: 'gc', body: {} })
    await server.put('k', 400, 'd')
    await server.act('checkpoint', {})
    await server.act('checkpoint', {})
    const answer = await server.post(`/stores/${STORE}/plans/${gc.planId}/apply`, {
      confirm: gc.confirm,
    })
    expect(answer.status).toBe(409)
    expect(answer.body.error.code).toBe('PLAN_CHANGED')
  })

  test('is refused with another confirmation, after being discarded, and by direct actions', async () => {
    const server = await storeWithDebt()
    const segmentIds = (await staleSegments(server)).slice(0, 1)
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds } })
    const url = `/stores/${STORE}/plans/${plan.planId}`
    const wrong = { confirm: { ...plan.confirm, bytes: plan.confirm.bytes + 1 } }
    const refused = await server.post(`${url}/apply`, wrong)
    expect(refused.status).toBe(422)
    expect(refused.body.error.code).toBe('PLAN_NOT_CONFIRMED')
    const { body } = await server.delete<{ plan: StoredPlan }>(url)
    expect(body.plan.status).toBe('discarded')
    const late = await server.post(`${url}/apply`, { confirm: plan.confirm })
    expect(late.body.error.code).toBe('CONFLICT')
    for (const [name, direct] of [
      ['rewrite', { segmentIds }],
      ['gc', { dryRun: false }],
    ] as const) {
      const answer = await server.post(`/stores/${STORE}/actions/${name}`, direct)
      expect([answer.status, answer.body.error.code]).toEqual([428, 'PLAN_REQUIRED'])
    }
    const unknown = { action: 'rewrite', body: { segmentIds: [999_999] } }
    const missing = await server.post(`/stores/${STORE}/plans`, unknown)
    expect(missing.body.error.code).toBe('ENGINE_SEGMENT_MISSING')
  })

  test('expires by the clock', async () => {
    let nowMs = 1_000
    const plans = new Plans(60_000, () => nowMs)
    const draft = {
      inputHash: 'h',
      effect: {
        segments: [],
        bytesCopied: 0,
        bytesFreed: 0,
        bytesFreedNow: 0,
        waitsFor: [],
        bytesGained: 0,
        index: null,
        irreversible: false,
      },
      confirm: { segments: 0, bytes: 0 },
      weight: 'plain',
      sentence: '',
    }
    const store = {
      place: { storeId: 'x' },
      request: () => Promise.resolve(draft),
    } as unknown as StoreClient
    const plan = await plans.make(store, { action: 'gc', body: {} })
    nowMs += 59_999
    expect(plans.list('x')).toMatchObject([{ status: 'open' }])
    nowMs += 1
    expect(plans.list('x')).toMatchObject([{ status: 'expired' }])
    await expect(plans.apply(store, plan.planId, plan.confirm)).rejects.toMatchObject({
      code: 'PLAN_EXPIRED',
    })
  })

  test('to vacuum says what it copies and frees, runs once, and is refused when nothing is left to free', async () => {
    const server = await storeWithSparseIndex()
    const direct = await server.post(`/stores/${STORE}/actions/vacuum`, {})
    expect([direct.status, direct.body.error.code]).toEqual([428, 'PLAN_REQUIRED'])
    const plan = await server.plan({ action: 'vacuum', body: {} })
    const { effect, confirm } = plan
    expect(plan).toMatchObject({ status: 'open', weight: 'plain' })
    expect(effect).toMatchObject({ segments: [], irreversible: false, index: { moves: true } })
    expect(effect.bytesFreed).toBeGreaterThan(512 * 1024)
    expect(effect.bytesCopied).toBe(effect.index?.bytesMoved)
    expect(confirm).toEqual({ segments: 0, bytes: effect.bytesFreed })
    expect(plan.sentence).toContain(`${effect.bytesFreed} bytes of the file given back`)
    const other = await server.plan({ action: 'vacuum', body: {} })

    const url = `/stores/${STORE}/plans`
    const { body } = await server.post<AppliedPlan>(`${url}/${plan.planId}/apply`, { confirm })
    if (body.action !== 'vacuum') throw new Error('another action was applied')
    const { bytesBefore, bytesAfter } = body.answer.vacuum
    expect(bytesBefore - bytesAfter).toBe(effect.bytesFreed)
    const late = await server.post(`${url}/${other.planId}/apply`, { confirm: other.confirm })
    expect([late.status, late.body.error.code]).toEqual([409, 'PLAN_CHANGED'])
    expect(late.body.error.message).toContain('no space to give back')
    const { body: audit } = await server.get<AuditBody>('/audit')
    expect(audit.entries.map((entry) => entry.outcome)).toContain('refused')
  })

  test('to vacuum goes with a checkpoint in between, and names readers that would keep the pages', async () => {
    const server = await storeWithSparseIndex()
    const plan = await server.plan({ action: 'vacuum', body: {} })
    await server.put('other', 5)
    await server.act('checkpoint', {})
    const { pinId } = await server.act('hold-snapshot', { label: 'a backup' })
    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const { body } = await server.post<AppliedPlan>(url, { confirm: plan.confirm })
    if (body.action !== 'vacuum') throw new Error('another action was applied')
    expect(body.answer.vacuum.pagesHeld).toBeGreaterThan(0)
    const again = await server.plan({ action: 'vacuum', body: {} })
    expect(again.effect.index).toMatchObject({ readers: 1 })
    expect(again.sentence).toMatch(/not before the open reader ends|no space to give back/)
    await server.carryOut({ action: 'release-pin', body: { pinId } })
  })

  test('to release a pin names the segments that only it keeps', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.put('k', 200, 'a')
    await server.act('checkpoint', {})
    const { pinId } = await server.act('hold-iterator', { label: 'a long scan', from: '' })
    await server.put('k', 200, 'b')
    for (let i = 0; i < 3; i++) await server.act('checkpoint', {})
    await server.carryOut({ action: 'gc', body: {} })
    const plan = await server.plan({ action: 'release-pin', body: { pinId } })
    expect(plan.confirm.segments).toBeGreaterThan(0)
    const applied = await server.carryOut({ action: 'release-pin', body: { pinId } })
    if (applied.action !== 'release-pin') throw new Error('another action was applied')
    expect(applied.answer.deleted).toHaveLength(plan.confirm.segments)
  })
})

describe('several stores', () => {
  test('are opened, listed, closed and reopened below a root, side by side', async () => {
    const root = temporaryFolder()
    const server = await startServer({ dir: path.join(root, 'first'), allowRoots: [root] })
    await server.put('k', 50)
    const watcher = await server.live().hello(STORE)
    const dir = path.join(root, 'second')
    const made = await server.post<StoreBody>('/stores', { dir, mode: 'hosted', create: true })
    expect([made.status, made.body.store.status]).toEqual([200, 'open'])
    await watcher.find('stores', (message) => message.stores.length === 2)
    const { storeId } = made.body.store
    const follower = await server.live().hello(storeId)
    await follower.find('snapshot')

    const twice = await server.post('/stores', { dir, mode: 'attached' })
    expect(twice.body.error.code).toBe('CONFLICT')
    const { body } = await server.get<FoldersBody>(`/folders?dir=${encodeURIComponent(root)}`)
    expect(body.folders.map((folder) => [folder.name, folder.dataFolder, folder.storeId])).toEqual([
      ['first', true, expect.anything()],
      ['second', true, storeId],
    ])

    const closed = await server.delete<StoreBody>(`/stores/${storeId}`)
    expect(closed.status).toBe(200)
    expect((await follower.closed).code).toBe(CLOSE_CODES.STORE_CLOSED)
    const attached = await server.post<StoreBody>('/stores', { dir, mode: 'attached' })
    expect(attached.body.store).toMatchObject({ mode: 'attached', status: 'open' })
    const { body: list } = await server.get<StoresBody>('/stores')
    expect(list.stores.map((store) => store.mode)).toEqual(['hosted', 'attached'])
  })

  test('one that dies is shown dead, the rest lives, and it can be reopened', async () => {
    const code = `
      import { parentPort } from 'node:worker_threads'
      await import(${JSON.stringify(WORKER_URL.href)})
      parentPort.on('message', ({ name }) => { if (name === 'verify') throw new Error('planted') })
    `
    const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const root = temporaryFolder()
    const server = await startServer({
      dir: path.join(root, 'first'),
      allowRoots: [root],
      deps: { workerUrl },
    })
    await server.put('k', 50)
    const body = { dir: path.join(root, 'second'), mode: 'hosted', create: true, scheduler: 'step' }
    const { storeId } = (await server.post<StoreBody>('/stores', body)).body.store
    const survivor = await server.live().hello(storeId)
    await survivor.find('snapshot')
    const victim = await server.live().hello(STORE)
    await victim.find('snapshot')

    await server.post(`/stores/${STORE}/actions/verify`, {})
    await victim.find('store', ({ store }) => store.status === 'failed')
    const ready = await fetch(`${server.origin}/readyz`)
    expect(await ready.json()).toEqual({
      status: 'ready',
      stores: { open: 1, opening: 0, failed: 1 },
    })
    const pause = await server.post(`/stores/${storeId}/actions/pause`, {})
    expect(pause.status).toBe(200)

    const reopened = await server.post<StoreBody>(`/stores/${STORE}/reopen`, {})
    expect(reopened.body.store).toMatchObject({ status: 'open', failure: null })
    const snapshot = await victim.find('snapshot', ({ reason }) => reason === 'resync')
    expect(snapshot.store.status).toBe('open')
    // Profile fast: what no checkpoint made durable may be gone; the store is whole all the same.
    await server.put('k', 10)
    const { status } = await server.get(
      `/stores/${STORE}/keys/${Buffer.from('k000001').toString('hex')}`,
    )
    expect(status).toBe(200)
  })

  test('folders outside of the roots, by dots, by links and by links inside, are refused', async () => {
    const root = temporaryFolder()
    const outside = temporaryFolder()
    fs.mkdirSync(path.join(outside, 'maindb'))
    fs.symlinkSync(outside, path.join(root, 'link'))
    fs.mkdirSync(path.join(root, 'store', 'maindb'), { recursive: true })
    fs.symlinkSync('/etc', path.join(root, 'store', 'maindb', 'wal'))
    fs.symlinkSync(path.join(outside, 'new'), path.join(root, 'dangling'))
    fs.mkdirSync(path.join(root, 'photos'))
    fs.writeFileSync(path.join(root, 'photos', 'a.jpg'), '')
    const server = await startServer({ dir: path.join(root, 'first'), allowRoots: [root] })
    const dirs: [string, string][] = [
      [outside, 'FORBIDDEN_FOLDER'],
      ['/', 'FORBIDDEN_FOLDER'],
      ['/nowhere/at/all', 'FORBIDDEN_FOLDER'],
      ['relative', 'FORBIDDEN_FOLDER'],
      [`${root}/../${path.basename(outside)}`, 'FORBIDDEN_FOLDER'],
      [`${root}/x/../first`, 'FORBIDDEN_FOLDER'],
      [`${root}-sibling`, 'FORBIDDEN_FOLDER'],
      [path.join(root, 'link'), 'FORBIDDEN_FOLDER'],
      [path.join(root, 'link', 'maindb'), 'FORBIDDEN_FOLDER'],
      [path.join(root, 'store'), 'FORBIDDEN_FOLDER'],
      [path.join(root, 'absent'), 'NOT_FOUND'],
      [path.join(root, 'photos'), 'ENGINE_NOT_A_FOLDER'],
    ]
    for (const [dir, code] of dirs) {
      for (const mode of ['attached', 'hosted']) {
        const { status, body } = await server.post('/stores', { dir, mode })
        expect([dir, status < 400 ? 'opened' : body.error.code]).toEqual([dir, code])
      }
    }
    // Creating follows no link into nothing, and needs the parent.
    for (const dir of ['dangling', 'link/new', 'absent/new', 'photos']) {
      const body = { dir: path.join(root, dir), mode: 'hosted', create: true }
      const answer = await server.post('/stores', body)
      expect(answer.status).toBeGreaterThanOrEqual(400)
    }
    expect(fs.readdirSync(outside)).toEqual(['maindb'])
    const { body } = await server.post('/stores', { dir: outside, mode: 'attached' })
    expect(body.error.message).toContain(`--allow-root ${path.dirname(outside)}`)
    for (const dir of [outside, path.join(root, 'link')]) {
      const { status, body } = await server.get(`/folders?dir=${encodeURIComponent(dir)}`)
      expect(status < 400 ? 'listed' : body.error.code, dir).toBe('FORBIDDEN_FOLDER')
    }
    const { body: audit } = await server.get<AuditBody>('/audit')
    expect(audit.entries.some((entry) => entry.code === 'FORBIDDEN_FOLDER')).toBe(true)
  })

  test('a read-only server attaches and hosts nothing', async () => {
    const root = temporaryFolder()
    const writer = await startServer({ dir: path.join(root, 'data') })
    await writer.put('k', 50)
    await writer.close()
    const dir = path.join(root, 'data')
    const server = await startServer({ dir, mode: 'attached', readOnly: true, allowRoots: [root] })
    await server.delete(`/stores/${STORE}`)
    const hosted = await server.post('/stores', { dir, mode: 'hosted' })
    expect([hosted.status, hosted.body.error.code]).toEqual([403, 'READ_ONLY'])
    const attached = await server.post<StoreBody>('/stores', { dir, mode: 'attached' })
    expect(attached.body.store.status).toBe('open')
  })
})

describe('what holds maintenance back', () => {
  const scheduler = async (server: TestServer) =>
    (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body.state.scheduler

  test('a phase, a pause and a pause file are set with their reasons, told live, and ended', async () => {
    const pauseFile = path.join(temporaryFolder(), 'maintenance.pause')
    const engine = { ...SMALL_STEP_STORE, pauseFile, phase: 'restore' as const }
    const server = await startServer({ dir: temporaryFolder(), engine })
    const live = await server.live().hello(STORE)
    await live.find('snapshot')
    expect((await scheduler(server)).phase).toBe('restore')
    expect(await server.act('set-phase', { phase: 'catch_up' })).toEqual({ phase: 'catch_up' })
    const frame = await live.find('frame', ({ events }) =>
      events.some((event) => event.type === 'maintenance_phase_change'),
    )
    expect(frame.events).toContainEqual(
      expect.objectContaining({
        type: 'maintenance_phase_change',
        from: 'restore',
        to: 'catch_up',
      }),
    )
    const { kickSkipped } = await server.act('checkpoint', {})
    expect(kickSkipped).toBe('In the phase catch_up no pass starts by itself.')

    await server.act('pause', { reason: 'a backup runs' })
    expect(await scheduler(server)).toMatchObject({ paused: true, pauseReason: 'a backup runs' })
    await server.act('resume', {})
    expect(await scheduler(server)).toMatchObject({ paused: false, pauseReason: null })

    const sight = { present: true, reason: 'state sync' }
    expect(await server.act('set-pause-file', { reason: 'state sync' })).toEqual(sight)
    expect(fs.readFileSync(pauseFile, 'utf8')).toBe('state sync\n')
    expect((await scheduler(server)).pauseFile).toEqual({ file: pauseFile, ...sight })
    const gone = { present: false, reason: null }
    expect(await server.act('set-pause-file', { reason: null })).toEqual(gone)
    expect(fs.existsSync(pauseFile)).toBe(false)
    const { body: audit } = await server.get<AuditBody>('/audit')
    const done = audit.entries.filter((entry) => entry.outcome === 'done').map(({ what }) => what)
    expect(done.join()).toMatch(/set-phase.*pause.*resume.*set-pause-file.*set-pause-file/)
  })

  test('is refused with a phase that is none, a reason of two lines, or without a pause file', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const refused: [string, unknown, string][] = [
      ['set-phase', { phase: 'later' }, 'BAD_REQUEST'],
      ['set-phase', {}, 'BAD_REQUEST'],
      ['pause', { reason: 'one\ntwo' }, 'BAD_REQUEST'],
      ['pause', { reason: 'x'.repeat(201) }, 'BAD_REQUEST'],
      ['set-pause-file', {}, 'BAD_REQUEST'],
      ['set-pause-file', { reason: 'why' }, 'ENGINE_OPTIONS'],
    ]
    for (const [name, body, code] of refused) {
      const answer = await server.post(`/stores/${STORE}/actions/${name}`, body)
      expect([name, answer.status, answer.body.error.code]).toEqual([name, 400, code])
    }
    for (const name of ['set-phase', 'set-pause-file', 'vacuum']) {
      const answer = await server.post(`/stores/${STORE}/actions/${name}`, {}, VIEWER_TOKEN)
      expect([name, answer.body.error.code]).toEqual([name, 'FORBIDDEN_ROLE'])
    }
    expect(await scheduler(server)).toMatchObject({ phase: 'steady', paused: false })
  })
})

describe('the debugger of passes', () => {
  test('steps phase by phase, runs on, takes breakpoints and cancels', async () => {
    const server = await storeWithDebt()
    const stopped = await server.act('step-phase', { source: 'periodic' })
    expect(stopped.stop).toMatchObject({ source: 'periodic', why: 'step' })
    expect(await server.act('stopped-pass', {})).toEqual({ stop: stopped.stop })
    const busy = await server.post(`/stores/${STORE}/actions/run-pass`, { source: 'periodic' })
    expect(busy.body.error.code).toBe('ENGINE_BUSY')
    let progress: PassProgress = stopped
    for (let step = 0; progress.stop !== null && step < 20; step++) {
      progress = await server.act('step-phase', {})
    }
    expect(progress.report?.passId).toBe(stopped.stop?.passId)
    const second = await server.act('step-phase', { source: 'periodic' })
    const ended = await server.act('resume-pass', {})
    expect(ended.report?.passId).toBe(second.stop?.passId)

    const breakpoints = ['before_gc' as const]
    expect(await server.act('set-breakpoints', { breakpoints })).toEqual({ breakpoints })
    const again = await server.act('step-phase', { source: 'periodic' })
    const { pass } = await server.act('cancel-pass', {})
    expect(pass?.passId).toBe(again.stop?.passId)
    expect(await server.act('stopped-pass', {})).toEqual({ stop: null })
  })

  test('a shutdown ends a pass that stands still, and answers who waits for it', async () => {
    const server = await storeWithDebt()
    await server.act('advance-clock', { ms: 60_000 })
    await server.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
    await server.act('advance-clock', { ms: 60_000 })
    await server.act('set-breakpoints', { breakpoints: ['before_rewrite'] })
    const live = await server.live().hello(STORE)
    const waiting = server.post<{ pass: PassReport }>(`/stores/${STORE}/actions/stage-confirm`, {})
    await live.find('frame', ({ events }) => events.some(({ type }) => type === 'pass_stopped'))
    await server.close()
    const { status, body } = await waiting
    expect([status, body.pass.outcome]).toEqual([200, 'cancelled'])
  })

  test('options change while the store runs, or not at all', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const live = await server.live().hello(STORE)
    await live.find('snapshot')
    const { options } = await server.act('set-options', { options: { confirmDelayMs: 123 } })
    expect(options.confirmDelayMs).toBe(123)
    const bad = { options: { confirmDelayMs: 5, minSegmentAgeMs: -1 } }
    const { status, body } = await server.post(`/stores/${STORE}/actions/set-options`, bad)
    expect([status, body.error.code]).toEqual([400, 'ENGINE_OPTIONS'])
    expect((await server.act('set-options', { options: {} })).options.confirmDelayMs).toBe(123)
    // The worker tells it beside its answer.
    const listed = async () => {
      const { body: list } = await server.get<StoresBody>('/stores')
      return list.stores[0]?.engine?.options
    }
    let last = await listed()
    for (let i = 0; i < 200 && last?.confirmDelayMs !== 123; i++) last = await listed()
    expect(last).toEqual(options)
    const told = await live.find('store', ({ store }) => store.engine !== null)
    expect(told.store.engine?.options).toEqual(options)
  })

  test('run-until jumps to what the scheduler waits for, and says what ended it', async () => {
    const engine = {
      ...SMALL_STEP_STORE,
      maintenance: {
        triggerTotalBytes: 1,
        minSegmentAgeMs: 60_000,
        efficacyMinTotalBytes: 1,
        genericMinStaleRatio: 0.2,
      },
    }
    const server = await startServer({ dir: temporaryFolder(), engine })
    await server.put('k', 400, 'a')
    await server.put('k', 200, 'b', 2)
    await server.act('checkpoint', {})
    const answer = await server.act('run-until', {
      until: { kind: 'event', event: 'rewrite_done' },
      passesMax: 50,
      advanceMaxMs: 600_000,
    })
    expect(answer.ended).toBe('held')
    expect(answer.passes.at(-1)?.steps.some((step) => step.kind === 'rewrite')).toBe(true)
    expect(answer.advancedMs).toBeGreaterThanOrEqual(15_000)
    const short = await server.act('run-until', {
      until: { kind: 'outcome', outcome: 'failed' },
      passesMax: 2,
      advanceMaxMs: 3_600_000,
    })
    expect(['passes_max', 'nothing_waits']).toContain(short.ended)
    await server.act('mode', { mode: 'auto' })
    const auto = await server.post(`/stores/${STORE}/actions/run-until`, {
      until: { kind: 'passes' },
      passesMax: 1,
      advanceMaxMs: 1,
    })
    expect(auto.body.error.code).toBe('BAD_REQUEST')
  })
})
