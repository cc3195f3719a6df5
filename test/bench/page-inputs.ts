/**
 * What a person does to the page, and how long the page takes to answer it, up to the paint.
 *
 * Keys and clicks are measured by the browser itself (Event Timing): from the time the input was made
 * to the presentation of the first frame after its handlers, in steps of 8 ms. The entries of one press,
 * click or key (down, press, up) are one interaction, which takes as long as the longest of them; `ran`
 * is how long its handlers ran, which is the page's own code. An interaction without an entry took less
 * than 16 ms, and counts as 8. Each is put down under its kind: what was being done when it came.
 *
 * What an input brings may come in a later frame than its answer. `content` is the time from the input to
 * the paint with the view, the details in the drawer or the map of what was filtered for.
 *
 * Event Timing leaves out moving the pointer and the wheel. For those a listener notes the event's time,
 * and a message posted in the next frame arrives after its paint; presenting it is not in that.
 */
import type { Page } from 'playwright-core'

/** Runs in the page before it loads. */
export const INPUT_PROBE = `
  window.benchInputs = []
  window.benchMoves = []
  window.benchKinds = []
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.interactionId === 0) continue
      const ran = entry.processingEnd - entry.processingStart
      window.benchInputs.push([entry.interactionId, entry.duration, ran, entry.startTime])
    }
  }).observe({ type: 'event', durationThreshold: 16, buffered: true })
  const noteAfterPaint = (kind, fromMs) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel()
      channel.port1.onmessage = () => window.benchMoves.push([kind, performance.now() - fromMs])
      channel.port2.postMessage(0)
    })
  }
  for (const kind of ['mousemove', 'wheel']) {
    const note = (event) => noteAfterPaint(kind, event.timeStamp)
    addEventListener(kind, note, { capture: true, passive: true })
  }
  window.benchPressedMs = null
  for (const kind of ['keydown', 'click']) {
    const note = (event) => (window.benchPressedMs = event.timeStamp)
    addEventListener(kind, note, { capture: true, passive: true })
  }
  new MutationObserver((changes) => {
    const content = ({ target, attributeName }) =>
      attributeName !== 'aria-label' || target.dataset.testid === 'segment-canvas'
    if (window.benchPressedMs === null || !changes.some(content)) return
    noteAfterPaint('content', window.benchPressedMs)
    window.benchPressedMs = null
  }).observe(document, {
    subtree: true,
    attributes: true,
    attributeFilter: ['data-view', 'data-open', 'aria-label'],
  })
`

/** Milliseconds, sorted. */
export interface Inputs {
  shown: number[]
  ran: number[]
  /** `shown` by what was done. */
  kinds: Map<string, number[]>
  content: number[]
  hover: number[]
  wheel: number[]
}

/** Event Timing tells of nothing below its threshold. */
const UNTOLD_MS = 8

type Entry = [id: number, durationMs: number, ranMs: number, startMs: number]

interface Interaction {
  shown: number
  ran: number
  startMs: number
}

/** `made` = how many interactions there were, told or not. */
function interactionsOf(entries: readonly Entry[], made: number): Interaction[] {
  const by = new Map<number, Interaction>()
  for (const [id, shown, ran, startMs] of entries) {
    const before = by.get(id) ?? { shown: 0, ran: 0, startMs }
    by.set(id, { ...before, shown: Math.max(before.shown, shown), ran: before.ran + ran })
  }
  const untold = Array.from({ length: Math.max(0, made - by.size) }, () => ({
    shown: UNTOLD_MS,
    ran: 0,
    startMs: NaN,
  }))
  return [...by.values(), ...untold]
}

type Kind = [fromMs: number, kind: string]

/** Times by kind, sorted; those that nothing was told of have no time of their own, and so no kind. */
function byKind(found: readonly Interaction[], kinds: readonly Kind[]): Map<string, number[]> {
  const by = new Map<string, number[]>()
  for (const { shown, startMs } of found) {
    const kind = kinds.findLast(([fromMs]) => fromMs <= startMs)?.[1] ?? 'untold'
    by.set(
      kind,
      [...(by.get(kind) ?? []), shown].sort((a, b) => a - b),
    )
  }
  return by
}

/** What was measured while `act` went on. */
export async function inputsDuring(
  page: Page,
  act: (page: Page) => Promise<void>,
): Promise<Inputs> {
  await page.evaluate('window.benchInputs = []; window.benchMoves = []; window.benchKinds = []')
  const before = await page.evaluate<number>('performance.interactionCount')
  await act(page)
  await page.waitForTimeout(500)
  const made = (await page.evaluate<number>('performance.interactionCount')) - before
  const entries = await page.evaluate<Entry[]>('window.benchInputs')
  const moves = await page.evaluate<[string, number][]>('window.benchMoves')
  const kinds = await page.evaluate<Kind[]>('window.benchKinds')
  const rising = (a: number, b: number): number => a - b
  const found = interactionsOf(entries, made)
  const of = (kind: string): number[] =>
    moves.flatMap(([name, ms]) => (name === kind ? [ms] : [])).sort(rising)
  return {
    shown: found.map(({ shown }) => shown).sort(rising),
    ran: found.map(({ ran }) => ran).sort(rising),
    kinds: byKind(found, kinds),
    content: of('content'),
    hover: of('mousemove'),
    wheel: of('wheel'),
  }
}

