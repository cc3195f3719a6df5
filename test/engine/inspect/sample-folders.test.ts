import * as fs from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  DATA,
  READ_AT_MS,
  copyOf,
  expectedReading,
  fingerprint,
  read,
  tempFolder,
} from './reading.ts'

const PLAIN = 'treedb-march-plain'
const MIXED = 'treedb-split-mixed'

describe('a plain folder of March 2026', () => {
  test('reads exactly as its expected JSON', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { keys: true })
    expect(report).toEqual(expectedReading(PLAIN))
  })

  test('reads exactly as its expected JSON with the journal laid over it', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { keys: true, replay: true })
    expect(report).toEqual(expectedReading(`${PLAIN}.replayed`))
  })

  test('leaves keys out unless asked, and counts the same', async () => {
    const { keys, system_keys, ...rest } = expectedReading(PLAIN)
    expect(keys).toBeDefined()
    expect(system_keys).toBeDefined()
    expect((await read(`${DATA}/${PLAIN}`)).report).toEqual(rest)
  })

  test('counts keys through the overlay without listing them', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { replay: true })
    expect(report.key_count).toBe(expectedReading(`${PLAIN}.replayed`).key_count)
    expect(report.replayed).toBe(true)
  })

  test('a folder that is maindb itself reads the same', async () => {
    const { report, state, info } = await read(`${DATA}/${PLAIN}/maindb`, { keys: true })
    expect(report).toEqual(expectedReading(PLAIN))
    expect(info.dir).toBe(`${DATA}/${PLAIN}`)
    expect(state.segments[0]?.file).toBe('maindb/wal/value-l0-000001.log')
  })

  test('a copy of maindb by another name is a root of its own', async () => {
    const folder = `${tempFolder()}/copy`
    fs.cpSync(`${DATA}/${PLAIN}/maindb`, folder, { recursive: true })
    const { report, state, info } = await read(folder, { keys: true })
    expect(report).toEqual(expectedReading(PLAIN))
    expect(info.dir).toBe(folder)
    expect(state.segments[0]?.file).toBe('wal/value-l0-000001.log')
  })

  test('gives the state that a hosted folder would have', async () => {
    const { state, info, attachment } = await read(`${DATA}/${PLAIN}`)
    expect(info).toMatchObject({ layout: 'wal', checksum: 'crc32c', readOnly: true })
    expect(state.checkpoint).toEqual({ commitSeq: 7, atMs: null, elapsedMs: null })
    expect(state.debt.queue).toEqual([2147483649, 2147483650])
    expect(state.debt.stage).toMatchObject({ observedAtMs: 1_774_000_000_000, minStaleRatio: null })
    expect(state.scheduler.state).toBe('disabled')
    expect(attachment).toEqual({
      readAtMs: READ_AT_MS,
      commitSeq: 7,
      keyCount: 53,
      liveBytesUnknown: null,
      journalPending: 5,
      unsupported: [],
      problems: [
        'wal/value-l1-000002.log has a torn tail of 7 bytes',
        '1 journal batch with a record id that no value log holds: a replay skips it whole',
      ],
    })
  })

  test('live + stale = total, and why a dead segment is kept is said', async () => {
    const { state } = await read(`${DATA}/${PLAIN}`)
    for (const segment of state.segments) {
      expect(segment.bytesLive + segment.bytesStale).toBe(segment.bytesTotal)
    }
    const brief = state.segments.map(({ file, state: how, keptBy }) => [file, how, keptBy])
    expect(brief).toEqual([
      ['maindb/wal/value-l0-000001.log', 'sealed', []],
      ['maindb/wal/value-l0-000002.log', 'active', []],
      ['maindb/wal/value-l1-000001.log', 'sealed', []],
      ['maindb/wal/value-l1-000002.log', 'active', [{ kind: 'active_writer' }]],
      [
        'maindb/wal/value-l2-000001.log',
        'active',
        [{ kind: 'active_writer' }, { kind: 'journal' }],
      ],
    ])
  })

  test('a fully live segment has stale bytes exactly 0 although upstream counts differ (X1)', async () => {
    const { report, state } = await read(`${DATA}/${PLAIN}`)
    const reading = report.segments.find(({ file }) => file === 'wal/value-l1-000001.log')
    const segment = state.segments.find(({ segmentId }) => segmentId === reading?.file_id)
    expect(reading).toMatchObject({ total_bytes: 4258, live_bytes: 4813, live_disk_bytes: 4258 })
    expect(segment).toMatchObject({ bytesTotal: 4258, bytesLive: 4258, bytesStale: 0 })
  })
})

describe('a split folder with every encoding', () => {
  test.each([
    [MIXED, false],
    [`${MIXED}.replayed`, true],
  ])('reads exactly as %s.expected.json', async (expected, replay) => {
    const { report, attachment } = await read(`${DATA}/${MIXED}`, { keys: true, replay })
    expect(report).toEqual(expectedReading(expected))
    expect(attachment.unsupported).toEqual([])
  })

  test('leaves keys out unless asked, and counts the same', async () => {
    const { keys, system_keys, ...rest } = expectedReading(MIXED)
    expect(keys).toBeDefined()
    expect(system_keys).toBeDefined()
    expect((await read(`${DATA}/${MIXED}`)).report).toEqual(rest)
  })

  test('info says which layout and checksum it is', async () => {
    const { info, state } = await read(`${DATA}/${MIXED}`)
    expect(info).toMatchObject({ layout: 'split', checksum: 'ieee' })
    expect(state.segments[0]?.file).toBe('maindb/value_vlog/value-l0-000001.log')
  })
})

describe('a read-only attach', () => {
  test.each([PLAIN, MIXED])(
    'leaves %s byte-identical: no new file, no changed time',
    async (name) => {
      const folder = copyOf(name)
      const before = fingerprint(folder)
      await read(folder, { keys: true, replay: true })
      await read(folder)
      expect(fingerprint(folder)).toEqual(before)
    },
  )
})
