/**
 * A host of hand-made segments for tests of decisions: rewriting a segment makes it dead, reclaiming
 * deletes dead ones. Records what was asked of it. The real engine has tests of its own.
 */
import { afterEach, expect } from 'vitest'
import { applyEvent } from '../../../engine/apply-event.ts'
import { manualClock } from '../../../engine/clock.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { ForegroundActivity, MaintenanceHost } from '../../../engine/maintenance/host.ts'
import { MaintenanceScheduler } from '../../../engine/maintenance/scheduler.ts'
import { encodeState, NO_EXTRAS } from '../../../engine/maintenance/state-file.ts'
import { planRewrite, type PlanRequest } from '../../../engine/maintenance/planner.ts'
import { resolveOptions } from '../../../engine/options.ts'
import { vacuumReportOf } from '../../support/vacuum-report.ts'
import type {
  CheckpointReport,
  Counters,
  EngineEventBody,
  EngineEventType,
  EngineState,
  GcReport,
  LedgerEntry,
  MaintenanceOptions,
  MaintenancePhase,
  PauseFileSight,
  PlanFilters,
  RewriteDebt,
  RewritePlan,
  RewriteReport,
  SchedulerInfo,
  SchedulerMode,
  SegmentId,
  SegmentInfo,
  Stage,
  VacuumPlan,
  VacuumReport,
} from '../../../engine/types.ts'
import { rewriteReportOf } from '../../support/rewrite-report.ts'
import { makeGcReport } from '../../support/gc-report.ts'

export const KIB = 1024
export const MIB = 1024 * KIB
/** Nobody reads or writes, and a checkpoint is behind it. */
export const QUIET: Readonly<ForegroundActivity> = {
  lastWriteAtMs: null,
  lastReadAtMs: null,
  openIterators: 0,
  checkpoints: 1,
  dirty: false,
  checkpointing: false,
  bytesPut: 0,
  journaled: true,
}

/** Start of every manual clock. */
export const T0 = 1_774_000_000_000

/** Segment id of lane 0. */
export function id(seq: number): SegmentId {
  return 0x80000000 + seq
}

/** A sealed segment of 1 MiB, old enough for every filter, with `staleRatio` of it stale. */
export function segment(
  seq: number,
  staleRatio: number,
  overrides: Partial<SegmentInfo> = {},
): SegmentInfo {
  const bytesTotal = overrides.bytesTotal ?? MIB
  const bytesStale = Math.round(bytesTotal * staleRatio)
  return {
    segmentId: id(seq),
    lane: 0,
    seq,
    file: `maindb/value_vlog/value-l0-${String(seq).padStart(6, '0')}.log`,
    state: 'sealed',
    origin: 'foreground',
    bytesTotal,
    bytesLive: bytesTotal - bytesStale,
    bytesStale,
    createdAtMs: T0 - 600_000,
    sealedAtMs: T0 - 300_000,
    ageSource: 'metadata',
    keptBy: [],
    ...overrides,
  }
}

export function entry(seq: number, staleRatio: number): LedgerEntry {
  const { segmentId, bytesTotal, bytesLive, bytesStale } = segment(seq, staleRatio)
  return { segmentId, bytesTotal, bytesLive, bytesStale, staleRatio: bytesStale / bytesTotal }
}

export function debtOf(ledger: LedgerEntry[], stage: Stage | null = null): RewriteDebt {
  return { queue: ledger.map((e) => e.segmentId), ledger, stage }
}

export function staged(observedAtMs: number, minStaleRatio: number | null = 0.2): Stage {
  return { observedAtMs, dueAtMs: observedAtMs + 30_000, minStaleRatio }
}

/** Three segments, each more stale than the one before, and the debt that queues them. */
export const THREE = [segment(1, 0.6), segment(2, 0.7), segment(3, 0.8)]
export const QUEUE = debtOf([entry(1, 0.6), entry(2, 0.7), entry(3, 0.8)])

/** Of a checkpoint that the foreground caused and that wrote something. */
export const CHECKPOINT: CheckpointReport = {
  reason: 'foreground',
  commitSeq: 1,
  entriesMerged: 1,
  pagesWritten: 1,
  noop: false,
  elapsedMs: 1,
  longestSliceMs: 1,
}

