/** GET preview: what each pass would do, for whoever may look; what is said is what then happens. */
import { describe, expect, test } from 'vitest'
import type { MaintenancePreview, StoreSnapshot } from '../../server/protocol.ts'
import { temporaryFolder } from '../support/engine-fixture.ts'
import { SMALL_STEP_STORE, startServer, STORE, VIEWER_TOKEN } from './test-server.ts'

describe('GET preview', () => {
  test('says what the checkpoint and each asked-for pass do next, and changes nothing', async () => {
    const server = await startServer({ dir: temporaryFolder(), engine: SMALL_STEP_STORE })
    for (const fill of ['a', 'b', 'c']) await server.put('key', 100, fill)
    const preview = async () => {
      const { status, body } = await server.get<MaintenancePreview>(`/stores/${STORE}/preview`)
      expect(status).toBe(200)
      return body
    }
    const state = async () => (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body.state
    const before = await state()
    const { checkpoint, wakes } = await preview()
    expect(await state()).toEqual(before)
    // Step mode: only a checkpoint is left, and by itself it kicks nothing.
    expect(wakes).toMatchObject([{ on: 'checkpoint', pass: { outcome: null } }])
    expect(wakes[0]?.pass.sentence).toBe(
      'No pass: in step mode a checkpoint kicks nothing by itself.',
    )
    const { pass } = await server.act('checkpoint', {})
    expect(pass?.gates).toEqual(checkpoint.gates)
    expect(pass?.outcome).toBe(checkpoint.outcome)
    const { asked } = await preview()
    const next = await server.act('stage-confirm', {})
    expect(next.pass.gates).toEqual(asked.rewrite_stage_confirm.gates)
    expect(next.pass.blockedBy).toBe(asked.rewrite_stage_confirm.blockedBy)
  })

  test('is there for a viewer, and refused for a folder that is only read', async () => {
    const dir = temporaryFolder()
    const hosted = await startServer({ dir, engine: SMALL_STEP_STORE })
    const url = `${hosted.origin}/api/v1/stores/${STORE}/preview`
    const headers = { authorization: `Bearer ${VIEWER_TOKEN}` }
    expect((await fetch(url, { headers })).status).toBe(200)
    await hosted.act('checkpoint', {})
    await hosted.app.close()
    const attached = await startServer({ dir, mode: 'attached' })
    const { body } = await attached.get(`/stores/${STORE}/preview`)
    expect(body.error.code).toBe('READ_ONLY')
  })
})
