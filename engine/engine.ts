/**
 * The engine's public face: takes requests, keeps the order of their effects, and says what happened.
 * It holds no algorithm of its own; `openStore` made the parts it drives. Everything between two
 * `await`s is one indivisible turn.
 */
import type {
  BatchOperation,
  Engine,
  EngineDeps,
  EngineOptions,
  EntryIterator,
  RangeOptions,
  Snapshot,
  VerifyReport,
} from './api.ts'
import { copyOf } from './bytes.ts'
import type { SystemMove } from './checkpoint.ts'
import { checkSizes } from './write-limits.ts'
import type { JournalOperation } from './commit-log/codec.ts'
import { EngineError } from './errors.ts'
import { EventHub, type EngineEventListener } from './events.ts'
import { ForegroundLatency } from './foreground-latency.ts'
import { GroupCommit, allSynced } from './group-commit.ts'
import type { KeyChange } from './key-space.ts'
import type { ForegroundActivity, MaintenanceHost } from './maintenance/host.ts'
import { planVacuum, vacuumIndex } from './index-vacuum.ts'
import { jsonSteps } from './json-steps.ts'
import { pauseFileAt, planAlone, stateText } from './maintenance-host.ts'
import { pruneRetained, PruneTally, reclaim } from './maintenance/reclaim.ts'
import { rewriteSegments } from './maintenance/rewrite.ts'
import { MaintenanceScheduler } from './maintenance/scheduler.ts'
import { PROFILE_LOSES, resolveOptions, type ResolvedOptions } from './options.ts'
import { Readers, valueOf } from './readers.ts'
import { Recorder } from './recording/recorder.ts'
import { Slicer } from './slicer.ts'
import { UnderWay } from './under-way.ts'
import { flushStore, openStore, releaseStore, type Store } from './store.ts'
import type {
  CheckpointReport,
  EngineEvent,
  EngineEventBody,
  EngineGauges,
  EngineInfo,
  EngineState,
  PassReport,
  SegmentId,
} from './types.ts'
import { verifyLiveBytes } from './verify.ts'

/** What a replay reads at most, about: larger makes opening after a crash slow, smaller checkpoints more. */
const JOURNAL_CHECKPOINT_BYTES = 64 * 1024 * 1024
const GETS_A_TIMING = 16

export async function openEngine(
  dir: string,
  options: EngineOptions,
  deps: EngineDeps,
): Promise<Engine> {
  const engine = new RestageEngine(resolveOptions(options), deps)
  await engine.open(dir)
  return engine
}

type Status = 'opening' | 'open' | 'failed' | 'closing' | 'closed'

class RestageEngine implements Engine {
  readonly #deps: EngineDeps
  readonly #options: ResolvedOptions
  readonly #hub: EventHub
  readonly #groupCommit: GroupCommit
  #status: Status = 'opening'
  #failure: unknown = undefined
  #parts: Store | null = null
  #scheduler: MaintenanceScheduler | null = null
  #recorder: Recorder | null = null
  #closing: Promise<void> | null = null
  #cancelInterval: (() => void) | null = null
  #checkpoint: EngineState['checkpoint'] = { commitSeq: 0, atMs: null, elapsedMs: null }
  #checkpoints = 0
  readonly #counts = { puts: 0, deletes: 0, bytesPut: 0 }
  readonly #prunes = new PruneTally()
  #getsUntimed = 0
  readonly #latency: ForegroundLatency
  #lastWriteAtMs: number | null = null
  readonly #readers: Readers
  /** Work on the folder that is under way outside of passes; closing waits for it. */
  readonly #underWay = new UnderWay()

