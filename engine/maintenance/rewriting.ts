/**
 * The rewrites of one pass: copy, consume, reclaim, judge, restage. At each point a crash leaves debt
 * that is still right.
 */
import { AssertionError } from '../assert.ts'
import { EngineError } from '../errors.ts'
import type {
  PassOutcome,
  RewriteOptions,
  RewriteReason,
  RewriteReport,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import { resumeRefusal } from './admission.ts'
import { bound } from './bounds.ts'
import { draw } from './budget.ts'
import type { QueueRewrite } from './decision.ts'
import { judgeRewrite, reclaimedBytes, sum, type Effect, type Processed } from './effect.ts'
import {
  clearStage,
  consume,
  nextToRun,
  pruneDead,
  ratioOf,
  segmentLookup,
  stage,
} from './ledger.ts'
import type { Pass } from './pass.ts'
import { describeError } from './pass-environment.ts'
import { factsOf, isConfirm, isQueueRun } from './pass-input.ts'
import { penalise } from './penalties.ts'
import type { RewrittenSegment } from './sentence.ts'
import { countTowardsVacuum, vacuumAfterRewrite } from './vacuuming.ts'

interface RewriteLimits {
  reason: RewriteReason
  maxSegments: number
  maxCopiedBytes: number
  minStaleRatio: number
  fresh: boolean
  /** How it copies and swaps, where somebody said so; absent = the defaults. */
  how?: Omit<Partial<RewriteOptions>, 'maxCopiedBytes'>
}

const NORMAL = { cleanup: false }

export class Rewriting {
  readonly #pass: Pass
  /** Every source whose rewrite began, in order. */
  readonly chosen: Processed[] = []
  /** Those that ended. */
  readonly rewritten: RewrittenSegment[] = []

  constructor(pass: Pass) {
    this.#pass = pass
  }

  // ---------------------------------------------------------------- what a pass asks for

  async runQueued(action: QueueRewrite, havePlan: boolean): Promise<PassOutcome> {
    const pass = this.#pass
    const { memory, host } = pass.environment
    const { reason, minStaleRatio, maxSegments } = action
    // A fresh queue is on disk before its first rewrite, so a crash cannot forget the rest of it.
    if (action.fresh) {
      const { debt } = action
      const { passId } = pass
      await memory.replaceDebt(debt, { cause: 'planned', passId, minStaleRatio })
    }
    // Saving debt let writes in: the choice is made on the segments as they are now.
    if (nextToRun(memory.debt, segmentLookup(host.segments())) === null)
      return this.#dropDead(action.fresh)
    if (isConfirm(pass.source)) {
      if (pass.stopsBefore('confirm')) await pass.stop('confirm', 'Before it confirms the stage.')
      pass.steps.push({ kind: 'confirm', segmentIds: memory.debt.queue, result: 'executes' })
    }
    if (pass.stopsBefore('rewrite')) await pass.stop('rewrite', 'Before it rewrites a segment.')
    this.#start(reason, memory.debt.queue.length, havePlan)
    const limits = {
      reason,
      maxSegments,
      maxCopiedBytes: action.maxCopiedBytes,
      minStaleRatio: minStaleRatio ?? 0,
      fresh: action.fresh,
    }
    const before = this.#bytesTotal()
    await this.#orCleanUp({ reason, bytesBefore: before }, () => {
      return this.#drain(limits, action.restage)
    })
    let effect: Effect
    try {
      await this.#reclaim(reason)
      effect = this.#judge(reason, before)
    } finally {
      // Also when GC failed: the rest must be behind its delay, or the next kick goes on at once (D3).
      if (action.restage) await this.#restage(action)
    }
    await this.#penalise(reason, effect)
    await memory.saveHistory()
    this.#afterQueueRun()
    await this.#vacuum()
    pass.rest()
    return 'rewrote'
  }

  /**
   * Exactly these, one after another; nothing is staged or unstaged by it. The cap on copied bytes is for
   * all of them: a source that it cuts short keeps its place in the queue.
   */
  async runNamed(
    segmentIds: readonly SegmentId[],
    options: Partial<RewriteOptions>,
  ): Promise<PassOutcome> {
    const pass = this.#pass
    const { memory } = pass.environment
    if (pass.stopsBefore('rewrite')) {
      await pass.stop('rewrite', `Before it rewrites ${segmentIds.length} segments.`)
    }
    this.#start('manual', segmentIds.length, false)
    const { maxCopiedBytes = 0, ...how } = options
    const limits = {
      reason: 'manual' as const,
      maxSegments: segmentIds.length,
      minStaleRatio: 0,
      fresh: false,
      how,
    }
    await this.#orCleanUp({ reason: 'manual', bytesBefore: null }, () => {
      return this.#runEach(segmentIds, { ...limits, maxCopiedBytes })
    })
    await this.#reclaim('manual')
    await memory.saveHistory()
    await this.#vacuum()
    pass.rest()
    return this.rewritten.length > 0 ? 'rewrote' : 'nothing_to_do'
  }

  async #runEach(segmentIds: readonly SegmentId[], limits: RewriteLimits): Promise<void> {
    const { host } = this.#pass.environment
    const { maxCopiedBytes } = limits
    let left = maxCopiedBytes
    for (const segmentId of segmentIds) {
      // The ones before took time: this one may be dead, deleted or cancelled by now.
      const segment = segmentLookup(host.segments()).get(segmentId)
      if (segment === undefined || segment.state === 'zombie') continue
      const report = await this.#rewrite(segment, { ...limits, maxCopiedBytes: left })
      if (report.sourcesUnfinished.includes(segmentId)) break
      await this.#consume(segmentId, true)
      if (maxCopiedBytes === 0) continue
      left -= report.sourceBytesProcessed
      if (left <= 0) break
    }
  }

  /** Everything queued died while the debt was saved: GC's work now. */
  async #dropDead(fresh: boolean): Promise<PassOutcome> {
    const pass = this.#pass
    const { memory, host } = pass.environment
    const queued = memory.debt.queue.length
    const pruned = pruneDead(memory.debt, segmentLookup(host.segments()))
    await pass.prune({ kind: 'dead', ...pruned, minStaleRatio: 0, queued })
    pass.skipRewrite(fresh ? 'planned_zero_live' : 'dropped_zero_live', null)
    return 'nothing_to_do'
  }

  /** One segment, or for the queue runner up to its cap of segments and copied bytes. */
  async #drain(limits: RewriteLimits, keepStage: boolean): Promise<void> {
    const { memory, host } = this.#pass.environment
    let left = limits.maxCopiedBytes
    for (let run = 0; run < limits.maxSegments; run += 1) {
      const target = nextToRun(memory.debt, segmentLookup(host.segments()))
      if (target === null) return
      const report = await this.#rewrite(target, { ...limits, maxCopiedBytes: left })
      // Staged debt that goes on to be restaged keeps its old stage until then: a crash in between
      // leaves it due, not open to every kick.
      const whole = !report.sourcesUnfinished.includes(target.segmentId)
      if (whole) await this.#consume(target.segmentId, keepStage)
      else return
      if (limits.maxCopiedBytes === 0) continue
      left -= report.sourceBytesProcessed
      if (left <= 0) return
    }
  }

  /**
   * A copy that is cancelled or fails ends the pass, but not what ended before it: that is cleaned up as
   * upstream does, whoever cancelled (backend.md 4.1, 12). `bytesBefore` null: the effect is not judged.
   */
  async #orCleanUp(
    of: { reason: RewriteReason; bytesBefore: number | null },
    copies: () => Promise<void>,
  ): Promise<void> {
    try {
      await copies()
    } catch (error) {
      if (this.rewritten.length > 0) await this.#cleanUp(of, error)
      throw error
    }
  }

  /** Does not throw: the pass ends with the error that brought it here. */
  async #cleanUp(
    { reason, bytesBefore }: { reason: RewriteReason; bytesBefore: number | null },
    cause: unknown,
  ): Promise<void> {
    const pass = this.#pass
    try {
      // After a broken assertion nothing is deleted until someone has looked.
      if (cause instanceof AssertionError) this.#rememberAll()
      else await this.#reclaim(reason, { cleanup: true })
      // Told and counted, not penalised: the log has grown by the copy that did not end, too.
      if (bytesBefore !== null) this.#judge(reason, bytesBefore)
      countTowardsVacuum(pass, this.#sourceBytes())
      await pass.environment.memory.saveHistory()
    } catch (error) {
      pass.emit({ type: 'maintenance_failed', ...describeError(error) })
    }
  }

  // ---------------------------------------------------------------- debt

  /** By id, whatever else changed in the queue (D4). */
  async #consume(segmentId: SegmentId, keepStage: boolean): Promise<void> {
    const pass = this.#pass
    const { memory } = pass.environment
    if (!memory.debt.queue.includes(segmentId)) return
    const rest = consume(memory.debt, [segmentId])
    await pass.replaceDebt(keepStage ? rest : clearStage(rest), 'consumed')
    const remaining = rest.queue.length
    pass.steps.push({ kind: 'consume', segmentIds: [segmentId], remaining })
  }

  /** The delay starts now, after rewrite and GC, not when the pass began (M2). */
  async #restage(action: QueueRewrite): Promise<void> {
    const pass = this.#pass
    const { memory, host, options } = pass.environment
    const { confirmDelayMs } = options
    const { minStaleRatio, reason } = action
    if (memory.debt.queue.length > 0 && pass.stopsBefore('restage')) {
      await pass.stop('restage', `Before it restages ${memory.debt.queue.length} segments.`)
    }
    const debt = stage(memory.debt, host.clock.now(), { confirmDelayMs, minStaleRatio })
    if (debt.stage === null) return
    const remaining = debt.queue.length
    const word = { type: 'rewrite_queue_restage' as const, remaining, confirmDelayMs }
    await pass.replaceDebt(debt, 'restaged', word)
    const processedIds = this.rewritten.map(({ segmentId }) => segmentId)
    pass.emit({ type: 'rewrite_queue_restaged', reason, processedIds })
    pass.steps.push({ kind: 'restage', remaining, dueAtMs: debt.stage.dueAtMs })
  }

  // ---------------------------------------------------------------- one rewrite

  /** Only here is a rewrite stamped: staging and empty passes must not delay a real one (D6). */
  #start(reason: RewriteReason, rewriteQueue: number, havePlan: boolean): void {
    const pass = this.#pass
    const facts = factsOf(pass.input())
    pass.emit({ type: 'rewrite_start', reason, rewriteQueue, havePlan, facts })
    const lastRewriteAtMs = pass.startedAtMs
    const patch = { state: 'running' as const, lastReason: reason, lastRewriteAtMs }
    pass.environment.memory.update(patch, pass.passId)
  }

  /** Throws what the host throws; a cancelled copy throws ENGINE_ABORTED and consumes nothing. */
  async #rewrite(segment: SegmentInfo, limits: RewriteLimits): Promise<RewriteReport> {
    const pass = this.#pass
    const { memory, host, options } = pass.environment
    const { segmentId } = segment
    const { reason, maxSegments, maxCopiedBytes, minStaleRatio } = limits
    pass.signal.throwIfAborted()
    const planned = memory.debt.ledger.find((entry) => entry.segmentId === segmentId)
    const liveBytes = planned?.bytesLive ?? segment.bytesLive
    pass.emit({
      type: 'rewrite_exec',
      reason,
      sourceIds: [segmentId],
      maxSegments,
      budgetTokensBytes: memory.facts.budget?.tokensBytes ?? null,
      maxCopiedBytes,
      minStaleRatio,
      queueLen: memory.debt.queue.length,
      ledgerLiveBytes: liveBytes,
    })
    const processed: Processed = { segment, liveBytes, report: null }
    this.chosen.push(processed)
    const begun = host.clock.monotonic()
    // Queued debt is only bounded by time: a busy foreground must not starve it (scheduler.md 1.6).
    const cancelable = limits.fresh && pass.source === 'periodic'
    const bounds = bound(host, pass.signal, {
      timeoutMs: limits.fresh ? options.freshRewriteTimeoutMs : options.rewriteTimeoutMs,
      foregroundGraceMs: cancelable ? 0 : null,
    })
    try {
      const request = { ...limits.how, ...(maxCopiedBytes > 0 ? { maxCopiedBytes } : {}) }
      const report = await host.rewrite([segmentId], bounds.signal, request)
      pass.steps.push({ kind: 'rewrite', reason, report })
      this.#count(segment, report)
      if (report.cancelled) throw new EngineError('ENGINE_ABORTED', 'the rewrite was cancelled')
      processed.report = report
      this.#done(processed, report, reason)
      return report
    } catch (error) {
      const cause = bounds.cause()
      this.#failed(error, cause === 'foreground' || cause === 'deadline')
      const durMs = host.clock.monotonic() - begun
      pass.emit({ type: 'rewrite_err', reason, ...describeError(error), durMs })
      throw error
    } finally {
      bounds.release()
    }
  }

  #count(segment: SegmentInfo, report: RewriteReport): void {
    const { memory } = this.#pass.environment
    const ended = report.cancelled ? 0 : 1
    memory.count(
      {
        rewriteRuns: ended,
        rewriteElapsedMs: report.elapsedMs,
        rewriteRecordsCopied: report.recordsCopied,
        rewriteBytesRead: report.bytesRead,
        rewriteBytesWritten: report.bytesWritten,
        rewriteSourceSegments: ended,
        rewriteSourceSegmentsStillReferenced: ended * report.sourcesStillReferenced.length,
        rewriteSourceSegmentsUnreferenced: ended * report.sourcesUnreferenced.length,
        rewriteSourceBytes: ended * segment.bytesTotal,
        rewriteSourceBytesStillReferenced: ended * report.sourceBytesStillReferenced,
        rewriteSourceBytesUnreferenced: ended * report.sourceBytesUnreferenced,
        rewriteProcessedLiveBytes: ended * segment.bytesLive,
        rewriteProcessedStaleBytes: ended * segment.bytesStale,
      },
      this.#pass.passId,
    )
  }

  /** Draws from the budget what the ledger promised; of a source left unfinished, what was done. */
  #done(processed: Processed, report: RewriteReport, reason: RewriteReason): void {
    const pass = this.#pass
    const { memory } = pass.environment
    const { segment, liveBytes } = processed
    const { segmentId } = segment
    const unfinished = report.sourcesUnfinished.includes(segmentId)
    const drawn = unfinished ? report.sourceBytesProcessed : liveBytes
    const { budget } = memory.facts
    if (budget !== null) memory.update({ budget: draw(budget, drawn) }, pass.passId)
    const consumed = budget === null ? 0 : drawn
    memory.count({ rewriteBytesIn: drawn, budgetConsumedBytes: consumed }, pass.passId)
    memory.tellCounters()
    pass.emit({ type: 'rewrite_done', reason, report })
    if (!unfinished) this.rewritten.push({ segmentId, staleRatio: ratioOf(segment) })
  }

  /** Cancelled by the foreground or by time: a kick may be remembered, which goes on with what is queued. */
  #failed(error: unknown, bounded: boolean): void {
    const { memory, host } = this.#pass.environment
    const { passId, source } = this.#pass
    const aborted = error instanceof EngineError && error.code === 'ENGINE_ABORTED'
    if (!aborted) {
      memory.count({ rewriteFailedRuns: 1 }, passId)
      return
    }
    memory.count({ rewriteCanceledRuns: 1 }, passId)
    memory.update({ lastRewriteCanceledAtMs: host.clock.now() }, passId)
    // A kick leaves staged debt alone (D10): the confirm that was cancelled comes again after its delay.
    if (!bounded || memory.debt.stage !== null) return
    const refusal = resumeRefusal(source, this.#pass.input())
    if (refusal === null) {
      memory.update({ checkpointKickPending: true }, passId)
      return
    }
    const segments = host.segments().length
    const queueLen = memory.debt.queue.length
    this.#pass.emit({ type: 'checkpoint_kick_skip', ...refusal, segments, queueLen })
    memory.count({ checkpointKickSkips: 1 }, passId)
  }

  // ---------------------------------------------------------------- what came of it

  /** Which sources of each rewrite the collection after it deleted; events told so far stay as they are. */
  #tellReclaimed(): void {
    const { steps, environment } = this.#pass
    const left = new Set(environment.host.segments().map((s) => s.segmentId))
    for (const [i, step] of steps.entries()) {
      if (step.kind !== 'rewrite') continue
      const { sourceSegmentsRequested: asked } = step.report
      const sourcesReclaimed = asked.filter((id) => !left.has(id))
      const bytes = this.chosen
        .filter(({ segment }) => sourcesReclaimed.includes(segment.segmentId))
        .reduce((sum, { segment }) => sum + segment.bytesTotal, 0)
      steps[i] = {
        ...step,
        report: { ...step.report, sourcesReclaimed, sourceBytesReclaimed: bytes },
      }
    }
  }

  /** GC after the rewrite, and where each source is now: known without any scan (B3, D11, F14). */
  async #reclaim(reason: RewriteReason, how: { cleanup: boolean } = NORMAL): Promise<void> {
    const pass = this.#pass
    const { memory, host } = pass.environment
    const sourceIds = this.rewritten.map(({ segmentId }) => segmentId)
    try {
      await pass.reclaim('after_rewrite', { observed: sourceIds, rewriteReason: reason, ...how })
    } finally {
      // Also when GC failed: totals have grown, and the last rewrite is this one.
      this.#rememberAll()
    }
    const now = segmentLookup(host.segments())
    const removed = this.chosen.filter(({ segment }) => !now.has(segment.segmentId)).length
    if (removed > 0) {
      pass.emit({ type: 'rewrite_retained_cleanup_done', reason, sourceIds, removed })
    }
    for (const { segment: source } of this.chosen) {
      const { segmentId, file } = source
      if (!sourceIds.includes(segmentId)) continue
      const segment = now.get(segmentId)
      const kept = segment?.keptBy.map(({ kind }) => kind) ?? []
      pass.emit({
        type: 'rewrite_source_state',
        reason,
        segmentId,
        liveBytes: segment?.bytesLive ?? 0,
        retained: segment?.state === 'zombie',
        inUse: kept.includes('snapshot') || kept.includes('iterator'),
        current: segment?.state === 'active',
        queued: memory.debt.queue.includes(segmentId),
        exists: segment !== undefined,
        file,
      })
    }
  }

  /** What the rewrites came to, by what is gone at this moment. */
  #rememberAll(): void {
    const now = segmentLookup(this.#pass.environment.host.segments())
    const gone = this.chosen.filter(({ segment }) => !now.has(segment.segmentId))
    this.#tellReclaimed()
    this.#remember(gone)
    this.#noteHistory(gone)
  }

  /** Upstream's recordVlogGenerationRewriteHistoryWithLedger. */
  #noteHistory(gone: readonly Processed[]): void {
    const { memory, host } = this.#pass.environment
    const atMs = host.clock.now()
    const attempts = this.chosen.flatMap((processed) => {
      const { segment, liveBytes, report } = processed
      if (report === null) return []
      const { segmentId, bytesStale: staleBytes } = segment
      return {
        segmentId,
        atMs,
        processedLiveBytes: liveBytes,
        sourceBytesUnreferenced: report.sourceBytesUnreferenced,
        reclaimedBytes: reclaimedBytes(processed, gone.includes(processed)),
        staleBytes,
      }
    })
    memory.noteHistory(attempts)
  }

  #remember(gone: readonly Processed[]): void {
    const { memory, host } = this.#pass.environment
    const { passId } = this.#pass
    const ended = this.chosen.filter(({ report }) => report !== null)
    if (ended.length === 0) return
    const stays = gone.length === 0
    const reclaimed = sum(gone, (processed) => reclaimedBytes(processed, true))
    memory.count(
      {
        rewriteReclaimedBytes: reclaimed,
        rewriteNoReclaimRuns: stays ? 1 : 0,
        rewriteNoReclaimStaleBytes: stays ? sum(ended, ({ segment }) => segment.bytesStale) : 0,
      },
      passId,
    )
    const lastRewrite = {
      atMs: host.clock.now(),
      elapsedMs: sum(ended, ({ report }) => report?.elapsedMs ?? 0),
      sourceSegments: ended.length,
      sourceSegmentsStillReferenced: sum(
        ended,
        ({ report }) => report?.sourcesStillReferenced.length ?? 0,
      ),
      sourceSegmentsUnreferenced: sum(
        ended,
        ({ report }) => report?.sourcesUnreferenced.length ?? 0,
      ),
      sourceBytes: sum(ended, ({ segment }) => segment.bytesTotal),
      sourceBytesStillReferenced: sum(
        ended,
        ({ report }) => report?.sourceBytesStillReferenced ?? 0,
      ),
      sourceBytesUnreferenced: sum(ended, ({ report }) => report?.sourceBytesUnreferenced ?? 0),
      liveBytes: sum(ended, ({ segment }) => segment.bytesLive),
      bytesWritten: sum(ended, ({ report }) => report?.bytesWritten ?? 0),
      reclaimedBytes: reclaimed,
    }
    memory.update({ lastRewrite }, passId)
  }

  /** Upstream's effect accounting, with its penalties. */
  #judge(reason: RewriteReason, bytesBefore: number): Effect {
    const pass = this.#pass
    const { memory, options } = pass.environment
    const ended = this.chosen.filter(({ report }) => report !== null)
    const gcBytesDeleted = sum(pass.steps, (s) => (s.kind === 'gc' ? s.report.bytesDeleted : 0))
    // As it was before GC; the writes of the foreground meanwhile are in it, as in upstream's.
    const bytesAfter = this.#bytesTotal() + gcBytesDeleted
    const run = { bytesBefore, bytesAfter, gcBytesDeleted }
    const effect = judgeRewrite(run, ended, options.ineffectiveGrowthMinBytes)
    const processedIds = ended.map(({ segment }) => segment.segmentId)
    if (effect.locallyEffective) {
      pass.emit({
        type: 'rewrite_effective_local',
        reason,
        processedIds,
        plannedTotal: sum(ended, ({ segment }) => segment.bytesTotal),
        plannedLive: sum(ended, ({ segment }) => segment.bytesLive),
        plannedStale: sum(ended, ({ segment }) => segment.bytesStale),
        ...run,
        records: sum(ended, ({ report }) => report?.recordsCopied ?? 0),
      })
    }
    if (!effect.ineffective) return effect
    memory.count(
      {
        rewriteIneffectiveRuns: 1,
        rewriteIneffectiveBytesIn: bytesBefore,
        rewriteIneffectiveBytesOut: effect.effectiveAfter,
      },
      pass.passId,
    )
    const queueLen = memory.debt.queue.length
    pass.emit({ type: 'rewrite_ineffective', reason, sourceIds: processedIds, ...run, queueLen })
    return effect
  }

  async #penalise(reason: RewriteReason, effect: Effect): Promise<void> {
    const pass = this.#pass
    const { memory, host, options } = pass.environment
    const { passId } = pass
    const { growthBytes, penalty, gcBytesDeleted } = effect
    if (penalty === null) return
    const ended = this.chosen.filter(({ report }) => report !== null)
    const nowMs = host.clock.now()
    const cooldownUntilMs = nowMs + options.penaltyCooldownMs
    const failed = ended.map(({ segment: { segmentId, bytesStale } }) => {
      return { segmentId, staleBytes: bytesStale }
    })
    const segmentIds = failed.map(({ segmentId }) => segmentId)
    const penalties = penalise(memory.penalties, failed, { cooldownUntilMs, growthBytes })
    await memory.replacePenalties(penalties, { cause: 'recorded', segmentIds, passId })
    memory.count({ penaltiesRecorded: segmentIds.length }, passId)
    memory.update({ lastIneffectiveAtMs: nowMs }, passId)
    pass.emit({
      type: 'rewrite_ineffective_penalty',
      reason,
      processedIds: segmentIds,
      remainingIds: memory.debt.queue.length,
      growth: growthBytes,
      threshold: options.ineffectiveGrowthMinBytes,
      penaltyReason: penalty,
      cooldownMs: options.penaltyCooldownMs,
      gcBytesDeleted,
    })
    pass.steps.push({ kind: 'penalty', segmentIds, growthBytes, cooldownUntilMs })
  }

  /** The queue runner goes on at once while it frees something, and pauses when it does not. */
  #afterQueueRun(): void {
    const pass = this.#pass
    const { memory, host, options } = pass.environment
    if (!isQueueRun(pass.source)) return
    const reclaimed = pass.steps.some((s) => s.kind === 'gc' && s.report.deleted.length > 0)
    const queueLen = memory.debt.queue.length
    const pauses = !reclaimed && queueLen > 0
    const cooldownMs = options.queueFollowupCooldownMs
    const queueCooldownUntilMs = pauses ? host.clock.now() + cooldownMs : null
    memory.update({ queueCooldownUntilMs }, pass.passId)
    if (pauses) pass.emit({ type: 'rewrite_queue_followup_suppressed', queueLen, cooldownMs })
  }

  async #vacuum(): Promise<void> {
    await vacuumAfterRewrite(this.#pass, this.#sourceBytes())
  }

  #sourceBytes(): number {
    const ended = this.chosen.filter(({ report }) => report !== null)
    return sum(ended, ({ segment }) => segment.bytesTotal)
  }

  #bytesTotal(): number {
    return sum(this.#pass.environment.host.segments(), ({ bytesTotal }) => bytesTotal)
  }
}
