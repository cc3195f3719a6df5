// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { afterFrame, holdFeed, nextFrame, watchInputs } from '../../web/lib/frames.ts'

let asked: FrameRequestCallback[] = []
let frameAtMs = 0
const keys = new EventTarget()
watchInputs(keys)

/** Runs all that was asked for, as a browser does; the next frame is a later one. */
function frame(): void {
  const callbacks = asked
  asked = []
  frameAtMs += 16
  for (const callback of callbacks) callback(frameAtMs)
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => asked.push(callback))
})

afterEach(() => {
  frame()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('the next frame draws', () => {
  const draw = vi.fn()
  nextFrame(draw)
  expect(draw).not.toHaveBeenCalled()
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(5000)
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
})

test.each(['before', 'after'])(
  'the frame that answers an input leaves the drawing to the next, asked for %s the input',
  (order) => {
    const draw = vi.fn()
    if (order === 'before') nextFrame(draw)
    keys.dispatchEvent(new Event('keydown'))
    if (order === 'after') nextFrame(draw)
    frame()
    expect(draw).not.toHaveBeenCalled()
    frame()
    expect(draw).toHaveBeenCalledTimes(1)
  },
)

test('inputs in every frame put it off three times, no more', () => {
  const draw = vi.fn()
  nextFrame(draw)
  for (let frames = 0; frames < 3; frames += 1) {
    keys.dispatchEvent(new Event('keydown'))
    frame()
    expect(draw).not.toHaveBeenCalled()
  }
  keys.dispatchEvent(new Event('keydown'))
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
})

test('while the rest of an answer is drawn it waits, and draws in the frame after that', () => {
  const draw = vi.fn()
  const release = holdFeed()
  const other = holdFeed()
  nextFrame(draw)
  frame()
  release()
  release()
  frame()
  expect(draw).not.toHaveBeenCalled()
  other()
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
})

test('an answer that takes for ever holds it up for 200 ms, no more', () => {
  const draw = vi.fn()
  const release = holdFeed()
  nextFrame(draw)
  for (let ms = 16; ms <= 208; ms += 16) {
    frame()
    expect(draw).not.toHaveBeenCalled()
  }
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
  release()
})

test('what follows the answer runs once, after its frame, and in a hidden tab all the same', () => {
  const then = vi.fn()
  afterFrame(then)
  vi.advanceTimersByTime(500)
  expect(then).not.toHaveBeenCalled()
  frame()
  expect(then).not.toHaveBeenCalled()
  vi.advanceTimersByTime(0)
  expect(then).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(5000)
  expect(then).toHaveBeenCalledTimes(1)

  const hidden = vi.fn()
  afterFrame(hidden)
  vi.advanceTimersByTime(1000)
  expect(hidden).toHaveBeenCalledTimes(1)
})

test('without frames it draws a second later, once', () => {
  const draw = vi.fn()
  nextFrame(draw)
  vi.advanceTimersByTime(1000)
  expect(draw).toHaveBeenCalledTimes(1)
  frame()
  expect(draw).toHaveBeenCalledTimes(1)
})
