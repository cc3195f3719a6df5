/** Findings whose defect cannot exist here: the property that keeps it out. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { resolveOptions } from '../../../engine/options.ts'
import { MAX_SEGMENT_BYTES } from '../../../engine/value-log/record.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')

function texts(folder: string): { file: string; text: string }[] {
  return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`
    if (entry.isDirectory()) return entry.name === 'data' ? [] : texts(name)
    if (!/\.tsx?$/.test(entry.name)) return []
    return [{ file: name, text: fs.readFileSync(path.join(ROOT, name), 'utf8') }]
  })
}

/** How often each name stands in the code of a file: not in its comments and strings, and not in re-exports. */
function namesIn({ file, text }: { file: string; text: string }): Map<string, number> {
  const names = new Map<string, number>()
  const visit = (node: ts.Node): void => {
    if (ts.isExportDeclaration(node)) return
    if (ts.isIdentifier(node)) names.set(node.text, (names.get(node.text) ?? 0) + 1)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2023))
  return names
}

/** Methods and getters of the classes of a file, but private ones. */
function methodsIn({ file, text }: { file: string; text: string }): string[] {
  const methods: string[] = []
  const visit = (node: ts.Node): void => {
    const isMethod = ts.isMethodDeclaration(node) || ts.isGetAccessor(node)
    if (isMethod && ts.isClassLike(node.parent) && ts.isIdentifier(node.name)) {
      methods.push(node.name.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true))
  return methods
}

function productAndUses(): { product: ReturnType<typeof texts>; uses: Map<string, number> } {
  const product = ['engine', 'server', 'web'].flatMap(texts)
  const uses = new Map<string, number>()
  for (const one of product) {
    for (const [name, times] of namesIn(one)) uses.set(name, (uses.get(name) ?? 0) + times)
  }
  return { product, uses }
}

test('F2: every method of the engine’s classes is used in the product', () => {
  const { product, uses } = productAndUses()
  const engine = product.filter(({ file }) => file.startsWith('engine/'))
  const methods = engine.flatMap((one) => methodsIn(one).map((name) => ({ file: one.file, name })))
  expect(methods.length).toBeGreaterThan(300)
  const unused = methods.filter(({ name }) => (uses.get(name) ?? 0) < 2)
  expect(unused).toEqual([])
})

test('F2: every name that maintenance exports is used in the product', () => {
  const { product, uses } = productAndUses()
  const unused: string[] = []
  for (const { file, text } of product.filter((one) => one.file.includes('engine/maintenance/'))) {
    for (const [, name = ''] of text.matchAll(
      /^export (?:async )?(?:function|class|const) (\w+)/gm,
    )) {
      // Once where it is declared; who is only mentioned is not used.
      if ((uses.get(name) ?? 0) < 2) unused.push(`${file}: ${name}`)
    }
  }
  expect(unused).toEqual([])
})

test('F18: no writer, foreground or rewrite, can be told to write beyond what a pointer reaches', () => {
  // One option for both, and this is its only door.
  expect(() => resolveOptions({ segmentBytes: MAX_SEGMENT_BYTES + 1 })).toThrow(/segmentBytes/)
  expect(resolveOptions({ segmentBytes: MAX_SEGMENT_BYTES }).segmentBytes).toBe(MAX_SEGMENT_BYTES)
  expect(MAX_SEGMENT_BYTES).toBeLessThanOrEqual(2 ** 32 - 1 - 4)
})
