// @vitest-environment happy-dom
// What an action did, below its button: the pass of a step that ended, every pass of a run, and of a
// failure what was wrong with which field.
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { beforeEach, describe, expect, test } from 'vitest'
import { uiStore, type ActionFailure, type ActionResult } from '../../web/state/ui-store.ts'
import { ResultPanel } from '../../web/views/action-result.tsx'
import { NOW, makePass } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

function draw(state: { result?: ActionResult; failure?: ActionFailure }): HTMLElement {
  act(() => uiStore.setState({ result: null, failure: null, busy: null, ...state }))
  const box = document.createElement('div')
  document.body.append(box)
  act(() => createRoot(box).render(<ResultPanel />))
  return box
}

const all = (box: HTMLElement, testId: string) => [
  ...box.querySelectorAll<HTMLElement>(`[data-testid="${testId}"]`),
]

beforeEach(() => document.body.replaceChildren())

describe('what the last action did', () => {
  test('a step that ended its pass shows the whole report, and so does a pass that was cancelled', () => {
    const pass = makePass(7)
    const ended: ActionResult[] = [
      { name: 'step-phase', answer: { stop: null, report: pass }, elapsedMs: 46.5 },
      { name: 'resume-pass', answer: { stop: null, report: pass }, elapsedMs: 1 },
      { name: 'cancel-pass', answer: { pass }, elapsedMs: 1 },
    ]
    for (const result of ended) {
      const [report] = all(draw({ result }), 'pass-report')
      expect(report?.dataset['passId']).toBe('7')
      document.body.replaceChildren()
    }
  })

  test('a run shows each of its passes, the last one open', () => {
    const passes = [1, 2, 3].map((passId) => makePass(passId))
    const answer = { ended: 'held' as const, passes, advancedMs: 0, nowMs: NOW }
    const box = draw({ result: { name: 'run-until', answer, elapsedMs: 1 } })
    expect(all(box, 'pass-item').map((one) => one.dataset['passId'])).toEqual(['1', '2', '3'])
    expect(all(box, 'pass-report').map((one) => one.dataset['passId'])).toEqual(['3'])
    const first = all(box, 'pass-item')[0]?.querySelector('details')
    act(() => {
      if (first != null) first.open = true
      first?.dispatchEvent(new Event('toggle'))
    })
    expect(all(box, 'pass-report').map((one) => one.dataset['passId'])).toEqual(['1', '3'])
  })

  test('a kick that was skipped ends in one full stop', () => {
    const checkpoint = {
      reason: 'foreground' as const,
      commitSeq: 1,
      entriesMerged: 1,
      pagesWritten: 1,
      noop: false,
      elapsedMs: 1,
      longestSliceMs: 1,
    }
    const kickSkipped = '26.3 MiB in 1 segment; the floor is 4 GiB.'
    const answer = { checkpoint, pass: null, kickSkipped }
    const box = draw({ result: { name: 'checkpoint', answer, elapsedMs: 1 } })
    expect(box.textContent).toMatch(/the floor is 4 GiB\.(?!\.)/)
  })

  test('a refused body says what is wrong with which field', () => {
    const details = [
      { at: '/settings/keys', message: 'must be >= 1' },
      { at: '/settings/putsPerSecond', message: 'must be >= 1' },
    ]
    const message = 'the body is not valid: /settings/keys must be >= 1'
    const failure = { name: 'workload-start', code: 'BAD_REQUEST', message, details } as const
    const box = draw({ failure: { ...failure, details: [...details] } })
    expect(box.textContent).toContain(message)
    expect(all(box, 'failure-details')[0]?.textContent).toContain(
      '/settings/putsPerSecond must be >= 1',
    )
    expect(
      all(draw({ failure: { ...failure, details: { host: 'x' } } }), 'failure-details'),
    ).toEqual([])
  })
})