// ---------------------------------------------------------------- what is done

/**
 * A key or button is down for this long, and the next one comes as long after it was let go. Pressed
 * and let go in one frame, a key would be charged with what the next one makes the page do.
 */
const HELD_MS = 50

/** What comes from here on is of this kind. */
async function begin(page: Page, kind: string): Promise<void> {
  await page.evaluate(`window.benchKinds.push([performance.now(), '${kind}'])`)
}

async function press(page: Page, ...keys: string[]): Promise<void> {
  for (const key of keys) {
    await page.keyboard.press(key, { delay: HELD_MS })
    await page.waitForTimeout(HELD_MS)
  }
}

async function clickAt(page: Page, x: number, y: number): Promise<void> {
  await page.mouse.click(x, y, { delay: HELD_MS })
  await page.waitForTimeout(HELD_MS)
}

export async function show(page: Page, view: string): Promise<void> {
  await page.evaluate(`window.benchPressedMs = null; location.hash = '#/${view}'`)
  await page.locator(`main[data-view="${view}"]`).waitFor()
  await page.waitForTimeout(500)
}

/** Clicks, keys, the pointer and the wheel over map, table and trace, and a walk through the views. */
export async function interact(page: Page): Promise<void> {
  await onSegments(page)
  await onTrace(page)
  for (const view of ['o', 's', 'q', 't', 'i', 'o']) {
    await begin(page, `view_${view}`)
    await press(page, 'g', view)
    await page.waitForTimeout(200)
  }
}

async function onSegments(page: Page): Promise<void> {
  await show(page, 'segments')
  const box = await page.getByTestId('segment-canvas').boundingBox()
  if (box === null) throw new Error('the map is not on the page')
  for (let n = 0; n < 40; n++) {
    await page.mouse.move(box.x + 20 + n * 13, box.y + 20 + n * 3)
    await page.waitForTimeout(25)
  }
  await begin(page, 'map_click')
  for (let n = 0; n < 12; n++) await clickAt(page, box.x + 20 + n * 53, box.y + 20 + n * 11)
  await begin(page, 'map_arrow')
  await press(page, 'ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft')
  await begin(page, 'map_zoom')
  await press(page, '+', '+', '-', '-')
  await begin(page, 'colour')
  for (const colour of ['age', 'lane', 'state', 'verdict', 'live']) {
    await page.getByTestId(`colour-${colour}`).click({ delay: HELD_MS })
    await page.waitForTimeout(100)
  }
  await begin(page, 'segment_filter')
  await page.getByTestId('segment-filter').click({ delay: HELD_MS })
  await press(page, ...'L 0 - 1 2'.split(' '), ...Array.from({ length: 5 }, () => 'Backspace'))
  await begin(page, 'escape')
  await press(page, 'Escape', 'Escape')
  const table = page.getByRole('region', { name: 'All segments' })
  await table.hover()
  await turnWheel(page)
}

async function onTrace(page: Page): Promise<void> {
  await show(page, 'trace')
  await begin(page, 'trace_filter')
  await page.getByTestId('trace-filter').click({ delay: HELD_MS })
  await press(page, ...'s e a l e d'.split(' '), ...Array.from({ length: 6 }, () => 'Backspace'))
  await press(page, 'Escape')
  await begin(page, 'trace_event')
  // Rows move away under a patient click; a person's click lands where it was aimed.
  const list = await page.getByTestId('trace-list').boundingBox()
  if (list === null) throw new Error('the trace is not on the page')
  await clickAt(page, list.x + 240, list.y + 100)
  await press(page, 'Escape')
  await page.mouse.move(list.x + 240, list.y + 200)
  await turnWheel(page)
  await begin(page, 'trace_follow')
  await page.getByTestId('trace-follow').click({ delay: HELD_MS })
}

async function turnWheel(page: Page): Promise<void> {
  for (let n = 0; n < 24; n++) {
    await page.mouse.wheel(0, n < 12 ? 120 : -120)
    await page.waitForTimeout(40)
  }
}

/** Presses of the only button there is, and the pointer over the page. */
export async function pressBare(page: Page): Promise<void> {
  await begin(page, 'press')
  for (let n = 0; n < 40; n++) {
    await page.mouse.move(200 + n, 300)
    await page.getByTestId('press').click({ delay: HELD_MS })
    await page.waitForTimeout(HELD_MS)
  }
}
