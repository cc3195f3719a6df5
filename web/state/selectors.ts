// Derived values and the sentences of the page. Pure functions of state and of the engine's clock,
// so that a test can ask what the page would say at any instant.
import type {
  EngineState,
  LedgerEntry,
  RewriteDebt,
  SegmentId,
  SegmentInfo,
  SegmentKeeper,
  SessionBody,
} from '../../server/protocol.ts'
import { formatBytes, formatCountdown, formatCount, plural, segmentLabel } from '../lib/format.ts'
import type { Route, SegmentOrder } from '../lib/route.ts'
import { isPinned, keeperShort } from '../lib/words.ts'
import type { AppState, PassRun } from './app-state.ts'
import { findSegment } from './apply-event.ts'

export interface Totals {
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  segments: number
  segmentsWithStale: number
  zombies: number
  zombieBytes: number
  /** Of the dead ones, those that a snapshot or an iterator keeps: no maintenance could delete them now. */
  pinned: number
  pinnedBytes: number
}

const knownTotals = new WeakMap<readonly SegmentInfo[], Readonly<Totals>>()

/** A list never changes, so its totals are added up once, however many parts of the page show them. */
export function totalsOf(segments: readonly SegmentInfo[]): Readonly<Totals> {
  let totals = knownTotals.get(segments)
  if (totals === undefined) knownTotals.set(segments, (totals = addUp(segments)))
  return totals
}

function addUp(segments: readonly SegmentInfo[]): Totals {
  const totals = {
    bytesTotal: 0,
    bytesLive: 0,
    bytesStale: 0,
    segments: segments.length,
    segmentsWithStale: 0,
    zombies: 0,
    zombieBytes: 0,
    pinned: 0,
    pinnedBytes: 0,
  }
  for (const segment of segments) {
    totals.bytesTotal += segment.bytesTotal
    totals.bytesLive += segment.bytesLive
    totals.bytesStale += segment.bytesStale
    if (segment.bytesStale > 0) totals.segmentsWithStale += 1
    if (segment.state === 'zombie') {
      totals.zombies += 1
      totals.zombieBytes += segment.bytesTotal
      if (!isPinned(segment.keptBy)) continue
      totals.pinned += 1
      totals.pinnedBytes += segment.bytesTotal
    }
  }
  return totals
}

export function segmentById(
  segments: readonly SegmentInfo[],
  id: SegmentId,
): SegmentInfo | undefined {
  const { index, found } = findSegment(segments, id)
  return found ? segments[index] : undefined
}

/** What of a choice a rewrite can take; a dead segment has nothing to copy, an absent one no file. */
export function rewritable(
  segments: readonly SegmentInfo[],
  ids: readonly SegmentId[],
): { chosen: SegmentInfo[]; dead: number; absent: number } {
  const found = ids.flatMap((id) => segmentById(segments, id) ?? [])
  const chosen = found.filter((segment) => segment.state !== 'zombie')
  return { chosen, dead: found.length - chosen.length, absent: ids.length - found.length }
}

// ---------------------------------------------------------------- clock

/** The engine's time now: the last known, carried on by the page's clock unless it stands still. */
export function engineNow(
  state: Pick<AppState, 'gauges' | 'receivedAtMs' | 'link' | 'store'>,
  pageNowMs: number,
): number | null {
  const { gauges } = state
  if (gauges === null) return null
  const stands =
    gauges.clockFrozen || state.link.phase !== 'live' || state.store?.mode === 'attached'
  return stands ? gauges.nowMs : gauges.nowMs + Math.max(0, pageNowMs - state.receivedAtMs)
}

// ---------------------------------------------------------------- stage and queue

export type StageView =
  | { kind: 'none' }
  | { kind: 'ready' }
  | { kind: 'waiting'; dueInMs: number }
  | { kind: 'due'; overdueMs: number }

export function stageOf(debt: RewriteDebt, nowMs: number | null): StageView {
  if (debt.queue.length === 0) return { kind: 'none' }
  if (debt.stage === null) return { kind: 'ready' }
  const dueInMs = nowMs === null ? 0 : debt.stage.dueAtMs - nowMs
  return dueInMs > 0 ? { kind: 'waiting', dueInMs } : { kind: 'due', overdueMs: -dueInMs }
}

export function stageText(stage: StageView): string {
  switch (stage.kind) {
    case 'none':
      return 'nothing queued'
    case 'ready':
      return 'not staged: may be rewritten'
    case 'waiting':
      return `staged, confirm in ${formatCountdown(stage.dueInMs)}`
    case 'due':
      return 'staged, confirm is due'
  }
}

