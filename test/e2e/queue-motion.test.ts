/** What a change of the debt moved is seen to move: one row fades, the others go to their new places. */
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { open, serve, stateOf, withDueStage } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

interface Motion {
  /** Rows that were drawn on their way, by what changed of them. */
  faded: string[]
  moved: string[]
}

/** Notes frame by frame which rows of the queue are on their way. */
async function watch(page: Page): Promise<() => Promise<Motion>> {
  await page.evaluate(() => {
    const seen = { faded: new Set<string>(), moved: new Set<string>() }
    Object.assign(window, { motion: seen })
    const look = () => {
      for (const row of document.querySelectorAll<HTMLElement>('#queue tbody tr')) {
        const id = row.dataset['segmentId'] ?? ''
        const { opacity, transform } = getComputedStyle(row)
        if (Number(opacity) < 1) seen.faded.add(id)
        if (transform !== 'none' && transform !== 'matrix(1, 0, 0, 1, 0, 0)') seen.moved.add(id)
      }
      requestAnimationFrame(look)
    }
    look()
  })
  return () =>
    page.evaluate(() => {
      const { motion } = window as unknown as {
        motion: { faded: Set<string>; moved: Set<string> }
      }
      return { faded: [...motion.faded], moved: [...motion.moved] }
    })
}

const rowIds = (page: Page): Promise<(string | null)[]> =>
  page
    .getByTestId('queue-row')
    .evaluateAll((rows) => rows.map((row) => row.getAttribute('data-segment-id')))

test.each(['no-preference', 'reduce'] as const)(
  'the segment that is consumed fades and the rest moves up (motion: %s)',
  async (reducedMotion) => {
    const server = await serve()
    await withDueStage(server)
    const page = await open(server)
    await page.emulateMedia({ reducedMotion })
    await show(page, 'queue')
    const before = await rowIds(page)
    expect(before.length).toBeGreaterThan(2)
    const motion = await watch(page)
    await server.act('stage-confirm', {})
    const { queue } = (await stateOf(server)).debt
    await until('the rows are those of the queue', async () => {
      return (await rowIds(page)).join() === queue.join()
    })
    await page.waitForTimeout(600)
    const { faded, moved } = await motion()
    const [first, ...rest] = before
    expect(queue.map(String)).toEqual(rest)
    expect(faded).toEqual(reducedMotion === 'reduce' ? [] : [first])
    expect(moved.sort()).toEqual(reducedMotion === 'reduce' ? [] : [...rest].sort())
    expect(await page.getByTestId('queue-row-leaving').count()).toBe(0)
    await page.context().close()
  },
)
