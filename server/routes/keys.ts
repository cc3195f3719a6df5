/** Reading one key and writing batches: bytes are hex in the address and base64 in bodies. */
import { answers } from '../answers.ts'
import type { App } from '../app.ts'
import type { BatchOperation } from '../engine-door.ts'
import { API_BASE, type BatchBody, type KeyBody } from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import { batchBodySchema, keyParamsSchema, storeParamsSchema } from '../schemas.ts'
import type { Stores } from '../stores.ts'

const BATCH_BODY_LIMIT = 16 * 1024 * 1024

export function registerKeyRoutes(app: App, stores: Stores): void {
  app.get(
    `${API_BASE}/stores/:storeId/keys/:keyHex`,
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'One value',
        tags: ['keys'],
        params: keyParamsSchema,
        response: answers('KeyBody'),
      },
    },
    async (request): Promise<KeyBody> => {
      const { storeId, keyHex } = request.params
      const key = Buffer.from(keyHex, 'hex')
      const { value } = await stores.client(storeId).request('get-key', { key })
      if (value === null) throw new Refusal('NOT_FOUND', `no key ${keyHex}`)
      return { key: key.toString('base64'), value: Buffer.from(value).toString('base64') }
    },
  )

  app.post(
    `${API_BASE}/stores/:storeId/batch`,
    {
      bodyLimit: BATCH_BODY_LIMIT,
      config: { access: 'operator', changes: true },
      schema: {
        summary: 'Atomic writes',
        tags: ['keys'],
        params: storeParamsSchema,
        body: batchBodySchema,
        response: answers('BatchAnswer'),
      },
    },
    (request) =>
      stores
        .client(request.params.storeId)
        .request('batch', { operations: operationsOf(request.body) }),
  )
}

function operationsOf(body: BatchBody): BatchOperation[] {
  return body.operations.map((operation): BatchOperation => {
    const key = Buffer.from(operation.key, 'base64')
    if (operation.op === 'delete') return { op: 'delete', key }
    return { op: 'put', key, value: Buffer.from(operation.value, 'base64') }
  })
}
