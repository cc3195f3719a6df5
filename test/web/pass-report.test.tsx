// @vitest-environment happy-dom
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { describe, expect, test } from 'vitest'
import type { Gate, RewritePlan } from '../../server/protocol.ts'
import { PassReportView } from '../../web/parts/pass-report.tsx'
import { NOW, makePass, segmentId } from './fixtures.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

function draw(element: React.ReactNode): HTMLElement {
  const box = document.createElement('div')
  document.body.append(box)
  act(() => createRoot(box).render(element))
  return box
}

const gate = (overrides: Partial<Gate>): Gate => ({
  name: 'slot_free',
  input: 1,
  threshold: 1,
  margin: 0,
  unit: 'flag',
  verdict: 'pass',
  bypassed: false,
  text: 'No other pass holds the slot.',
  ...overrides,
})

const blocked = makePass(7, {
  outcome: 'blocked',
  blockedBy: 'quiet_writes',
  sentence: 'Foreground writes are not quiet.',
  gates: [
    gate({}),
    gate({
      name: 'quiet_writes',
      input: 180,
      threshold: 15_000,
      margin: -14_820,
      unit: 'ms',
      verdict: 'block',
      text: 'The last write was 0.18 s ago; 15 s are needed.',
    }),
  ],
})

describe('a pass, explained', () => {
  test('a number says whether its threshold is a floor or a ceiling, and what never was is no 0', () => {
    const count = { name: 'no_open_iterators', unit: 'count' } as const
    const report = makePass(1, {
      gates: [
        gate({ name: 'quiet_writes', unit: 'ms', input: 20_000, threshold: 15_000, margin: 5000 }),
        gate({ ...count, input: 2, threshold: 0, margin: -2, verdict: 'block' }),
        gate({ ...count, input: 0, threshold: 0, margin: 0 }),
        gate({
          name: 'trigger_stale_ratio',
          unit: 'ratio',
          input: null,
          threshold: 0.2,
          margin: null,
        }),
        gate({ name: 'gc_min_interval', unit: 'ms', input: null, threshold: 1, margin: null }),
      ],
    })
    const box = draw(<PassReportView report={report} />)
    const numbers = [...box.querySelectorAll('.gate-numbers')].map((one) => one.textContent)
    expect(numbers).toEqual(['20.0 s, needs 15.0 s', '2, at most 0', '0, at most 0', '—', 'never'])
  })

  test('a queue that the pass left as it was is shown once', () => {
    const unchanged = (box: HTMLElement) => box.querySelectorAll('[data-testid="queue-unchanged"]')
    const debt = { queue: [segmentId(1)], ledger: [], stage: null }
    const same = makePass(1, { before: debt, after: { ...debt } })
    const box = draw(<PassReportView report={same} />)
    expect(unchanged(box)).toHaveLength(1)
    expect(box.querySelectorAll('.queue-diff dt')).toHaveLength(1)
    const stage = { observedAtMs: NOW, dueAtMs: NOW + 1000, minStaleRatio: 0.5 }
    const staged = makePass(2, { before: debt, after: { ...debt, stage } })
    expect(unchanged(draw(<PassReportView report={staged} />))).toHaveLength(0)
  })

  test('gates stand in the order met and only the blocking one is open', () => {
    const box = draw(<PassReportView report={blocked} />)
    const rows = [...box.querySelectorAll<HTMLElement>('[data-testid="gate-row"]')]
    expect(rows.map((row) => [row.dataset['gate'], row.dataset['verdict']])).toEqual([
      ['slot_free', 'pass'],
      ['quiet_writes', 'block'],
    ])
    expect(rows.map((row) => row.querySelector('details')?.open)).toEqual([false, true])
    const open = rows[1]?.textContent ?? ''
    expect(open).toContain('180 ms, needs 15.0 s')
    expect(open).toContain('margin 14.8 s short')
    expect(open).toContain('15 s are needed')
  })

  test('the outcome and the sentence are there for a test to read', () => {
    const box = draw(<PassReportView report={blocked} />)
    const outcome = box.querySelector<HTMLElement>('[data-testid="pass-outcome"]')
    expect(outcome?.dataset['outcome']).toBe('blocked')
    expect(box.textContent).toContain('Foreground writes are not quiet.')
  })

  test('the queue shows what left and what joined', () => {
    const stage = { observedAtMs: NOW, dueAtMs: NOW, minStaleRatio: 0.2 }
    const box = draw(
      <PassReportView
        report={makePass(8, {
          before: { queue: [segmentId(1), segmentId(2)], ledger: [], stage: null },
          after: { queue: [segmentId(2), segmentId(5)], ledger: [], stage },
        })}
      />,
    )
    expect(box.querySelector('.chip-gone')?.textContent).toContain('L0-1')
    expect(box.querySelector('.chip-new')?.textContent).toContain('L0-5')
  })

  test('a dropped candidate tells by how much and what would flip it', () => {
    const plan: RewritePlan = {
      filters: {
        minStaleRatio: 0.5,
        minStaleBytes: 0,
        minStaleBytesCapRatio: 0,
        minAgeMs: 0,
        maxSegments: 0,
        maxLiveBytes: 0,
        maxCopiedBytes: 0,
        protectedIds: [],
        segmentIds: null,
      },
      sourceSegmentIds: [],
      selected: [],
      liveBytesKnown: true,
      copyBytes: 0,
      partialSegmentId: null,
      missing: [],
      segmentsTotal: 1,
      bytesTotal: 1000,
      bytesLive: 570,
      bytesStale: 430,
      selectedBytesTotal: 0,
      selectedBytesLive: 0,
      selectedBytesStale: 0,
      ageBlockedSegments: 0,
      ageBlockedBytesTotal: 0,
      ageBlockedBytesLive: 0,
      ageBlockedBytesStale: 0,
      ageBlockedMinRemainingMs: null,
      candidates: [
        {
          segmentId: segmentId(4),
          bytesTotal: 1000,
          bytesLive: 570,
          bytesStale: 430,
          staleRatio: 0.43,
          ageMs: null,
          verdict: 'stale_ratio',
          rank: null,
          distance: -0.07,
          unit: 'ratio',
          flip: {
            option: 'minStaleRatio',
            value: 0.43,
            text: 'selected if min stale ratio <= 0.43',
          },
        },
      ],
    }
    const box = draw(
      <PassReportView report={makePass(9, { steps: [{ kind: 'plan', plan, elapsedMs: 1 }] })} />,
    )
    const row = box.querySelector<HTMLElement>('[data-testid="candidate-row"]')
    expect(row?.dataset['verdict']).toBe('stale_ratio')
    expect(row?.textContent).toContain('7.0 points')
    expect(row?.textContent).toContain('selected if min stale ratio <= 0.43')
    expect(row?.textContent).toContain('—')
  })
})
