/** The table of put-backs cannot rot: each edit still applies, each named test is there, each finding has one. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import { applied, FINDINGS, PUT_BACKS } from './findings/put-back.ts'
import { isAssertion } from './findings/vitest-run.ts'

const ROOT = path.resolve(import.meta.dirname, '..')

test('every finding of the reviews has a put-back', () => {
  const ids = new Set(PUT_BACKS.map(({ id }) => id))
  expect(FINDINGS.filter((id) => !ids.has(id))).toEqual([])
  const strangers = PUT_BACKS.filter(({ id }) => /^[A-Z]\d+$/.test(id) && !FINDINGS.includes(id))
  expect(strangers).toEqual([])
})

test('every edit finds its text exactly once and changes it', () => {
  const problems = PUT_BACKS.flatMap(({ id, edits }) => {
    const texts = applied(ROOT, edits)
    if (typeof texts === 'string') return [`${id}: ${texts}`]
    return edits.some(({ find, replace }) => find === replace) ? [`${id}: changes nothing`] : []
  })
  expect(problems, 'the code under these edits of test/findings/ has moved').toEqual([])
})

test('every named test is there once, and carries the id of its finding', () => {
  const problems: string[] = []
  for (const { id, test: named } of PUT_BACKS) {
    const text = fs.readFileSync(path.join(ROOT, named.file), 'utf8')
    const begins = ["'", '`'].map((quote) => text.split(quote + named.name).length - 1)
    const times = begins.reduce((a, b) => a + b)
    if (times !== 1) problems.push(`${id}: "${named.name}" is ${times} times in ${named.file}`)
    const carries = !FINDINGS.includes(id) || new RegExp(`\\b${id}\\b`).test(named.name)
    if (!carries) problems.push(`${id}: "${named.name}" does not name it`)
  }
  expect(problems, 'these tests, named in test/findings/, have moved').toEqual([])
})

test('only an assertion in the tests counts as caught', () => {
  const own = '    at /copy/test/engine/x.test.ts:1:2'
  const library = '    at assertion (/copy/node_modules/chai/index.js:1:2)'
  const product = '    at assert (/copy/engine/assert.ts:8:25)'
  expect(isAssertion(`AssertionError: expected 1 to be 2\n${library}\n${own}`)).toBe(true)
  expect(
    isAssertion(`Error: Property failed after 1 tests\n{ seed: 1 }\nGot AssertionError: x\n${own}`),
  ).toBe(true)
  expect(isAssertion(`Error: promise resolved "x" instead of rejecting\n${own}`)).toBe(true)
  expect(isAssertion(`AssertionError: ledger and queue disagree\n${product}\n${own}`)).toBe(false)
  expect(isAssertion(`ReferenceError: x is not defined\n${own}`)).toBe(false)
  expect(isAssertion('Error: Test timed out in 60000ms.')).toBe(false)
})
