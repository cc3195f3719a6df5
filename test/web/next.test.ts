// What happens next, from what the engine foretells: the page adds words and no rules.
import { describe, expect, test } from 'vitest'
import type {
  EngineState,
  Gate,
  MaintenancePreview,
  PassPreview,
  PreviewedWake,
} from '../../server/protocol.ts'
import { wakeRows, whatIsNext } from '../../web/state/next.ts'
import { NOW, makeSegment, makeState, makeStore } from './fixtures.ts'

const segments = [1, 2].map((seq) => makeSegment(seq, { bytesTotal: 1000, bytesLive: 400 }))
const [first] = segments
const queue = segments.map((segment) => segment.segmentId)
const idle = makeState({ segments })
const staged = makeState({
  segments,
  debt: {
    queue,
    ledger: [],
    stage: { observedAtMs: NOW - 10_000, dueAtMs: NOW + 18_000, minStaleRatio: 0.5 },
  },
})
const facts = (engine: EngineState, changed: Partial<EngineState['scheduler']>): EngineState => ({
  ...engine,
  scheduler: { ...engine.scheduler, ...changed },
})

const quiet: Gate = {
  name: 'quiet_writes',
  input: 3000,
  threshold: 15_000,
  margin: -12_000,
  unit: 'ms',
  verdict: 'block',
  bypassed: false,
  text: 'The last write was 3 s ago; 15 s must pass.',
}
const nothing: PassPreview = {
  source: 'periodic',
  atMs: NOW,
  outcome: 'nothing_to_do',
  gates: [],
  blockedBy: null,
  sentence: 'Nothing to rewrite: no segment of 2 reaches 50 % stale.',
  dropped: [],
  staged: [],
  rewritten: [],
  bytesCopied: 0,
  deleted: [],
  bytesFreed: 0,
  queueAfter: [],
  stagedAfter: false,
}
const blocked: PassPreview = {
  ...nothing,
  outcome: 'blocked',
  gates: [quiet],
  blockedBy: 'quiet_writes',
  sentence: 'Stops at a gate: the last write was 3 s ago; 15 s must pass.',
}
const kick: PassPreview = { ...nothing, source: 'checkpoint_kick', sentence: 'Nothing.' }
const confirms: PassPreview = {
  ...nothing,
  source: 'rewrite_stage_confirm',
  outcome: 'rewrote',
  rewritten: [first?.segmentId ?? 0],
  sentence: 'Rewrites 1 of 2 queued segments.',
}
const tick = (pass: PassPreview): PreviewedWake => ({
  source: 'periodic',
  on: 'tick',
  atMs: NOW + 600,
  pass,
})
const timer = (pass: PassPreview): PreviewedWake => ({
  source: pass.source,
  on: 'timer',
  atMs: NOW + 18_000,
  pass,
})

function preview(wakes: PreviewedWake[], checkpoint = kick): MaintenancePreview {
  const asked = {
    periodic: nothing,
    checkpoint_kick: nothing,
    checkpoint_pending: nothing,
    rewrite_stage_confirm: confirms,
    rewrite_stage_confirm_exit: confirms,
    rewrite_age_blocked: nothing,
    rewrite_age_blocked_exit: nothing,
    rewrite_queue_pending: nothing,
  }
  const last = { source: 'checkpoint_kick', on: 'checkpoint', atMs: null, pass: kick } as const
  return { atMs: NOW, wakes: [...wakes, last], checkpoint, asked, elapsedMs: 1 }
}

function ask(engine: EngineState, made: MaintenancePreview | null, store = makeStore()) {
  return whatIsNext({ engine, store, preview: made, nowMs: NOW })
}

describe('what happens next', () => {
  test('is the first pass by itself that would do something, with its time', () => {
    expect(ask(staged, preview([tick(blocked), timer(confirms)])).headline).toBe(
      'Stage confirm in 18 s, then L0-1 is rewritten.',
    )
    const stages = { ...nothing, outcome: 'staged' as const, sentence: 'Stages 2 segments.' }
    expect(ask(idle, preview([tick(stages)])).headline).toBe(
      'Periodic pass in 1 s: it stages 2 segments.',
    )
  })

  test('else the gate that stops the first of them, in the words of the gate', () => {
    expect(ask(idle, preview([tick(blocked)])).headline).toBe(
      'Nothing runs now: the last write was 3 s ago; 15 s must pass.',
    )
    expect(ask(idle, preview([tick(nothing)])).headline).toBe(nothing.sentence)
  })

  test('is not guessed where the engine has not said it, or nothing wakes a pass', () => {
    expect(ask(idle, null).headline).toBe('The next pass is not known yet.')
    expect(ask(idle, preview([])).headline).toMatch(/^No timer is on/)
  })

  test('a running pass, a pause and step mode come before it', () => {
    const made = preview([timer(confirms)])
    expect(ask(facts(staged, { paused: true }), made).headline).toContain('paused')
    expect(ask(facts(staged, { mode: 'step' }), made).headline).toContain(
      'Advance the clock by 18 s',
    )
    const activePass = { passId: 41, source: 'checkpoint_kick' as const, startedAtMs: NOW }
    expect(ask(facts(staged, { activePass }), made).headline).toContain('Pass 41')
  })

  test('what holds passes back is said with its reason and what ends it, all of it', () => {
    const pauseFile = { file: '/run/pause', present: true, reason: 'state sync' }
    const held = ask(facts(staged, { phase: 'restore', pauseFile }), preview([]))
    expect(held.headline).toBe('Nothing runs by itself: a pause file is there: state sync.')
    expect(held.reasons).toHaveLength(2)
    expect(held.reasons[0]).toContain('/run/pause')
    expect(held.reasons[1]).toContain('steady')
    const stepped = facts(staged, { phase: 'restore', mode: 'step' })
    expect(ask(stepped, preview([])).headline).toContain('Advance the clock')
  })

  test('no debt says why that is good; an attached folder runs nothing', () => {
    const live = makeState({ segments: [makeSegment(1)] })
    expect(ask(live, preview([])).headline).toContain('every byte on disk is live')
    expect(ask(staged, null, makeStore({ mode: 'attached' })).headline).toContain('read-only')
  })
})

describe('the list of wakes', () => {
  const rows = (made: MaintenancePreview) => wakeRows(made, NOW).map(({ key, when }) => [key, when])

  test('counts down to each time and has the checkpoint last', () => {
    expect(rows(preview([tick(blocked), timer(confirms)]))).toEqual([
      ['tick', 'at the next tick'],
      ['timer', 'in 18 s'],
      ['checkpoint', 'at a checkpoint'],
    ])
    expect(wakeRows(preview([timer(confirms)]), NOW + 20_000)[0]?.when).toBe('now')
  })

  test('adds the checkpoint that a person makes where it comes to something else', () => {
    expect(rows(preview([], confirms))).toEqual([
      ['checkpoint', 'at a checkpoint'],
      ['asked', 'at one you make'],
    ])
  })
})