  constructor(options: ResolvedOptions, deps: EngineDeps) {
    this.#options = options
    this.#deps = deps
    this.#hub = new EventHub(() => deps.clock.now())
    if (deps.onEvent !== undefined) this.#hub.subscribe(deps.onEvent)
    this.#latency = new ForegroundLatency(deps.clock, (body) => this.#emit(body, null))
    this.#readers = new Readers({
      clock: deps.clock,
      store: () => this.#readable(),
      flushEvents: () => this.flushEvents(),
      isClosed: () => this.#status === 'closed',
      ended: (reader) => this.#readerEnded(reader),
      failed: (error) => this.#reportFailure(error),
    })
    this.#groupCommit = new GroupCommit(async () => {
      try {
        const { valueLog, journal } = this.#store
        await allSynced([valueLog, journal].flatMap((log) => log?.sync() ?? []))
      } catch (error) {
        // A sync that failed once may have dropped the pages it failed on: nothing is retried.
        this.#fail(error)
        throw error
      }
    })
  }

  async open(dir: string): Promise<void> {
    const store = await openStore(dir, {
      deps: this.#deps,
      options: this.#options,
      isAwaited: () => this.#groupCommit.isAwaited,
      answered: () => this.#groupCommit.betweenSyncs(),
      // Subscribers come later; what opening did is in the first state they ask for.
      emit: (event) => {
        if (this.#status !== 'opening') this.#emit(event)
      },
    })
    this.#parts = store
    const { commitSeq } = store.metas.meta
    this.#checkpoint = { commitSeq, atMs: null, elapsedMs: null }
    this.#checkpoints = store.isNew ? 0 : 1
    this.#scheduler = new MaintenanceScheduler(this.#maintenanceHost(store), this.#options)
    store.set.drain()
    this.#status = 'open'
    this.#startRecording(store)
    this.#emit({
      type: 'store_opened',
      journalRecordsReplayed: store.journalRecordsReplayed,
      journalBatchesSkipped: store.journalBatchesSkipped,
      segments: store.set.infos().length,
    })
    try {
      await this.#scheduler.load()
    } catch (error) {
      this.#status = 'closed'
      await this.#recorder?.close()
      releaseStore(store)
      throw error
    }
    this.#armInterval()
    this.#latency.begin()
  }

  #startRecording(store: Store): void {
    if (this.#options.recording === null) return
    const { clock, fileSystem } = this.#deps
    const host = {
      folder: store.paths.trace,
      clock,
      fileSystem,
      slices: store.slices,
      state: () => this.state(),
      seq: () => this.eventSeq,
      emit: (body: EngineEventBody) => this.#emit(body),
    }
    this.#recorder = new Recorder(host, this.#options.recording)
    this.#recorder.start()
    this.#hub.recordBy(this.#recorder.record)
  }

  get info(): EngineInfo {
    const { paths, kind, journalRecordsReplayed, journalBatchesSkipped } = this.#store
    const { profile } = this.#options
    return {
      dir: paths.root,
      layout: paths.layout,
      checksum: kind,
      profile,
      profileLoses: PROFILE_LOSES[profile],
      readOnly: false,
      journalRecordsReplayed,
      journalBatchesSkipped,
      segmentBytes: this.#options.segmentBytes,
      options: this.maintenance.options(),
    }
  }

  get maintenance(): MaintenanceScheduler {
    if (this.#scheduler === null) throw this.#notOpen()
    return this.#scheduler
  }

  // ------------------------------------------------------------ reading

  get(key: Uint8Array): Uint8Array | undefined {
    const { keySpace } = this.#readable()
    this.#readers.noteRead()
    // A get is over in a microsecond: timing each of them would cost a part of it.
    if (++this.#getsUntimed < GETS_A_TIMING) return valueOf(this.#store, keySpace.current(key))
    this.#getsUntimed = 0
    const startedMs = this.#deps.clock.monotonic()
    const value = valueOf(this.#store, keySpace.current(key))
    this.#latency.get.record(this.#deps.clock.monotonic() - startedMs)
    return value
  }

  iterate(range: RangeOptions = {}, label?: string): EntryIterator {
    return this.#readers.iterate(range, label)
  }

  snapshot(label?: string): Snapshot {
    return this.#readers.snapshot(label)
  }

  /** Deletes what this reader was the last to keep. After a failure deleting, which is writing, is over. */
  async #readerEnded(label: string): Promise<SegmentId[]> {
    if (this.#status === 'failed') return []
    return this.#underWay.track(this.#pruneRetained(label))
  }

  async #pruneRetained(heldBy: string): Promise<SegmentId[]> {
    const report = await pruneRetained(this.#reclaimParts(), heldBy)
    const { status, removed, bytesRemoved, errors } = report
    this.maintenance.countDeleted(removed.length, bytesRemoved)
    this.#prunes.add(report)
    // Iterators come and go by the million; what nothing came of is counted and not told.
    if (removed.length > 0 || errors.length > 0 || status === 'close_abort') {
      this.#emit({ type: 'retained_prune', report }, null)
    }
    return removed
  }

  // ------------------------------------------------------------ writing

  put(key: Uint8Array, value: Uint8Array): Promise<void> {
    return this.batch([{ op: 'put', key, value }])
  }

  delete(key: Uint8Array): Promise<void> {
    return this.batch([{ op: 'delete', key }])
  }

  async batch(operations: readonly BatchOperation[]): Promise<void> {
    const store = this.#writable()
    checkSizes(operations, this.#options.inlineThreshold)
    if (operations.length === 0) return
    const startedMs = this.#deps.clock.monotonic()
    try {
      this.#write(store, operations)
      if (this.#options.profile === 'wal_on_fast') flushStore(store)
    } catch (error) {
      // Part of the batch may be in the log and none in memory: only a reopening can tell.
      this.#fail(error)
      throw error
    }
    this.#lastWriteAtMs = this.#deps.clock.now()
    if (this.#options.profile === 'durable') await this.#groupCommit.commit()
    await this.#checkpointBySize(store, 'size')
    this.#latency.put.record(this.#deps.clock.monotonic() - startedMs)
  }

  #write(store: Store, operations: readonly BatchOperation[]): void {
    const changes: KeyChange[] = []
    const journal: JournalOperation[] = []
    for (const operation of operations) {
      // Journal and memtable copy it before this returns: the caller may reuse its buffers then.
      const { key } = operation
      if (operation.op === 'delete') {
        changes.push({ key, value: { kind: 'tombstone' } })
        journal.push({ op: 'delete', key })
        this.#counts.deletes++
        continue
      }
      this.#counts.puts++
      this.#counts.bytesPut += key.length + operation.value.length
      if (operation.value.length <= this.#options.inlineThreshold) {
        const value = copyOf(operation.value)
        changes.push({ key, value: { kind: 'inline', value } })
        journal.push({ op: 'set_inline', key, value })
      } else {
        const rid = store.valueLog.takeRid()
        const pointer = store.valueLog.append(key, operation.value, rid)
        changes.push({ key, value: { kind: 'pointer', pointer } })
        journal.push({ op: 'set_rid', key, rid })
      }
    }
    store.journal?.append({ seq: store.keySpace.seq + 1, operations: journal })
    store.keySpace.apply(changes)
  }

  // ------------------------------------------------------------ checkpoints

  async checkpoint(): Promise<CheckpointReport> {
    return this.#runCheckpoint('foreground')
  }

  async checkpointWithKick(): Promise<{
    checkpoint: CheckpointReport
    pass: PassReport | null
    skipped: string | null
  }> {
    const checkpoint = await this.#runCheckpoint('foreground')
    return { checkpoint, ...(await this.maintenance.kickFromCheckpoint(checkpoint)) }
  }

  async #runCheckpoint(
    reason: CheckpointReport['reason'],
    system: readonly SystemMove[] = [],
  ): Promise<CheckpointReport> {
    const store = reason === 'close' ? this.#store : this.#writable()
    return this.#underWay.track(this.#checkpointNow(store, reason, system))
  }

  async #checkpointNow(
    store: Store,
    reason: CheckpointReport['reason'],
    system: readonly SystemMove[],
  ): Promise<CheckpointReport> {
    let report: CheckpointReport
    try {
      report = await store.checkpointer.run(reason, system)
      if (!report.noop) await store.metadata.save(store.valueLog)
    } catch (error) {
      this.#fail(error)
      throw error
    }
    const event = this.#emit({ type: 'checkpoint_done', report })
    if (!report.noop) {
      this.#checkpoints++
      const { commitSeq, elapsedMs } = report
      this.#checkpoint = { commitSeq, atMs: event.atMs, elapsedMs, reason: report.reason }
      this.maintenance.countCheckpoint()
    }
    this.maintenance.afterCheckpoint(report)
    return report
  }

  /**
   * Full memtable: checkpoint in the background, and wait once a second one fills up behind it. `reason` says
   * whose writes found it full: only the foreground's kick maintenance.
   */
  async #checkpointBySize(store: Store, reason: 'size' | 'maintenance'): Promise<void> {
    const { memtableBytes } = this.#options
    // The write was acknowledged while the engine closed: that checkpoints anyway.
    if (this.#status !== 'open') return
    // Overwrites of few keys fill the journal and not the memtable.
    const journalFill = (store.journal?.bytes ?? 0) / JOURNAL_CHECKPOINT_BYTES
    const fill = Math.max(store.keySpace.activeBytes / memtableBytes, journalFill)
    if (fill < 1) return
    const running = store.checkpointer.running
    if (running && fill < 2) return
    const done = this.#runCheckpoint(reason)
    if (running) await done
    else done.catch((error: unknown) => this.#reportFailure(error))
  }

  #armInterval(): void {
    const { checkpointIntervalMs } = this.#options
    if (checkpointIntervalMs === 0) return
    const { clock } = this.#deps
    this.#cancelInterval = clock.setTimer(clock.now() + checkpointIntervalMs, () => {
      if (this.#status !== 'open') return
      this.#armInterval()
      if (this.maintenance.info().mode !== 'auto' || this.#store.keySpace.memtableEntries === 0)
        return
      this.#runCheckpoint('interval').catch((error: unknown) => this.#reportFailure(error))
    })
  }

  // ------------------------------------------------------------ state and events

  state(): EngineState {
    this.flushEvents()
    const { set } = this.#store
    return {
      segments: set.infos(),
      debt: this.maintenance.debt(),
      scheduler: this.maintenance.info(),
      penalties: this.maintenance.penalties(),
      pins: set.pins(),
      counters: this.maintenance.counters(),
      checkpoint: this.#checkpoint,
    }
  }

  gauges(): EngineGauges {
    const { clock } = this.#deps
    const { keySpace, journal, pages, valueLog } = this.#store
    return {
      nowMs: clock.now(),
      clockOffsetMs: clock.offsetMs,
      clockFrozen: clock.frozen,
      ...this.#counts,
      gets: this.#readers.gets,
      memtableEntries: keySpace.memtableEntries,
      memtableBytes: keySpace.memtableBytes,
      journalBytes: journal?.bytes ?? 0,
      indexFileBytes: pages.fileBytes,
      passesNotMade: this.maintenance.passesNotMade,
      valueLog: valueLog.reads,
      retainedPrune: this.#prunes.counts(),
      lastWriteAtMs: this.#lastWriteAtMs,
      lastReadAtMs: this.#readers.lastReadAtMs,
      ...(this.#recorder === null ? {} : { recording: this.#recorder.gauge() }),
    }
  }

  latency(): ReturnType<Engine['latency']> {
    return this.#latency.counts()
  }

  get eventSeq(): number {
    return this.#hub.seq
  }

  subscribe(listener: EngineEventListener): () => void {
    return this.#hub.subscribe(listener)
  }

  flushEvents(): void {
    this.#store.set.drain()
    this.#scheduler?.tellCounters()
  }

  #emit(
    body: EngineEventBody,
    passId = this.#scheduler?.info().activePass?.passId ?? null,
    reportJson?: string,
  ): EngineEvent {
    // Held-back byte changes first, so that at every event the state is what the events say.
    this.#parts?.set.drain()
    return this.#hub.emit(body, passId, reportJson)
  }

  async verify(): Promise<VerifyReport> {
    const store = this.#readable()
    return this.#readers.withView('verify', (view) => verifyLiveBytes(store, view))
  }

  // ------------------------------------------------------------ maintenance

  #maintenanceHost(store: Store): MaintenanceHost {
    const { fileSystem, clock } = this.#deps
    return {
      clock,
      segments: () => store.set.infos(),
      foreground: () => this.#foreground(store),
      rewrite: (sources, signal, request) =>
        this.#guard(() => rewriteSegments(this.#rewriteParts(store), sources, signal, request)),
      plan: (request, signal) => planAlone(request, signal, store.slices),
      vacuumIndex: (signal) => this.#guard(() => this.#underWay.track(vacuumIndex(store, signal))),
      reclaim: (options) => this.#guard(() => reclaim(this.#reclaimParts(), options)),
      checkpoint: (reason) => this.#runCheckpoint(reason),
      planVacuum: () => planVacuum(store),
      ...pauseFileAt(fileSystem, this.#options.pauseFile),
      emit: (body, passId, reportJson) => {
        // Before the end of the pass, with which the recording is written.
        if (body.type === 'pass_done') this.#latency.tell()
        this.#emit(body, passId, reportJson)
      },
      jsonOf: (value) => new Slicer(store.slices).run(jsonSteps(value)),
      ...stateText(fileSystem, store.paths, (problem) => {
        this.#emit({ type: 'state_file_ignored', problem }, null)
      }),
    }
  }

  #foreground(store: Store): ForegroundActivity {
    return {
      lastWriteAtMs: this.#lastWriteAtMs,
      lastReadAtMs: this.#readers.lastReadAtMs,
      openIterators: this.#readers.openIterators,
      checkpoints: this.#checkpoints,
      dirty: store.keySpace.memtableEntries > 0,
      checkpointing: store.checkpointer.running,
      bytesPut: this.#counts.bytesPut,
      journaled: store.journal !== null,
    }
  }

  #rewriteParts(store: Store): Parameters<typeof rewriteSegments>[0] {
    return {
      keySpace: store.keySpace,
      valueLog: store.valueLog,
      journal: store.journal,
      kind: store.kind,
      slices: store.slices,
      commit: async () => {
        if (this.#options.profile === 'durable') await this.#groupCommit.commit()
        else if (this.#options.profile === 'wal_on_fast') flushStore(store)
      },
      syncJournaled: async () => {
        if (store.journal !== null) await this.#groupCommit.commit()
      },
      syncSwaps: async () => {
        if (store.journal === null) await this.#runCheckpoint('maintenance')
        else await this.#groupCommit.commit()
      },
      foreground: {
        commitsAsked: () => this.#groupCommit.asked,
        betweenSyncs: () => this.#groupCommit.betweenSyncs(),
      },
      publishSystem: async (moves) => {
        await this.#runCheckpoint('maintenance', moves)
      },
      relieve: () => this.#checkpointBySize(store, 'maintenance'),
    }
  }

  #reclaimParts(): Parameters<typeof reclaim>[0] {
    const store = this.#store
    return {
      set: store.set,
      monotonic: () => this.#deps.clock.monotonic(),
      checkpoint: () => this.#runCheckpoint('maintenance'),
      saveMetadata: () => store.metadata.save(store.valueLog),
      // From the call on: `closing` begins only when the pass that is under way has ended.
      isClosing: () => this.#closing !== null || this.#status !== 'open',
    }
  }

  /** Maintenance writes: a failure in the middle of one poisons the engine like any failed write. */
  async #guard<T>(work: () => Promise<T>): Promise<T> {
    this.#writable()
    try {
      return await work()
    } catch (error) {
      if (error instanceof EngineError && error.code !== 'ENGINE_IO') throw error
      this.#fail(error)
      throw error
    }
  }

  // ------------------------------------------------------------ status

  get #store(): Store {
    if (this.#parts === null) throw this.#notOpen()
    return this.#parts
  }

  #readable(): Store {
    if (this.#status !== 'open' && this.#status !== 'failed') throw this.#notOpen()
    return this.#store
  }

  #writable(): Store {
    if (this.#status !== 'open') throw this.#notOpen()
    return this.#store
  }

  #notOpen(): EngineError {
    const why = this.#failure instanceof Error ? `: ${this.#failure.message}` : ''
    return new EngineError('ENGINE_NOT_OPEN', `the engine is ${this.#status}${why}`, this.#failure)
  }

  /** Writing is over until a reopening; reading what is in place goes on. */
  #fail(error: unknown): void {
    if (this.#status !== 'open' && this.#status !== 'closing') return
    this.#status = 'failed'
    this.#failure = error
    this.#store.checkpointer.stop(error)
    this.#reportFailure(error)
  }

  #reportFailure(error: unknown): void {
    const code = error instanceof EngineError ? error.code : 'ENGINE_IO'
    const message = error instanceof Error ? error.message : String(error)
    this.#emit({ type: 'maintenance_failed', code, message })
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#cancelInterval?.()
    const store = this.#store
    try {
      await this.maintenance.close()
      if (this.#status === 'open') {
        this.#status = 'closing'
        store.valueLog.sealAll()
        await this.#runCheckpoint('close')
        await store.journal?.removeUnused()
        await store.metadata.save(store.valueLog)
      }
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      // Nothing of this engine may touch the folder once another has its lock.
      await this.#groupCommit.idle()
      await this.#underWay.idle()
      this.#latency.end()
      await this.#recorder?.close()
      this.#status = 'closed'
      releaseStore(store)
    }
  }
}
