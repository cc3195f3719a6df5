// @vitest-environment happy-dom
// The gates of a pass as decisions: whose each gate is, which way was taken, what was not reached.
import { act } from 'react'
import { createRoot } from 'react-dom/client'
import { describe, expect, test } from 'vitest'
import type { Gate, GateName } from '../../server/protocol.ts'
import { GateTree } from '../../web/parts/gate-tree.tsx'
import { branchesOf, type Told } from '../../web/state/gate-tree.ts'

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true })

function gate(name: GateName, verdict: Gate['verdict'] = 'pass'): Gate {
  const numbers = { input: 1, threshold: 1, margin: null, unit: 'flag' as const }
  return { name, ...numbers, verdict, bypassed: false, text: `${name}.` }
}

function told(changes: Partial<Told>): Told {
  return {
    source: 'periodic',
    gates: [],
    outcome: 'nothing_to_do',
    blockedBy: null,
    staged: false,
    rewrote: false,
    collected: false,
    ahead: false,
    ...changes,
  }
}

const ways = (pass: Told) =>
  Object.fromEntries(
    branchesOf(pass).map(({ name, taken, notReached }) => [name, taken ?? `- ${notReached ?? ''}`]),
  )

describe('the tree of a pass', () => {
  test('blocked at admission: nothing else was reached', () => {
    const gates = [gate('slot_free'), gate('quiet_writes', 'block')]
    const tree = ways(told({ gates, outcome: 'blocked', blockedBy: 'quiet_writes' }))
    expect(tree['admission']).toBe('no: nothing is looked at')
    for (const name of ['queue', 'plan', 'gc', 'vacuum']) {
      expect(tree[name]).toBe('- the pass was stopped before')
    }
  })

  test('a queue that is rewritten leaves no plan to be made; its interval is the queue’s', () => {
    const gates = [
      gate('slot_free'),
      gate('missing_segments'),
      gate('queue_quality'),
      gate('rewrite_enabled'),
      gate('rewrite_min_interval'),
      gate('vacuum_enabled', 'block'),
    ]
    const pass = told({ gates, outcome: 'rewrote', rewrote: true, collected: true })
    expect(ways(pass)).toEqual({
      admission: 'yes: go on',
      queue: 'yes: rewrite',
      plan: '- queued debt goes first',
      gc: 'yes: delete',
      vacuum: 'no',
    })
    expect(branchesOf(pass)[1]?.gates).toHaveLength(4)
  })

  test('an interval that holds the queue back stops there', () => {
    const gates = [
      gate('slot_free'),
      gate('missing_segments'),
      gate('queue_quality'),
      gate('rewrite_enabled'),
      gate('rewrite_min_interval', 'block'),
      gate('gc_eligible', 'block'),
    ]
    const blocked = { outcome: 'blocked', blockedBy: 'rewrite_min_interval' } as const
    expect(ways(told({ gates, ...blocked }))).toMatchObject({
      queue: 'it has to wait',
      plan: '- queued debt goes first, and waits',
      gc: 'no',
    })
  })

  test('a queue with nothing worth it goes on to the plan, with the interval of a plan', () => {
    const gates = [
      gate('slot_free'),
      gate('missing_segments'),
      gate('queue_quality', 'block'),
      gate('rewrite_min_interval'),
      gate('trigger_total_bytes'),
      gate('trigger_stale_ratio', 'block'),
      gate('plan_min_interval'),
      gate('plan_selected'),
    ]
    const tree = branchesOf(told({ gates, outcome: 'staged', staged: true }))
    expect(tree.map(({ taken }) => taken)).toEqual([
      'yes: go on',
      'nothing of it is worth it: go on',
      'stage it',
      null,
      null,
    ])
    expect(tree[2]?.gates).toHaveLength(5)
  })

  test('a plan held back waits; one that selects nothing ends quietly', () => {
    const met = [gate('slot_free'), gate('trigger_total_bytes', 'block')]
    const held = [...met, gate('plan_min_interval', 'block')]
    const blocked = { outcome: 'blocked', blockedBy: 'plan_min_interval' } as const
    expect(ways(told({ gates: held, ...blocked }))['plan']).toBe('it has to wait')
    const none = [...met, gate('plan_min_interval'), gate('plan_selected', 'block')]
    expect(ways(told({ gates: none }))).toMatchObject({
      queue: '- nothing was queued',
      plan: 'nothing is selected',
    })
  })

  test('every gate is shown once, in the order met, with its way in words', () => {
    const gates = [
      gate('slot_free'),
      gate('trigger_total_bytes', 'block'),
      gate('plan_selected', 'block'),
      gate('gc_eligible', 'block'),
    ]
    const box = document.createElement('div')
    document.body.append(box)
    act(() => createRoot(box).render(<GateTree pass={told({ gates })} />))
    const shown = [...box.querySelectorAll<HTMLElement>('[data-testid="gate-row"]')]
    expect(shown.map((row) => row.dataset['gate'])).toEqual(gates.map(({ name }) => name))
    expect(box.textContent).toContain('taken: nothing is selected')
    expect(box.textContent).toContain('not taken: stage it')
    expect(box.textContent).toContain('Not reached: nothing was queued.')
    expect(box.querySelectorAll('[data-reached="false"]')).toHaveLength(2)
  })
})
