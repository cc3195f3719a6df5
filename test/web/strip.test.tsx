// @vitest-environment happy-dom
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, expect, test, vi } from 'vitest'
import { initialState, type AppState } from '../../web/state/app-state.ts'
import { appStore } from '../../web/state/store.ts'
import { Strip } from '../../web/views/strip.tsx'
import { makeGauges, makeSegment, makeState, makeStore } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

afterEach(() => {
  vi.useRealTimers()
  appStore.setState(initialState, true)
})

function stateOf(storeId: string, segments: number): AppState {
  return {
    ...initialState,
    link: { phase: 'live' },
    store: makeStore({ storeId, name: storeId }),
    engine: makeState({
      segments: Array.from({ length: segments }, (_, index) => makeSegment(index + 1)),
    }),
    gauges: makeGauges(),
  }
}

test('what is announced is about the store that is shown, and otherwise at most once in 15 s', () => {
  vi.useFakeTimers()
  appStore.setState(stateOf('a', 2), true)
  const box = document.createElement('div')
  document.body.append(box)
  const root = createRoot(box)
  const announced = () => box.querySelector('[data-testid="announced"]')?.textContent
  act(() => root.render(<Strip />))
  expect(announced()).toContain('all 2 segments')
  act(() => appStore.setState(stateOf('a', 3), true))
  expect(announced()).toContain('all 2 segments')
  // Another store: at first without numbers, and then with them.
  act(() => appStore.setState({ ...stateOf('b', 0), engine: null }, true))
  expect(announced()).toBe('Waiting for the first numbers.')
  act(() => appStore.setState(stateOf('b', 5), true))
  expect(announced()).toContain('all 5 segments')
  act(() => appStore.setState(stateOf('b', 6), true))
  expect(announced()).toContain('all 5 segments')
  act(() => {
    vi.advanceTimersByTime(15_000)
  })
  expect(announced()).toContain('all 6 segments')
  act(() => root.unmount())
})