export class FakeHost implements MaintenanceHost {
  readonly clock = manualClock(T0)
  list: SegmentInfo[]
  activity: ForegroundActivity = { ...QUIET }
  /** Sources of each rewrite call, in order. */
  readonly rewrites: SegmentId[][] = []
  /** Filters of each plan that a pass asked for. */
  readonly plans: PlanFilters[] = []
  vacuums = 0
  /** The pause file is there; asked for only where one is set. */
  pauseFile = false
  /** What it says. */
  pauseReason: string | null = null
  /** dryRun of each reclaim call. */
  readonly reclaims: boolean[] = []
  /** Segments that each of them was to report on. */
  readonly observed: SegmentId[][] = []
  /** Every state file written; null = removed. */
  readonly saves: (string | null)[] = []
  readonly events: (EngineEventBody & { passId: number | null })[] = []
  stateFile: string | null = null
  /** The state as its events tell it; null before the scheduler was made. */
  folded: EngineState | null = null
  /** Runs inside rewrite before it takes effect; may throw, wait or change segments. */
  onRewrite: (sources: SegmentId[], signal: AbortSignal) => Promise<void> = () => Promise.resolve()
  /** Runs inside a pass's plan before it is made; may wait for the signal. */
  onPlan: (signal: AbortSignal) => Promise<void> = () => Promise.resolve()
  onReclaim: () => Promise<void> = () => Promise.resolve()
  onSave: () => Promise<void> = () => Promise.resolve()

  constructor(segments: SegmentInfo[]) {
    this.list = segments
  }

  lookForPauseFile(): PauseFileSight {
    return { present: this.pauseFile, reason: this.pauseFile ? this.pauseReason : null }
  }

  writePauseFile(reason: string | null): Promise<void> {
    this.pauseFile = reason !== null
    this.pauseReason = reason === '' ? null : reason
    return Promise.resolve()
  }

  planVacuum(): VacuumPlan {
    return {
      bytesBefore: 0,
      bytesAfter: 0,
      pagesTotal: 0,
      pagesFree: 0,
      pagesMoved: 0,
      bytesMoved: 0,
      pagesHeld: 0,
      moves: false,
      readers: 0,
    }
  }

  segments(): SegmentInfo[] {
    return this.list
  }

  foreground(): ForegroundActivity {
    return this.activity
  }

  async rewrite(sources: SegmentId[], signal: AbortSignal): Promise<RewriteReport> {
    this.rewrites.push(sources)
    await this.onRewrite(sources, signal)
    if (signal.aborted) throw new EngineError('ENGINE_ABORTED', 'aborted')
    const found = this.list.filter((s) => sources.includes(s.segmentId))
    const bytesRead = found.reduce((n, s) => n + s.bytesLive, 0)
    const bytes = found.reduce((n, s) => n + s.bytesTotal, 0)
    this.list = this.list.map((s) =>
      sources.includes(s.segmentId) ? { ...s, bytesLive: 0, bytesStale: s.bytesTotal } : s,
    )
    return rewriteReportOf({
      sourceSegmentsRequested: sources,
      sourceBytesRequested: bytes,
      recordsCopied: found.length,
      bytesRead,
      sourceBytesProcessed: bytesRead,
      bytesWritten: bytesRead,
      sourcesUnreferenced: sources,
      sourceBytesUnreferenced: bytes,
    })
  }

  async plan(request: PlanRequest, signal: AbortSignal): Promise<RewritePlan> {
    this.plans.push(request.filters)
    await this.onPlan(signal)
    signal.throwIfAborted()
    return planRewrite(request)
  }

  vacuumIndex(): Promise<VacuumReport> {
    this.vacuums += 1
    return Promise.resolve(vacuumReportOf({ bytesBefore: 2, bytesAfter: 1 }))
  }

