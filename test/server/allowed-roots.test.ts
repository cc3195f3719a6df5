import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import { AllowedRoots } from '../../server/allowed-roots.ts'
import { openFixture } from '../support/engine-fixture.ts'

test('a store named by its maindb is opened by its root, which must be allowed, too', async () => {
  const { engine, dir: made } = await openFixture()
  await engine.close()
  const dir = fs.realpathSync(made)
  const main = path.join(dir, 'maindb')
  expect(new AllowedRoots([dir]).resolveForOpening(main, false)).toBe(dir)
  expect(new AllowedRoots([dir]).resolveForOpening(dir, false)).toBe(dir)
  const narrow = new AllowedRoots([main])
  expect(() => narrow.resolveForOpening(main, false)).toThrow(
    `${main} may not be opened: its store is ${dir}, which is not below an allowed folder`,
  )
})
