/** Many records checked by one checksum: whatever is wrong with one of them shows. */
import { describe, expect, test } from 'vitest'
import { changeRid, headerAt, sealRecord, verifyRecord } from '../../../engine/value-log/record.ts'
import { RecordRun } from '../../../engine/value-log/record-run.ts'

const HALF = 64 * 1024
/** Payload bytes; short ones, equal ones, and one beyond what tables are kept for. */
const PAYLOADS = [1, 0, 1000, 1000, 1000, 17, 9_000, 4_000]

function gathered(kind: 'ieee' | 'crc32c'): { memory: Buffer; run: RecordRun } {
  const memory = Buffer.alloc(2 * HALF)
  const run = new RecordRun(memory, HALF, HALF)
  let from = 0
  PAYLOADS.forEach((payload, i) => {
    memory.fill(i * 7 + 1, from + 20, from + 20 + payload)
    const bytes = sealRecord(memory, from, payload, { high: 1, low: i + 1 }, kind)
    run.add(i, i + 90, from, bytes)
    // Stale ones lie between.
    from += bytes + 33
  })
  return { memory, run }
}

describe('a run of records', () => {
  for (const kind of ['ieee', 'crc32c'] as const) {
    test(`${kind}: sound ones lie one behind the other and get ids of their own`, () => {
      const { memory, run } = gathered(kind)
      expect(run.isSound(kind)).toBe(true)
      expect(run.bytes).toBe(PAYLOADS.reduce((sum, payload) => sum + 20 + payload, 0))
      let at = HALF
      PAYLOADS.forEach((payload, i) => {
        run.setRid(i, { high: 7, low: 1000 + i }, kind)
        expect([run.row(i), run.hash(i), run.bytesOf(i)]).toEqual([i, i + 90, 20 + payload])
        const header = headerAt(memory, at, 'copy')
        verifyRecord(memory, at, header, kind, 'copy')
        expect([header.ridHigh, header.ridLow]).toEqual([7, 1000 + i])
        at += 20 + payload
      })
      expect(run.part(0, run.count)).toEqual(memory.subarray(HALF, at))
    })

    test(`${kind}: one changed bit anywhere in any of them is seen`, () => {
      const { memory, run } = gathered(kind)
      for (let at = HALF; at < HALF + run.bytes; at += 1 + (at % 5)) {
        const byte = memory[at] as number
        memory[at] = byte ^ (1 << (at % 8))
        expect(run.isSound(kind), `byte ${at - HALF}`).toBe(false)
        memory[at] = byte
      }
      expect(run.isSound(kind)).toBe(true)
    })

    test(`${kind}: a record that is whole but no plain one is not sound`, () => {
      const { memory, run } = gathered(kind)
      sealRecord(memory, HALF, 1, null, kind)
      expect(run.isSound(kind)).toBe(false)
      sealRecord(memory, HALF, 1, { high: 0, low: 0 }, kind)
      expect(run.isSound(kind)).toBe(false)
      const crc = sealRecord(memory, HALF, 1, { high: 0, low: 9 }, kind)
      expect(crc).toBe(21)
      changeRid(
        memory,
        HALF,
        { bytes: 21, crc: memory.readUInt32LE(HALF), rid: { high: 3, low: 4 } },
        kind,
      )
      expect(run.isSound(kind)).toBe(true)
    })
  }

  test('takes no more than fits', () => {
    const run = new RecordRun(Buffer.alloc(200), 100, 100)
    expect([run.takes(100), run.takes(101)]).toEqual([true, false])
    run.add(0, 0, 0, 60)
    expect([run.takes(40), run.takes(41)]).toEqual([true, false])
    run.clear()
    expect(run.takes(100)).toBe(true)
  })
})