  async reclaim(options: { dryRun: boolean; observed?: readonly SegmentId[] }): Promise<GcReport> {
    this.reclaims.push(options.dryRun)
    this.observed.push([...(options.observed ?? [])])
    await this.onReclaim()
    const dead = this.list.filter((s) => s.bytesLive === 0 && s.state !== 'active')
    const free = dead.filter((s) => s.keptBy.length === 0)
    const bytes = free.reduce((n, s) => n + s.bytesTotal, 0)
    if (!options.dryRun) this.list = this.list.filter((s) => !free.includes(s))
    const ids = free.map((s) => s.segmentId)
    return makeGcReport({
      dryRun: options.dryRun,
      segmentsTotal: this.list.length,
      segmentsReferenced: this.list.length - dead.length,
      eligible: ids,
      bytesEligible: bytes,
      deleted: options.dryRun ? [] : ids,
      bytesDeleted: options.dryRun ? 0 : bytes,
      elapsedMs: 1,
    })
  }

  checkpoint(): Promise<never> {
    return Promise.reject(new Error('no pass asks for a checkpoint of its own'))
  }

  jsonOf(value: unknown): Promise<string> {
    return Promise.resolve(JSON.stringify(value))
  }

  emit(body: EngineEventBody, passId: number | null): void {
    this.events.push({ ...body, passId })
    this.folded &&= applyEvent(this.folded, { seq: 0, atMs: 0, passId, ...body })
  }

  async saveState(json: string | null): Promise<void> {
    await this.onSave()
    this.saves.push(json)
    this.stateFile = json
  }

  loadState(): Promise<string | null> {
    return Promise.resolve(this.stateFile)
  }

  types(): EngineEventType[] {
    return this.events.map((event) => event.type)
  }

  eventsOf<T extends EngineEventType>(type: T): Extract<EngineEventBody, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as never
  }
}

/** Of all worlds of a test: what the events say is what is (checked when the test is over). */
const worlds: World[] = []

afterEach(() => {
  for (const { host, scheduler } of worlds.splice(0)) {
    expect(host.folded).toEqual(stateOf(scheduler))
  }
})

function stateOf(scheduler: MaintenanceScheduler): EngineState {
  return {
    segments: [],
    debt: scheduler.debt(),
    scheduler: scheduler.info(),
    penalties: scheduler.penalties(),
    pins: [],
    counters: scheduler.counters(),
    checkpoint: { commitSeq: 0, atMs: null, elapsedMs: null },
  }
}

export interface World {
  host: FakeHost
  scheduler: MaintenanceScheduler
}

/** A loaded scheduler over these segments, in step mode unless said otherwise. */
export async function world(
  segments: SegmentInfo[],
  setup: {
    debt?: RewriteDebt
    mode?: SchedulerMode
    phase?: MaintenancePhase
    pauseFile?: string
    maintenance?: Partial<MaintenanceOptions>
    prepare?: (host: FakeHost) => void
    observe?: ConstructorParameters<typeof MaintenanceScheduler>[2]
  } = {},
): Promise<World> {
  const host = new FakeHost(segments)
  if (setup.debt !== undefined) host.stateFile = encodeState(setup.debt, [], NO_EXTRAS)
  setup.prepare?.(host)
  const options = resolveOptions({
    mode: setup.mode ?? 'step',
    phase: setup.phase ?? 'steady',
    pauseFile: setup.pauseFile ?? '',
    maintenance: { triggerTotalBytes: 0, ...setup.maintenance },
  })
  const scheduler = new MaintenanceScheduler(host, options, setup.observe)
  host.folded = stateOf(scheduler)
  worlds.push({ host, scheduler })
  await scheduler.load()
  return { host, scheduler }
}

/** Lets everything run that only waits for promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
}

/** Moves the clock in steps, letting passes finish in between. */
export async function advance(host: FakeHost, ms: number, stepMs = 1_000): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    host.clock.advance(Math.min(left, stepMs))
    await settle()
  }
}

/** What the events say the state is. */
export function replay(
  start: { debt: RewriteDebt; scheduler: SchedulerInfo; counters: Counters },
  events: readonly EngineEventBody[],
): { debt: RewriteDebt; scheduler: SchedulerInfo; counters: Counters } {
  const state = { ...start }
  for (const event of events) {
    if (event.type === 'debt_changed') state.debt = event.debt
    if (event.type === 'scheduler_changed')
      state.scheduler = { ...state.scheduler, ...event.scheduler }
    if (event.type === 'counters_changed') state.counters = { ...state.counters, ...event.counters }
  }
  return state
}
