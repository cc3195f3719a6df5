/** A store's worker as it is, which tells the bench which thread it is. */
import { workerData } from 'node:worker_threads'
import type { WorkerInit } from '../../server/store/worker-contract.ts'
import { leaveThread } from './threads.ts'

leaveThread((workerData as WorkerInit).dir)
await import('../../server/store/store-worker.ts')
