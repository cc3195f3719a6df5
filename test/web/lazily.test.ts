/** Parts of the page that come later, also when the server is away at first. */
import { expect, test } from 'vitest'
import { untilLoaded } from '../../web/parts/lazily.ts'

test('a part of the page that cannot be fetched is asked for until it comes', async () => {
  let asked = 0
  const load = (): Promise<string> => {
    asked++
    return asked < 3 ? Promise.reject(new Error('the server is away')) : Promise.resolve('here')
  }
  expect(await untilLoaded(load, 0)).toBe('here')
  expect(asked).toBe(3)
})
