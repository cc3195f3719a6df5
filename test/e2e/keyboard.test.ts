/** Everything by keyboard: reached, seen where it is, and given back; and nothing moves unasked. */
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { viewNames } from '../../web/lib/route.ts'
import { viewFacts } from '../../web/lib/views.ts'
import { open, serve, withDeadSegments, withDueStage } from './in-process.ts'
import { settled, show } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

/** What has the focus: its test hook, or its own words. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const element = document.activeElement
    return element?.getAttribute('data-testid') ?? element?.id ?? element?.textContent ?? ''
  })

/** Tabs once around the page; names what was reached without a visible ring, and what was not reached. */
async function tabAround(page: Page): Promise<{ unseen: string[]; unreached: string[] }> {
  // The first stop; from where somebody clicked last, Tab would begin in the middle.
  const skip = page.locator('a.skip')
  await skip.focus()
  await skip.evaluate((element) => element.setAttribute('data-tabbed', ''))
  const unseen: string[] = []
  for (let presses = 0; presses < 400; presses += 1) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(() => {
      const element = document.activeElement
      if (element === null || element === document.body) return null
      const again = element.hasAttribute('data-tabbed')
      element.setAttribute('data-tabbed', '')
      // The ring may be on the part of it that is drawn.
      const drawn = [element, ...element.querySelectorAll('.tile-box, .bar-target')]
      const ring = drawn.some((one) => {
        const { outlineStyle, outlineWidth, stroke, strokeWidth } = getComputedStyle(one)
        const line = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1
        return line || (stroke !== 'none' && parseFloat(strokeWidth) >= 2)
      })
      const name = `${element.tagName} ${element.getAttribute('data-testid') ?? element.textContent.slice(0, 30)}`
      return { again, ring, name }
    })
    if (at === null || at.again) break
    if (!at.ring) unseen.push(at.name)
  }
  const unreached = await page.evaluate(() => {
    const can = 'a[href], button, input, select, textarea, summary, [tabindex="0"]'
    const left = [...document.querySelectorAll<HTMLElement>(can)].filter((element) => {
      if (element.hasAttribute('data-tabbed') || element.tabIndex < 0) return false
      if (element.matches(':disabled') || !element.checkVisibility()) return false
      // One of a radio-like group stands for all of it.
      return element.closest('[aria-hidden="true"]') === null
    })
    for (const one of document.querySelectorAll('[data-tabbed]')) one.removeAttribute('data-tabbed')
    return left.map(
      (one) => `${one.tagName} ${one.dataset['testid'] ?? one.textContent.slice(0, 30)}`,
    )
  })
  return { unseen, unreached }
}

test('every control of every view is reached by Tab, with a ring that shows where one is', async () => {
  const server = await serve()
  await withDueStage(server)
  await server.act('hold-snapshot', { label: 'a reader' })
  await server.act('stage-confirm', {})
  await server.act('pause', {})
  const page = await open(server)
  for (const view of viewNames) {
    await show(page, view)
    await settled(page)
    expect(await tabAround(page), view).toEqual({ unseen: [], unreached: [] })
  }
  await page.context().close()
})

test('the help lists the keys, and each of them does what it says', async () => {
  const server = await serve()
  await withDueStage(server)
  const page = await open(server)
  await page.keyboard.press('?')
  const listed = await page.getByRole('dialog').locator('kbd').allTextContents()
  expect(listed).toEqual([
    ...viewNames.map((view) => `g ${viewFacts[view].key}`),
    ...['/', '.', 'd', 'Esc', '← → ↑ ↓', '+ − 0', 'Space', '?'],
  ])
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  for (const view of viewNames) {
    await page.keyboard.press('g')
    await page.keyboard.press(viewFacts[view].key)
    await page.locator(`main[data-view="${view}"]`).waitFor()
    expect(await focused(page)).toBe('main')
  }
  await show(page, 'segments')
  await page.keyboard.press('/')
  expect(await focused(page)).toBe('segment-filter')
  await page.keyboard.type('l0')
  await page.keyboard.press('Escape')
  expect(await focused(page)).not.toBe('segment-filter')

  // The map: arrows move, space adds to the choice.
  const tile = page.getByTestId('segment-tile').first()
  await tile.focus()
  await page.keyboard.press('ArrowRight')
  await page.getByTestId('drawer').waitFor()
  const second = page.getByTestId('segment-tile').nth(1)
  const id = await second.getAttribute('data-segment-id')
  expect(await page.getByTestId('segment-details').getAttribute('data-segment-id')).toBe(id)
  await page.keyboard.press('ArrowRight')
  await page.keyboard.press(' ')
  await until('it is out of the choice again', async () => {
    return (await page.getByRole('checkbox', { checked: true }).count()) === 0
  })

  // Into the drawer and back, then closed from the inside: the focus is not lost.
  await page.keyboard.press('d')
  expect(await focused(page)).toBe('drawer')
  await page.keyboard.press('d')
  expect(await focused(page)).toBe('segment-tile')
  await page.keyboard.press('d')
  await page.keyboard.press('Tab')
  expect(await focused(page)).toBe('copy-link')
  await page.keyboard.press('Escape')
  await page.getByTestId('drawer').waitFor({ state: 'detached' })
  expect(await focused(page)).toBe('segment-tile')

  await page.keyboard.press('.')
  await page.locator('main[data-view="step"]').waitFor()
  await page.keyboard.press('.')
  await page.locator('[data-testid="phase-row"][data-current="true"]').waitFor()
  await page.context().close()
})

