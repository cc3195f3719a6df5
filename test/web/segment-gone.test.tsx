// @vitest-environment happy-dom
// What is told of one segment: of one that is not on disk, when the trace does not have its deletion, too.
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, describe, expect, test } from 'vitest'
import type { PassReport } from '../../server/protocol.ts'
import { initialState } from '../../web/state/app-state.ts'
import { appStore } from '../../web/state/store.ts'
import { SegmentDetails } from '../../web/views/segment-details.tsx'
import { makeGauges, makeGc, makePass, makeSegment, makeState, makeStore } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

afterEach(() => appStore.setState(initialState, true))

function shown(segmentId: number, passes: PassReport[], segment = makeSegment(1)): string {
  appStore.setState(
    {
      ...initialState,
      link: { phase: 'live' },
      store: makeStore(),
      engine: makeState({ segments: [segment] }),
      gauges: makeGauges(),
      passes: passes.map((report) => ({ report, repeats: 1, firstStartedAtMs: 0 })),
    },
    true,
  )
  const box = document.createElement('div')
  document.body.append(box)
  const root = createRoot(box)
  act(() => root.render(<SegmentDetails id={segmentId} />))
  const text = box.textContent
  act(() => root.unmount())
  return text
}

test('only a segment that is not written any more has its time from its file', () => {
  const words = 'from the file’s time'
  const sealed = makeSegment(1, { ageSource: 'mtime', sealedAtMs: 5 })
  expect(shown(sealed.segmentId, [], sealed)).toContain(words)
  const active = makeSegment(1, { ageSource: 'mtime', state: 'active', sealedAtMs: null })
  const text = shown(active.segmentId, [], active)
  expect(text).toContain('still being written')
  expect(text).not.toContain(words)
})

describe('a segment that is not on disk', () => {
  const { segmentId } = makeSegment(12)

  test('was deleted by the pass that says so, though its event is not loaded', () => {
    const step = { kind: 'gc' as const, report: makeGc([segmentId], 1000) }
    const pass = makePass(10, { steps: [step] })
    const text = shown(segmentId, [pass])
    expect(text).toContain('It is not on disk any more.')
    expect(text).toContain('by pass 10')
  })

  test('is not said to have been there when nothing tells of it', () => {
    const text = shown(segmentId, [])
    expect(text).toContain(
      'No segment L0-12 is on disk, and nothing that this page holds names one.',
    )
    expect(text).not.toContain('any more')
    expect(text).not.toContain('Choose for a rewrite')
  })
})
