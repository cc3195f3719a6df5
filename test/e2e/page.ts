/** What the tests read off the page and do on it, by the hooks the page keeps stable for them. */
import { expect } from 'vitest'
import type { Locator, Page } from 'playwright-core'
import { until } from './support.ts'

export interface SegmentRow {
  segmentId: number
  file: string
  state: string
  bytesTotal: number
  bytesLive: number
  keptBy: string
}

export type ViewName =
  | 'overview'
  | 'segments'
  | 'queue'
  | 'passes'
  | 'step'
  | 'trace'
  | 'history'
  | 'pins'
  | 'workload'
  | 'stores'

/** Goes to a view by the address, as a link does; what is chosen and filtered stays. */
export async function show(page: Page, view: ViewName): Promise<void> {
  if ((await page.locator(`main[data-view="${view}"]`).count()) === 0) {
    await page.evaluate((name) => {
      const [, query = ''] = location.hash.split('?')
      location.hash = `#/${name}${query === '' ? '' : `?${query}`}`
    }, view)
  }
  await page.locator(`main[data-view="${view}"]`).waitFor()
}

/** What follows an answer is there, and nothing is fading in any more. */
export async function settled(page: Page): Promise<void> {
  let before = -1
  await until('the view is whole', async () => {
    const controls = await page.locator('button, input, select, summary, [tabindex]').count()
    const isSame = controls === before
    before = controls
    if (!isSame) await page.waitForTimeout(150)
    return isSame
  })
  await page.evaluate(async () => {
    const ending = document.getAnimations().filter(({ effect }) => {
      return effect?.getComputedTiming().endTime !== Infinity
    })
    await Promise.allSettled(ending.map(({ finished }) => finished))
  })
}

/** All rows of the segment table; up to some hundred segments they are all in the document. */
export async function segmentRows(page: Page): Promise<SegmentRow[]> {
  await show(page, 'segments')
  return page.getByTestId('segment-row').evaluateAll((rows) =>
    rows.map((row) => ({
      segmentId: Number(row.getAttribute('data-segment-id')),
      file: row.getAttribute('data-file') ?? '',
      state: row.getAttribute('data-state') ?? '',
      bytesTotal: Number(row.getAttribute('data-bytes-total')),
      bytesLive: Number(row.getAttribute('data-bytes-live')),
      keptBy: row.getAttribute('data-kept-by') ?? '',
    })),
  )
}

export async function isLive(page: Page): Promise<boolean> {
  const state = await page.getByTestId('connection-state').textContent()
  return /^live/i.test((state ?? '').trim())
}

export async function waitLive(page: Page): Promise<void> {
  await until('the page is live', () => isLive(page).catch(() => false))
}

export async function countOf(page: Page, testId: string): Promise<number> {
  const text = await page.getByTestId(testId).first().getAttribute('data-count')
  return Number(text)
}

/** Presses an action of the Step view and waits for the PassReport of the pass it ran, not the one shown before. */
export async function runPass(page: Page, action: string): Promise<Locator> {
  await show(page, 'step')
  const report = page.getByTestId('action-result').getByTestId('pass-report')
  const shown = async (): Promise<string | null> =>
    (await report.count()) === 0 ? null : report.first().getAttribute('data-pass-id')
  const before = await shown()
  await page.getByTestId(`action-${action}`).first().click()
  await until(`the report of ${action}`, async () => {
    const now = await shown()
    return now !== null && now !== before
  })
  return report.first()
}

export async function gates(report: Locator): Promise<{ name: string; verdict: string }[]> {
  return report.getByTestId('gate-row').evaluateAll((rows) =>
    rows.map((row) => ({
      name: row.getAttribute('data-gate') ?? '',
      verdict: row.getAttribute('data-verdict') ?? '',
    })),
  )
}

/** Trace rows of one event type that are on the page now. */
export function traceRows(page: Page, type: string): Locator {
  return page.locator(`[data-testid="trace-row"][data-event-type="${type}"]`)
}

/** Sequence numbers of the trace from the newest down, by scrolling, until `wanted` rows were seen. */
export async function traceSeqs(page: Page, wanted: number): Promise<number[]> {
  const seen = new Set<number>()
  const rows = page.getByTestId('trace-row')
  const scroller = rows.first().locator('xpath=ancestor::*[@data-testid="trace-list"]')
  let top = 0
  while (seen.size < wanted) {
    const batch = await rows.evaluateAll((all) =>
      all.map((r) => Number(r.getAttribute('data-seq'))),
    )
    // The same event twice among the rows of one moment would be a doubled one.
    expect(new Set(batch).size).toBe(batch.length)
    const before = seen.size
    for (const seq of batch) seen.add(seq)
    top += 200
    const moved = await scroller.evaluate((element, to) => {
      element.scrollTop = to
      return element.scrollTop
    }, top)
    await page.waitForTimeout(30)
    if (seen.size === before && moved < top) break
  }
  return [...seen].sort((a, b) => b - a)
}
