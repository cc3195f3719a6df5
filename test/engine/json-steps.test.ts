/** JSON in pieces is the JSON of the whole, and a long report is told so. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventHub } from '../../engine/events.ts'
import { jsonSteps } from '../../engine/json-steps.ts'
import type { EngineEventBody } from '../../engine/types.ts'
import { oneOfEachEvent } from '../support/one-of-each-event.ts'

function inSteps(value: unknown): { text: string; yields: number } {
  const steps = jsonSteps(value)
  for (let yields = 0; ; yields++) {
    const step = steps.next()
    if (step.done === true) return { text: step.value, yields }
  }
}

describe('JSON in steps', () => {
  test('is what JSON.stringify gives', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(inSteps(value).text).toBe(JSON.stringify(value))
      }),
    )
    const holes = { a: undefined, b: [undefined, 1], c: null, d: [] }
    expect(inSteps(holes).text).toBe(JSON.stringify(holes))
  })

  test('of long lists gives the thread back in between', () => {
    const items = Array.from({ length: 10_000 }, (_, i) => ({ i, text: `"${i}"`, none: undefined }))
    const value = { steps: [{ kind: 'plan', plan: { candidates: items } }], after: items.slice(9) }
    const { text, yields } = inSteps(value)
    expect(text).toBe(JSON.stringify(value))
    expect(yields).toBe(80 - 1 + 1)
  })

  test('made of a report beforehand is in the event as if it were made of the event', () => {
    const hub = new EventHub(() => 1_774_000_000_000)
    const told: [string, string][] = []
    hub.subscribe((event, json) => told.push([json(), JSON.stringify(event)]))
    const [fields] = oneOfEachEvent.pass_done
    const body = { type: 'pass_done', ...fields } as Extract<EngineEventBody, { type: 'pass_done' }>
    hub.emit(body, 7, inSteps(body.report).text)
    hub.emit(body, null)
    for (const [json, wanted] of told) expect(json).toBe(wanted)
    expect(told).toHaveLength(2)
  })
})
