// @vitest-environment happy-dom
import { beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { defaultRoute } from '../../web/lib/route.ts'
import { followAddress } from '../../web/state/address.ts'
import { goTo, navigate, openDrawer, uiStore } from '../../web/state/ui-store.ts'

let frames: FrameRequestCallback[] = []
let written: string[] = []

/** The frame that was asked for, and what follows it. */
function frame(): void {
  const due = frames
  frames = []
  for (const callback of due) callback(0)
  vi.advanceTimersByTime(0)
}

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback))
  followAddress(defaultRoute, () => undefined)
  for (const [name, word] of [
    ['pushState', 'step'],
    ['replaceState', 'same step'],
  ] as const) {
    const original = history[name].bind(history)
    vi.spyOn(history, name).mockImplementation((state, title, url) => {
      written.push(`${word} ${String(url)}`)
      original(state, title, url)
    })
  }
})

beforeEach(() => {
  frame()
  written = []
})

test('a step of the history is written after the frame that answers it, each by itself', () => {
  goTo('queue')
  openDrawer({ kind: 'pass', id: 7 })
  expect(written).toEqual([])
  frame()
  expect(written).toEqual(['step #/queue', 'step #/queue?open=pass:7'])
})

test('what is typed after a step stands in its address', () => {
  goTo('segments')
  navigate({ segmentText: 'a' })
  frame()
  navigate({ segmentText: 'ab' })
  vi.advanceTimersByTime(200)
  expect(written).toEqual([
    'step #/segments?open=pass:7',
    'same step #/segments?open=pass:7&find=ab',
  ])
})

test('leaving the page within that frame loses no step', () => {
  goTo('pins')
  dispatchEvent(new Event('pagehide'))
  expect(written[0]).toMatch(/^step #\/pins/)
  frame()
  expect(written).toHaveLength(1)
})

test('going back within that frame goes back', () => {
  goTo('trace')
  dispatchEvent(new Event('popstate'))
  expect(uiStore.getState().route.view).toBe('pins')
  frame()
  expect(written).toEqual([])
})
