import { describe, expect, test } from 'vitest'
import type { EngineEventBody } from '../../server/protocol.ts'
import { describeEvent } from '../../web/lib/describe-event.ts'
import { eventGroups, groupOfEvent } from '../../web/lib/words.ts'
import { checkpoint, gcReport, oneOfEachEvent } from '../support/one-of-each-event.ts'
import { makeEvent } from './fixtures.ts'

describe('describeEvent', () => {
  test.each(Object.entries(oneOfEachEvent))('%s is one readable line', (type, [fields, words]) => {
    const line = describeEvent(makeEvent(1, { type, ...fields } as EngineEventBody))
    expect(line).not.toContain('\n')
    expect(line).not.toMatch(/undefined|NaN|\[object/)
    for (const word of words) expect(line).toContain(word)
  })

  test('a dry GC run does not claim to have deleted anything', () => {
    const line = describeEvent(
      makeEvent(1, {
        type: 'gc_run',
        phase: 'standalone',
        reason: 'periodic_gc',
        report: { ...gcReport, dryRun: true, deleted: [] },
      }),
    )
    expect(line).toContain('could go')
    expect(line).not.toContain('deleted')
  })

  test('a checkpoint with nothing to do says so', () => {
    const line = describeEvent(
      makeEvent(1, { type: 'checkpoint_done', report: { ...checkpoint, noop: true } }),
    )
    expect(line).toContain('nothing was waiting')
  })

  test('a rewrite that dealt with its stale bytes says whether the log shrank, GC counted in', () => {
    const [fields] = oneOfEachEvent.rewrite_effective_local
    const words = (sizes: { bytesBefore: number; bytesAfter: number; gcBytesDeleted: number }) =>
      describeEvent(makeEvent(1, { type: 'rewrite_effective_local', ...fields, ...sizes }))
    expect(words({ bytesBefore: 9000, bytesAfter: 9500, gcBytesDeleted: 4096 })).toContain(
      'log shrank',
    )
    expect(words({ bytesBefore: 9000, bytesAfter: 9500, gcBytesDeleted: 0 })).toContain(
      'did not shrink',
    )
  })

  test('every event type is filed under a chip that exists', () => {
    for (const group of Object.values(groupOfEvent)) expect(eventGroups).toContain(group)
    expect(Object.keys(groupOfEvent).sort()).toEqual(Object.keys(oneOfEachEvent).sort())
  })
})