test('a dialog takes the focus, keeps it, and gives it back to the button it came from', async () => {
  const server = await serve()
  await withDeadSegments(server)
  const page = await open(server)
  await show(page, 'step')
  await page.getByTestId('action-gc').focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.waitFor()
  for (let presses = 0; presses < 12; presses += 1) {
    await page.keyboard.press('Tab')
    const inside = await page.evaluate(() => {
      const { activeElement, body } = document
      return activeElement === body || activeElement?.closest('dialog') !== null
    })
    expect(inside).toBe(true)
  }
  // Escape in a field of it closes it at once.
  await page.getByTestId('plan-typed').focus()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  expect(await focused(page)).toBe('action-gc')
  await page.keyboard.press('Enter')
  await dialog.getByRole('button', { name: 'Leave it' }).press('Enter')
  await dialog.waitFor({ state: 'detached' })
  expect(await focused(page)).toBe('action-gc')
  await page.context().close()
})

test('with reduced motion nothing is animated, and what moves otherwise still shows', async () => {
  const server = await serve()
  await withDueStage(server)
  const page = await open(server)
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await server.act('set-breakpoints', { breakpoints: ['before_gc'] })
  await show(page, 'segments')
  void server.post('/stores/store/actions/stage-confirm', {})
  await until('a pass stands still', async () => {
    const { body } = await server.get<{ state: { scheduler: { stopped: unknown } } }>(
      '/stores/store/state',
    )
    return body.state.scheduler.stopped !== null
  })
  await page.getByTestId('segment-row').first().getByRole('button').click()
  await page.getByTestId('drawer').waitFor()
  const moving = await page.evaluate(() =>
    document
      .getAnimations()
      .filter((one) => Number(one.effect?.getComputedTiming().duration ?? 0) > 1)
      .map((one) => (one as CSSAnimation).animationName),
  )
  expect(moving).toEqual([])
  await server.act('cancel-pass', {})
  await page.context().close()
})

for (const { name, width, height } of [
  { name: 'wide', width: 1440, height: 1000 },
  { name: 'at 390 px', width: 390, height: 844 },
]) {
  test(`axe finds nothing serious in drawers and dialogs, ${name}`, async () => {
    const server = await serve()
    await withDueStage(server)
    await server.act('stage-confirm', {})
    await server.act('hold-snapshot', { label: 'a reader' })
    await server.put('k', 900, 'c')
    await server.act('checkpoint', {})
    const page = await open(server, { width, height })
    const check = async (what: string, colours = true) => {
      // What slides in is half transparent on its way.
      await page.waitForTimeout(250)
      const light = await serious(new AxeBuilder({ page }))
      expect(light, what).toEqual([])
      if (!colours) return
      // The other theme changes colours and nothing else.
      await page.emulateMedia({ colorScheme: 'dark' })
      const dark = await serious(new AxeBuilder({ page }).withRules(['color-contrast']))
      expect(dark, `${what}, dark`).toEqual([])
      await page.emulateMedia({ colorScheme: 'light' })
    }
    // Wide views have their own test, in both themes; here are those of a phone.
    if (width < 640) {
      for (const view of viewNames) {
        await show(page, view)
        await check(view, false)
      }
    }
    await page.evaluate(() => (location.hash = '#/passes?open=pass:4'))
    await page.getByTestId('drawer').getByTestId('pass-report').waitFor()
    await page.evaluate(() => {
      for (const fold of document.querySelectorAll('details')) fold.open = true
    })
    await check('pass drawer, unfolded')
    await page.keyboard.press('Escape')
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await check('help')
    await page.keyboard.press('Escape')
    await show(page, 'step')
    await page.getByTestId('action-gc').click()
    await page.getByTestId('stored-plan').waitFor()
    await check('plan dialog')
    await page.context().close()
  })
}

async function serious(axe: AxeBuilder): Promise<string[]> {
  const { violations } = await axe.analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)
}
