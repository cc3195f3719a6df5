/** One request to its handler, and the answer or the refusal back. */
import { failureOf, Refusal } from '../refusal.ts'
import type { RequestHandlers, RequestMessage, WorkerMessage } from './worker-contract.ts'

/** A handler of the name in the message, as the message's body was made for it. */
type AnyHandler = (body: unknown) => unknown

export function dispatch(
  handlers: Partial<RequestHandlers>,
  { id, name, body }: RequestMessage,
  post: (message: WorkerMessage) => void,
): void {
  const refuse = (error: unknown): void => post({ kind: 'refused', id, failure: failureOf(error) })
  try {
    const handler = handlers[name] as AnyHandler | undefined
    if (handler === undefined) throw new Refusal('READ_ONLY', `this store does not take ${name}`)
    const result = handler(body)
    if (result instanceof Promise) {
      result.then((value: unknown) => post({ kind: 'answer', id, answer: value }), refuse)
    } else {
      // In this very turn: a snapshot must not be overtaken by a batch.
      post({ kind: 'answer', id, answer: result })
    }
  } catch (error) {
    refuse(error)
  }
}
