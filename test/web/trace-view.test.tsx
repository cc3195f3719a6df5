// @vitest-environment happy-dom
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, expect, test, vi } from 'vitest'
import { CHUNK_SIZE, appendToLog, emptyLog } from '../../web/lib/chunked-log.ts'
import { initialState, type TraceEntry, type TraceLog } from '../../web/state/app-state.ts'
import { appStore } from '../../web/state/store.ts'
import { navigate } from '../../web/state/ui-store.ts'
import { TraceView } from '../../web/views/trace-view.tsx'
import { makeEvent, makeSegment, skipEvent } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

const limits = { weigh: () => 1, weightMax: Infinity, lengthMax: Infinity }

/** `count` events, every hundredth the sealing of a segment. */
function traceOf(count: number): TraceLog {
  const entries = Array.from({ length: count }, (_, index): TraceEntry => {
    const seq = index + 1
    const event =
      seq % 100 === 0
        ? makeEvent(seq, { type: 'segment_sealed', segment: makeSegment(1) })
        : skipEvent(seq)
    return { kind: 'event', stream: 1, event }
  })
  return appendToLog<TraceEntry>(emptyLog, entries, limits)
}

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  appStore.setState(initialState, true)
})

test('a search of a long trace goes on from frame to frame to its end, and begins anew with a new filter', () => {
  const frames = new Map<number, FrameRequestCallback>()
  let frameId = 0
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => {
    frames.set((frameId += 1), callback)
    return frameId
  })
  vi.stubGlobal('cancelAnimationFrame', (id: number) => frames.delete(id))
  let clockMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (clockMs += 100))
  const length = CHUNK_SIZE * 4
  appStore.setState({ ...initialState, trace: traceOf(length) }, true)
  const box = document.createElement('div')
  document.body.append(box)
  const title = () => box.querySelector('#trace-title')?.textContent ?? ''
  /** Runs the frame asked for; false when there is none. */
  const frame = (): boolean => {
    const next = [...frames.values()]
    frames.clear()
    act(() => next.forEach((callback) => callback(clockMs)))
    return next.length > 0
  }

  const root = createRoot(box)
  act(() => root.render(<TraceView />))
  act(() => navigate({ traceText: 'sealed' }))
  expect(title()).toContain('so far')
  let drawn = 0
  while (frame()) drawn += 1
  expect(drawn).toBeGreaterThan(1)
  expect(title()).toBe(
    `Trace: ${String(Math.floor(length / 100))} lines of the newest ${length.toLocaleString('en-US')} events`,
  )

  act(() => navigate({ traceText: 'no such word' }))
  expect(title()).toContain('so far')
  while (frame());
  expect(title()).toContain('0 lines of')
  act(() => root.unmount())
})
