/**
 * What a store has acknowledged, to hold against what is found after a crash: exactly that, and of
 * each batch that was still on its way either the whole or nothing.
 */
import { expect } from 'vitest'
import type { BatchOperation, Engine } from '../../engine/api.ts'
import { bytesEqual, entriesOf } from './engine-fixture.ts'

export type State = ReadonlyMap<string, Uint8Array>

interface Issued {
  operations: readonly BatchOperation[]
  acknowledged: boolean
}

export interface Moment {
  /** Everything up to the oldest batch on its way. */
  base: State
  /** From that one on, in the order issued. */
  pending: readonly Issued[]
}

export class Acknowledged {
  #base: State
  readonly #pending: Issued[] = []

  constructor(base: State = new Map()) {
    this.#base = base
  }

  get now(): Moment {
    return { base: this.#base, pending: this.#pending.map((issued) => ({ ...issued })) }
  }

  /** What a reader sees: acknowledged or not. */
  get visible(): State {
    return this.#pending.reduce((state, { operations }) => applied(state, operations), this.#base)
  }

  async batch(engine: Engine, operations: readonly BatchOperation[]): Promise<void> {
    const issued: Issued = { operations, acknowledged: false }
    this.#pending.push(issued)
    await engine.batch(operations)
    issued.acknowledged = true
    while (this.#pending[0]?.acknowledged === true) {
      this.#base = applied(this.#base, this.#pending[0].operations)
      this.#pending.shift()
    }
  }

  put(engine: Engine, key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.batch(engine, [{ op: 'put', key, value }])
  }

  delete(engine: Engine, key: Uint8Array): Promise<void> {
    return this.batch(engine, [{ op: 'delete', key }])
  }
}

export function applied(state: State, operations: readonly BatchOperation[]): State {
  const next = new Map(state)
  for (const operation of operations) {
    const name = Buffer.from(operation.key).toString('latin1')
    if (operation.op === 'delete') next.delete(name)
    else next.set(name, Uint8Array.from(operation.value))
  }
  return next
}

/** Every state that a crash at this moment may leave. */
export function statesAfterCrash({ base, pending }: Moment): State[] {
  let states: State[] = [base]
  for (const { operations, acknowledged } of pending) {
    const withIt = states.map((state) => applied(state, operations))
    states = acknowledged ? withIt : [...states, ...withIt]
  }
  return states
}

/** undefined when they hold the same; else one sentence about the first difference. */
export function difference(found: State, expected: State): string | undefined {
  for (const [name, value] of expected) {
    const there = found.get(name)
    if (there === undefined) return `${name} is missing`
    if (!bytesEqual(there, value)) return `${name} holds another value`
  }
  for (const name of found.keys()) if (!expected.has(name)) return `${name} should not be there`
  return undefined
}

/** The engine holds a state that this moment allows; every value is read, live bytes are verified. */
export async function expectMoment(engine: Engine, moment: Moment, where: string): Promise<void> {
  const found = new Map(entriesOf(engine))
  const problems = statesAfterCrash(moment).map((state) => difference(found, state))
  if (!problems.includes(undefined)) {
    throw new Error(`${where}: ${problems.join(', or ')} (${moment.pending.length} on their way)`)
  }
  expect((await engine.verify()).differences, where).toEqual([])
}