export interface QueueRow {
  position: number
  segmentId: SegmentId
  /** As planned; null for queue-only debt. */
  planned: LedgerEntry | null
  /** As it is; null when the segment is not on disk any more. */
  current: SegmentInfo | null
}

export function queueRows(engine: EngineState): QueueRow[] {
  const ledger = new Map(engine.debt.ledger.map((entry) => [entry.segmentId, entry]))
  return engine.debt.queue.map((segmentId, index) => ({
    position: index + 1,
    segmentId,
    planned: ledger.get(segmentId) ?? null,
    current: segmentById(engine.segments, segmentId) ?? null,
  }))
}

// ---------------------------------------------------------------- segments

export function orderSegments(
  segments: readonly SegmentInfo[],
  order: SegmentOrder,
): readonly SegmentInfo[] {
  switch (order) {
    case 'id':
      return segments
    case 'stale':
      return [...segments].sort((a, b) => b.bytesStale - a.bytesStale || a.segmentId - b.segmentId)
    case 'ratio':
      return [...segments].sort(
        (a, b) => staleRatio(b) - staleRatio(a) || a.segmentId - b.segmentId,
      )
    case 'size':
      return [...segments].sort((a, b) => b.bytesTotal - a.bytesTotal || a.segmentId - b.segmentId)
    case 'age':
      // Oldest first; what has no seal time is still being written, so it is the youngest.
      return [...segments].sort(
        (a, b) =>
          (a.sealedAtMs ?? Infinity) - (b.sealedAtMs ?? Infinity) || a.segmentId - b.segmentId,
      )
  }
}

/** 0 for an empty segment: there is nothing in it to gain. */
export function staleRatio(segment: SegmentInfo): number {
  return segment.bytesTotal === 0 ? 0 : segment.bytesStale / segment.bytesTotal
}

/** Those that match the filters of the route; the same array when there is no filter. */
export function filterSegments(
  segments: readonly SegmentInfo[],
  { segmentState, segmentText }: Pick<Route, 'segmentState' | 'segmentText'>,
): readonly SegmentInfo[] {
  const wanted = segmentText.trim().toLowerCase()
  if (segmentState === null && wanted === '') return segments
  return segments.filter((segment) => {
    if (segmentState !== null && segment.state !== segmentState) return false
    return wanted === '' || searchText(segment).includes(wanted)
  })
}

const searchTexts = new WeakMap<SegmentInfo, string>()

/** What the filter looks through, in small letters, each on a line of its own; made once, as a segment never changes. */
function searchText(segment: SegmentInfo): string {
  let text = searchTexts.get(segment)
  if (text === undefined) {
    const { segmentId, file, origin, keptBy } = segment
    text = [segmentLabel(segmentId), file, origin, ...keptBy.map(keeperShort)]
      .join('\n')
      .toLowerCase()
    searchTexts.set(segment, text)
  }
  return text
}

// ---------------------------------------------------------------- sentences

/** "1.24 GiB stale in 9 of 31 segments. 4 queued, staged, confirm in 18 s." */
export function theSentence(
  engine: EngineState,
  nowMs: number | null,
  liveBytesKnown = true,
): string {
  const totals = totalsOf(engine.segments)
  if (totals.segments === 0) {
    return liveBytesKnown
      ? 'No segments yet: nothing has been written to the value log.'
      : 'No segments were found, and no tree that could name one was read.'
  }
  const stale = !liveBytesKnown
    ? `${formatBytes(totals.bytesTotal)} in ${plural(totals.segments, 'segment')}; how much of it is stale is not known.`
    : totals.bytesStale === 0
      ? `No stale bytes: ${totals.segments === 1 ? 'the only segment is' : `all ${formatCount(totals.segments)} segments are`} fully live.`
      : `${formatBytes(totals.bytesStale)} stale in ${formatCount(totals.segmentsWithStale)} of ${plural(totals.segments, 'segment')}${pinnedPart(totals)}.`
  const stage = stageOf(engine.debt, nowMs)
  if (stage.kind === 'none') return `${stale} Nothing queued.`
  const queued = formatCount(engine.debt.queue.length)
  return `${stale} ${queued} queued, ${stage.kind === 'ready' ? 'ready to rewrite' : stageText(stage)}.`
}

/** What readers keep is stale, but no debt that maintenance could pay. */
function pinnedPart({ pinned, pinnedBytes }: Totals): string {
  return pinned === 0 ? '' : `, ${formatBytes(pinnedBytes)} of it pinned by readers`
}
// ---------------------------------------------------------------- passes

