/** What a batch of writes may hold: checked before anything of it is written. Pure. */
import type { BatchOperation } from './api.ts'
import { BATCH_HEADER_BYTES, RECORD_HEADER_BYTES, checkBatchBytes } from './commit-log/codec.ts'
import { EngineError } from './errors.ts'
import { MAX_VALUE_BYTES } from './value-log/record.ts'

export const MAX_KEY_BYTES = 2000

/** Refuses before anything is written: what the format cannot hold, and a journal batch nobody would read. */
export function checkSizes(operations: readonly BatchOperation[], inlineThreshold: number): void {
  let journalBytes = BATCH_HEADER_BYTES
  for (const operation of operations) {
    checkSize(operation)
    journalBytes += RECORD_HEADER_BYTES + operation.key.length
    if (operation.op === 'put' && operation.value.length <= inlineThreshold) {
      journalBytes += operation.value.length
    }
  }
  checkBatchBytes(journalBytes)
}

function checkSize(operation: BatchOperation): void {
  const { key } = operation
  if (!(key instanceof Uint8Array)) throw new TypeError('a key must be a Uint8Array')
  if (key.length === 0 || key.length > MAX_KEY_BYTES) {
    throw new EngineError(
      'ENGINE_KEY_SIZE',
      `a key has ${key.length} bytes, allowed are 1 to ${MAX_KEY_BYTES}`,
    )
  }
  if (operation.op === 'delete') return
  if (!(operation.value instanceof Uint8Array)) throw new TypeError('a value must be a Uint8Array')
  if (operation.value.length > MAX_VALUE_BYTES) {
    throw new EngineError(
      'ENGINE_VALUE_SIZE',
      `a value has ${operation.value.length} bytes, at most ${MAX_VALUE_BYTES} are allowed`,
    )
  }
}
