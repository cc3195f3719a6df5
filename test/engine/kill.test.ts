/** kill -9 of a writing process: every acknowledged write is there, and so are queue and stage. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import ts from 'typescript'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { RewriteDebt } from '../../engine/types.ts'
import { entriesOf, openFixture, temporaryFolder } from '../support/engine-fixture.ts'
import { SEED, randomFrom } from '../support/random.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const CHILD = path.join(ROOT, 'dist/test/support/crash-child.js')

/** The engine is built by the global setup; the child is put beside it. */
beforeAll(() => {
  const source = fs.readFileSync(path.join(ROOT, 'test/support/crash-child.ts'), 'utf8')
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      rewriteRelativeImportExtensions: true,
    },
  })
  fs.mkdirSync(path.dirname(CHILD), { recursive: true })
  fs.writeFileSync(CHILD, outputText)
})

interface Write {
  n: number
  key: string
  /** null = a delete. */
  value: Buffer | null
}

interface Life {
  begun: Write[]
  acknowledged: number
  debt: RewriteDebt | null
}

const children = new Set<ChildProcess>()
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** Runs the child until it has said `lines` lines, then kills it; what it said up to its end. */
async function liveAndDie(dir: string, first: number, lines: number): Promise<Life> {
  const child = spawn(process.execPath, [CHILD, dir, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  const ended = once(child, 'exit')
  child.once('exit', () => children.delete(child))
  const life: Life = { begun: [], acknowledged: first - 1, debt: null }
  let said = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [word = '', ...rest] = line.split(' ')
    if (word === 'b') {
      const [n, key, bytes] = rest.map(Number) as [number, number, number]
      const value = bytes === -1 ? null : Buffer.alloc(bytes, `${n}.`)
      life.begun.push({ n, key: `key ${key}`, value })
    }
    if (word === 'a') life.acknowledged = Number(rest[0])
    if (word === 's') life.debt = JSON.parse(rest.join(' ')) as RewriteDebt
    if (++said === lines) child.kill('SIGKILL')
  }
  await ended
  expect(child.signalCode, 'how the child ended').toBe('SIGKILL')
  return life
}

function shown(state: ReadonlyMap<string, Uint8Array>): string {
  return [...state]
    .map(([key, value]) => `${key}=${value.length}:${Buffer.from(value).toString('latin1', 0, 8)}`)
    .sort()
    .join('\n')
}

function after(state: ReadonlyMap<string, Uint8Array>, writes: Write[]): Map<string, Uint8Array> {
  const next = new Map(state)
  for (const { key, value } of writes) {
    if (value === null) next.delete(key)
    else next.set(key, value)
  }
  return next
}

describe(`a process killed with -9 (seed ${SEED})`, () => {
  test('ten times over loses nothing acknowledged; queue and stage come back', async () => {
    const random = randomFrom(SEED)
    const dir = temporaryFolder()
    let state = new Map<string, Uint8Array>()
    let next = 0
    let debts = 0
    for (let cycle = 0; cycle < 10; cycle++) {
      const lines = random.between(cycle === 4 ? 1 : 100, 900)
      const life = await liveAndDie(dir, next, lines)
      const { engine } = await openFixture({ inlineThreshold: 64, segmentBytes: 16_384 }, { dir })
      const found = shown(new Map(entriesOf(engine)))
      const sure = life.begun.filter(({ n }) => n <= life.acknowledged)
      const kept = after(state, sure)
      const perhaps = after(state, life.begun)
      expect([shown(kept), shown(perhaps)], `cycle ${cycle}, ${lines} lines`).toContain(found)
      state = found === shown(kept) ? kept : perhaps
      expect((await engine.verify()).differences).toEqual([])
      expect(engine.info.journalBatchesSkipped).toBeLessThanOrEqual(1)
      if (life.debt !== null) {
        debts++
        expect(engine.state().debt).toEqual(life.debt)
        expect(life.debt.stage).not.toBeNull()
      }
      next = (life.begun.at(-1)?.n ?? next - 1) + 1
      await engine.close()
    }
    expect(debts).toBeGreaterThan(4)
    expect(next).toBeGreaterThan(300)
  }, 180_000)
})