/** The newest pass that did something, and what has been tried in vain since. */
export function lastPass(passes: readonly PassRun[]): {
  acted: PassRun | null
  since: { times: number; newest: PassRun } | null
} {
  let times = 0
  let newest: PassRun | null = null
  for (let index = passes.length - 1; index >= 0; index -= 1) {
    const run = passes[index]
    if (run === undefined) break
    const { outcome } = run.report
    if (outcome !== 'blocked' && outcome !== 'nothing_to_do') {
      return { acted: run, since: newest === null ? null : { times, newest } }
    }
    times += run.repeats
    newest ??= run
  }
  return { acted: null, since: newest === null ? null : { times, newest } }
}

/** Gates by how often they stopped a pass, most often first. */
export function blockersOf(passes: readonly PassRun[]): {
  gate: NonNullable<PassRun['report']['blockedBy']>
  times: number
}[] {
  const times = new Map<NonNullable<PassRun['report']['blockedBy']>, number>()
  for (const run of passes) {
    const gate = run.report.blockedBy
    if (gate !== null) times.set(gate, (times.get(gate) ?? 0) + run.repeats)
  }
  return [...times]
    .map(([gate, count]) => ({ gate, times: count }))
    .sort((a, b) => b.times - a.times)
}

/** Dead segments that a pin keeps on disk. */
export function keptByPin(segments: readonly SegmentInfo[], pinId: number): SegmentInfo[] {
  return segments.filter((segment) =>
    segment.keptBy.some(
      (keeper) =>
        (keeper.kind === 'snapshot' || keeper.kind === 'iterator') && keeper.pinId === pinId,
    ),
  )
}

export interface Holding {
  kind: SegmentKeeper['kind']
  segments: SegmentInfo[]
  bytes: number
  /** Of them, those that nothing else keeps. */
  bytesAlone: number
}

/** Dead segments by what keeps them besides readers, most bytes first; one may stand under several. */
export function otherHoldings(segments: readonly SegmentInfo[]): Holding[] {
  const found = new Map<Holding['kind'], Holding>()
  for (const segment of segments) {
    if (segment.state !== 'zombie') continue
    for (const kind of new Set(segment.keptBy.map((keeper) => keeper.kind))) {
      if (kind === 'snapshot' || kind === 'iterator') continue
      const held = found.get(kind) ?? { kind, segments: [], bytes: 0, bytesAlone: 0 }
      held.segments.push(segment)
      held.bytes += segment.bytesTotal
      const alone = segment.keptBy.every((keeper) => keeper.kind === kind)
      if (alone) held.bytesAlone += segment.bytesTotal
      found.set(kind, held)
    }
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes)
}

// ---------------------------------------------------------------- connection

export interface ConnectionView {
  state: 'connecting' | 'live' | 'reconnecting' | 'stopped'
  text: string
}

export function connectionView(
  state: Pick<AppState, 'link' | 'store'>,
  pageNowMs: number,
): ConnectionView {
  const { link } = state
  switch (link.phase) {
    case 'live':
      return { state: 'live', text: 'live' }
    case 'connecting':
      return { state: 'connecting', text: 'connecting' }
    case 'reconnecting': {
      const wait = link.retryAtMs - pageNowMs
      const when = wait > 0 ? `next try in ${formatCountdown(wait)}` : 'trying now'
      return { state: 'reconnecting', text: `reconnecting, ${when}` }
    }
    case 'closed':
      return { state: 'stopped', text: 'not open' }
    case 'unauthorized':
      return { state: 'stopped', text: 'disconnected' }
    case 'stopped':
      // There is nothing to follow of a failed store; the server itself answers.
      return state.store?.status === 'failed'
        ? { state: 'stopped', text: 'no feed: the store failed' }
        : { state: 'stopped', text: 'disconnected' }
  }
}

/** Why no action can be taken now; null when one can. */
export function whyNoActions(
  state: Pick<AppState, 'store' | 'link'>,
  session: Pick<SessionBody, 'role' | 'readOnly'> | null,
): string | null {
  if (session?.role === 'viewer') return 'This page’s token may look and not act.'
  if (session?.readOnly === true) return 'The server was started read-only.'
  if (state.store === null) return 'No store is open.'
  if (state.store.mode === 'attached') return 'The folder is attached read-only.'
  if (state.store.status === 'failed') return 'The store has failed.'
  if (state.link.phase !== 'live') return 'Not connected: actions wait until the feed is back.'
  return null
}
