// @vitest-environment happy-dom
// Words of the states that are easy to forget: a store that failed, one that is empty, a folder only read.
import { act, type ReactNode } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, expect, test } from 'vitest'
import { painterOf } from '../../web/charts/segment-colour.ts'
import { initialState, type AppState } from '../../web/state/app-state.ts'
import { appStore } from '../../web/state/store.ts'
import { BudgetPane } from '../../web/views/budget-pane.tsx'
import { DebtPanel } from '../../web/views/debt-panel.tsx'
import { FailedStore, FailureBanner } from '../../web/views/screens.tsx'
import { NOW, makeGauges, makeSegment, makeState, makeStore, options } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

afterEach(() => appStore.setState(initialState, true))

function drawn(state: Partial<AppState>, node: ReactNode): { html: string; text: string } {
  appStore.setState({ ...initialState, link: { phase: 'live' }, ...state }, true)
  const box = document.createElement('div')
  const root = createRoot(box)
  act(() => root.render(node))
  const found = { html: box.innerHTML, text: box.textContent }
  act(() => root.unmount())
  return found
}

const failed = makeStore({
  status: 'failed',
  failure: { code: 'ENGINE_LOCKED', message: 'held by 12' },
})

test('a store that never opened has no last numbers, and its screen lies within the page', () => {
  expect(drawn({ store: failed }, <FailureBanner />).text).not.toContain('last known')
  expect(drawn({ store: failed, engine: makeState() }, <FailureBanner />).text).toContain(
    'The numbers below are the last known.',
  )
  expect(drawn({ store: failed }, <FailedStore />).html).not.toContain('<main')
})

test('that every rewrite has paid is said when there was one', () => {
  const pane = (rewriteRuns: number) => {
    const engine = makeState({ counters: { ...makeState().counters, rewriteRuns } })
    return drawn({ store: makeStore(), engine, gauges: makeGauges() }, <BudgetPane />).text
  }
  expect(pane(0)).toContain('nothing has been rewritten')
  expect(pane(1)).toContain('every rewrite so far has paid')
})

test('in a folder that is only read nothing comes next', () => {
  const young = makeSegment(1, {
    bytesTotal: 1000,
    bytesLive: 100,
    sealedAtMs: NOW - options.minSegmentAgeMs / 2,
  })
  const bands = (mode: 'hosted' | 'attached') =>
    drawn(
      {
        store: makeStore({ mode }),
        engine: makeState({ segments: [young] }),
        gauges: makeGauges(),
      },
      <DebtPanel />,
    ).text
  expect(bands('hosted')).toContain('1 segment, 900 B stale, next in')
  expect(bands('attached')).toContain('1 segment, 900 B stale')
  expect(bands('attached')).not.toContain('next in')
})

test('by age, what is being written has a colour of its own', () => {
  const { paint } = painterOf('age', { nowMs: NOW, verdicts: null })
  const written = paint?.(makeSegment(1, { state: 'active', sealedAtMs: null }))
  const youngest = paint?.(makeSegment(2, { sealedAtMs: NOW - 10 }))
  expect(written?.words).toBe('still being written')
  expect(written?.token).not.toBe(youngest?.token)
})
