/**
 * Applying the journal at an opening: what came after the last checkpoint goes into the memtable, and the
 * checkpoint that follows into the tree. Then the journal's files go, one after the other, and a kill may
 * come between any two: what is left of them is replayed again, alone.
 */
import { assert } from './assert.ts'
import { keyString } from './bytes.ts'
import { encodedBatchBytes, type JournalBatch, type JournalOperation } from './commit-log/codec.ts'
import type { Journal } from './commit-log/journal.ts'
import { fitsLeaf } from './index/leaf.ts'
import type { KeyListRebuild } from './key-list-rebuild.ts'
import type { KeyChange, KeySpace } from './key-space.ts'
import type { ValuePointer } from './value-pointer.ts'
import { ridOf } from './value-log/record.ts'
import type { ValueLog } from './value-log/value-log.ts'

/** So that no batch is too large because it has many records. */
const LAST_WORD_BATCH_BYTES = 2 ** 20

/** Batches of which every id is known. A batch with an unknown one is left out whole (fence). */
export function wholeBatches(
  batches: readonly JournalBatch[],
  pointers: ReadonlyMap<bigint, ValuePointer>,
): JournalBatch[] {
  return batches.filter(({ operations }) =>
    operations.every((one) => one.op !== 'set_rid' || pointers.has(ridOf(one.rid))),
  )
}

/** Applies batches that are whole. Returns how many records they have. */
export function replay(
  batches: readonly JournalBatch[],
  into: {
    keySpace: KeySpace
    keyLists: KeyListRebuild
    valueLog: ValueLog
    pointers: ReadonlyMap<bigint, ValuePointer>
  },
): number {
  let records = 0
  for (const { operations } of batches) {
    const changes = operations.map((operation) => changeOf(operation, into))
    into.keySpace.apply(changes)
    for (const { key, value } of changes) {
      if (value.kind === 'pointer') into.keyLists.add(value.pointer, key)
    }
    records += changes.length
  }
  return records
}

function changeOf(
  operation: JournalOperation,
  from: { valueLog: ValueLog; pointers: ReadonlyMap<bigint, ValuePointer> },
): KeyChange {
  const { key } = operation
  if (operation.op === 'delete') return { key, value: { kind: 'tombstone' } }
  if (operation.op === 'set_inline') {
    const { value } = operation
    if (fitsLeaf(key, value)) return { key, value: { kind: 'inline', value } }
    // Other writers journal values of any length. The checkpoint syncs the log before the tree names it.
    const pointer = from.valueLog.append(key, value, from.valueLog.takeRid())
    return { key, value: { kind: 'pointer', pointer } }
  }
  const pointer = from.pointers.get(ridOf(operation.rid))
  assert(pointer !== undefined, `record id ${ridOf(operation.rid)} of a whole batch is known`)
  return { key, value: { kind: 'pointer', pointer } }
}

/**
 * Where numbers interleave over files, as other writers' lanes do, no order of deletion leaves only what may
 * be replayed alone: an older batch may outlive a newer one. So the last word on every key is written under
 * the number `seq`, above all of theirs, in a file that is deleted last. On disk when it resolves.
 */
export async function writeLastWord(
  journal: Journal,
  seq: number,
  batches: readonly JournalBatch[],
): Promise<void> {
  const last = new Map<string, JournalOperation>()
  for (const { operations } of batches) {
    for (const operation of operations) last.set(keyString(operation.key), operation)
  }
  let operations: JournalOperation[] = []
  let bytes = 0
  const append = (): void => {
    journal.append({ seq, operations })
    operations = []
    bytes = 0
  }
  for (const operation of last.values()) {
    const more = encodedBatchBytes([operation])
    if (operations.length > 0 && bytes + more > LAST_WORD_BATCH_BYTES) append()
    operations.push(operation)
    bytes += more
  }
  if (operations.length > 0) append()
  await journal.sync()
  journal.rotate()
}
