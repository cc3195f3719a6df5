// @vitest-environment happy-dom
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, expect, test, vi } from 'vitest'
import { CHUNK_SIZE, appendToLog, emptyLog } from '../../web/lib/chunked-log.ts'
import { initialState, type TraceEntry, type TraceLog } from '../../web/state/app-state.ts'
import { appStore } from '../../web/state/store.ts'
import { defaultRoute } from '../../web/lib/route.ts'
import { navigate, uiStore } from '../../web/state/ui-store.ts'
import { TraceView } from '../../web/views/trace-view.tsx'
import { makeEvent, makeSegment, skipEvent } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

const limits = { weigh: () => 1, weightMax: Infinity, lengthMax: Infinity }

/** The trace on the page, with what draws it; `grow` = so many events more than before. */
function drawTrace(): { box: HTMLElement; grow: (to: number) => void; end: () => void } {
  const box = document.createElement('div')
  document.body.append(box)
  const root = createRoot(box)
  const grow = (to: number) =>
    act(() => appStore.setState({ ...initialState, trace: traceOf(to) }, true))
  act(() => root.render(<TraceView />))
  return { box, grow, end: () => act(() => root.unmount()) }
}

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
  act(() => appStore.setState(initialState, true))
  uiStore.setState({ route: defaultRoute })
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

test('lines that rush by are drawn with the elements of those that went', () => {
  const { box, grow, end } = drawTrace()
  grow(1000)
  const before = [...box.querySelectorAll('.trace-item')]
  const seqs = () =>
    [...box.querySelectorAll('[data-seq]')].map((row) => row.getAttribute('data-seq'))
  expect(seqs()[0]).toBe('1000')
  grow(2000)
  expect(seqs()[0]).toBe('2000')
  expect(new Set(seqs()).size).toBe(before.length)
  expect([...box.querySelectorAll('.trace-item')]).toEqual(before)
  end()
})

test('an element with the focus never shows another line than the one that was focused', () => {
  const { box, grow, end } = drawTrace()
  grow(1000)
  const line = box.querySelector<HTMLButtonElement>('[data-seq="998"] button')
  act(() => line?.focus())
  expect(document.activeElement).toBe(line)
  // Three more push it down: it keeps its element, which does not move among the others.
  grow(1003)
  expect(document.activeElement).toBe(line)
  expect(line?.closest('[data-seq]')?.getAttribute('data-seq')).toBe('998')
  grow(2000)
  expect(box.contains(line)).toBe(false)
  expect(document.activeElement).toBe(document.body)
  end()
})

test('a click opens the line that was pressed, also when another one has come to its place', () => {
  const { box, grow, end } = drawTrace()
  grow(1000)
  const line = box.querySelector('[data-seq="999"] button')
  const press = (type: string, detail: number) =>
    act(() => {
      line?.dispatchEvent(new MouseEvent(type, { bubbles: true, detail }))
    })
  press('pointerdown', 1)
  grow(2000)
  expect(line?.closest('[data-seq]')?.getAttribute('data-seq')).toBe('1999')
  press('click', 1)
  expect(uiStore.getState().route.drawer).toEqual({ kind: 'event', seq: 999 })
  // A key opens the line it is pressed on.
  press('click', 0)
  expect(uiStore.getState().route.drawer).toEqual({ kind: 'event', seq: 1999 })
  end()
})
