/** Entry of the worker that reads recordings: no reading of the past delays a page, a frame or a store. */
import { parentPort } from 'node:worker_threads'
import { failureOf } from '../refusal.ts'
import type { HistoryAnswer, HistoryQuestion } from './history-contract.ts'
import { HistoryReader } from './history-reader.ts'

if (parentPort === null) throw new TypeError('history-worker.ts runs in a worker thread only')
const port = parentPort
const reader = new HistoryReader()

port.on('message', ({ id, dir, request }: HistoryQuestion) => {
  const post = (answer: HistoryAnswer): void => port.postMessage(answer)
  reader.answer(dir, request).then(
    (json) => post({ id, json, failure: null }),
    (error: unknown) => post({ id, json: null, failure: failureOf(error) }),
  )
})
