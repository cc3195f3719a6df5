/**
 * A made-up store for the page bench: ten thousand segments, and an endless, deterministic stream of
 * the events a very busy store would send, mostly byte changes. Everything that is not segments comes
 * from a real engine on an empty folder, so that the shape of the state is always the true one.
 */
import type {
  EngineEvent,
  EngineEventBody,
  EngineGauges,
  EngineState,
  SegmentInfo,
  ServerMessage,
  SessionBody,
  StoreInfo,
} from '../../server/protocol.ts'
import { ACTION_RULES } from '../../server/action-rules.ts'
import { openStore, removeFolders, tempFolder } from './support.ts'

const SESSION: SessionBody = {
  role: 'viewer',
  readOnly: true,
  version: 'bench',
  actions: ACTION_RULES,
  allowRoots: [],
  nowMs: 0,
  limits: { stores: 1, planTtlMs: 60_000, frameIntervalMs: 33, eventsHeld: 0 },
}

export const STORE_ID = 'bench'
const SEGMENT_BYTES = 64 * 1024 * 1024
const FIRST_ID = 0x80000000

export class SyntheticStore {
  seq = 0
  private readonly streamId = 'bench-stream'
  private readonly state: EngineState
  private readonly gauges: EngineGauges
  private readonly info: StoreInfo
  private unsent: EngineEvent[] = []
  private firstUnsent = 1
  private random = 1
  private lastSampleMs = 0

  private constructor(state: EngineState, gauges: EngineGauges, info: StoreInfo) {
    this.state = state
    this.gauges = gauges
    this.info = info
  }

  static async make(segments: number): Promise<SyntheticStore> {
    const engine = await openStore(tempFolder('page'), { mode: 'auto' })
    const state = engine.state()
    const store: StoreInfo = {
      storeId: STORE_ID,
      name: STORE_ID,
      dir: engine.info.dir,
      mode: 'hosted',
      status: 'open',
      failure: null,
      engine: engine.info,
      attachment: null,
      openedAtMs: Date.now(),
      closable: false,
    }
    const gauges = engine.gauges()
    await engine.close()
    removeFolders()
    const made = Array.from({ length: segments }, (_, index) => segmentOf(index + 1)).sort(
      (a, b) => a.segmentId - b.segmentId,
    )
    return new SyntheticStore({ ...state, segments: made }, gauges, store)
  }

  /** The next event; it changes the state. */
  next(atMs: number): EngineEvent {
    this.seq += 1
    const event: EngineEvent = { seq: this.seq, atMs, passId: null, ...this.body() }
    this.unsent.push(event)
    return event
  }

  frameMessage(): ServerMessage {
    const events = this.unsent
    const firstSeq = this.firstUnsent
    this.unsent = []
    this.firstUnsent = this.seq + 1
    const nowMs = Date.now()
    const samples = []
    if (nowMs - this.lastSampleMs > 1000) {
      this.lastSampleMs = nowMs
      samples.push(this.sample(nowMs))
    }
    return {
      type: 'frame',
      streamId: this.streamId,
      firstSeq,
      lastSeq: this.seq,
      events,
      gauges: { ...this.gauges, nowMs, bytesPut: this.seq * 1000 },
      workload: null,
      samples,
    }
  }

  /** `behindAt`: the last event of a client that leaves the rest out. */
  snapshotMessage(behindAt: number | null = null): ServerMessage {
    const seq = this.firstUnsent - 1
    return {
      type: 'snapshot',
      streamId: this.streamId,
      seq,
      reason: behindAt === null ? 'first' : 'slow',
      topics: ['segments', 'queue', 'passes', 'trace', 'metrics'],
      missed: behindAt === null || behindAt >= seq ? null : { fromSeq: behindAt + 1, toSeq: seq },
      store: this.info,
      snapshot: {
        state: this.state,
        liveBytesUnknown: null,
        gauges: { ...this.gauges, nowMs: Date.now() },
        workload: null,
      },
      events: [],
      passes: [],
      samples: [],
    }
  }

  /** The answers to what the page asks over REST; null = not found. */
  rest(path: string): unknown {
    if (path.endsWith('/stores')) return { stores: [this.info] }
    if (path.endsWith('/session')) return SESSION
    return null
  }

  /** xorshift32: the same stream in every run. */
  private pick(below: number): number {
    let x = this.random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.random = x >>> 0
    return this.random % below
  }

  private body(): EngineEventBody {
    const turn = this.seq % 50
    if (turn === 0) return this.sealed()
    if (turn === 25) return { type: 'rewrite_plan_canceled', why: 'foreground', durMs: 1.5 }
    if (this.seq % 5003 === 0) return this.queued()
    const changes = Array.from({ length: 1 + this.pick(3) }, (): [number, number, number] => {
      const index = this.pick(this.state.segments.length)
      const segment = this.state.segments[index]
      if (segment === undefined) throw new Error('an index beyond the segments')
      const bytesLive = Math.max(0, segment.bytesLive - this.pick(64 * 1024))
      segment.bytesLive = bytesLive === 0 ? segment.bytesTotal : bytesLive
      segment.bytesStale = segment.bytesTotal - segment.bytesLive
      return [segment.segmentId, segment.bytesTotal, segment.bytesLive]
    })
    return { type: 'segment_bytes', changes }
  }

  private sealed(): EngineEventBody {
    const segment = this.state.segments[this.pick(this.state.segments.length)]
    if (segment === undefined) throw new Error('an index beyond the segments')
    return { type: 'segment_sealed', segment: { ...segment } }
  }

  private queued(): EngineEventBody {
    const from = this.pick(this.state.segments.length - 20)
    const queue = this.state.segments.slice(from, from + 20).map((segment) => segment.segmentId)
    this.state.debt = { queue, ledger: [], stage: null }
    return { type: 'debt_changed', cause: 'planned', debt: this.state.debt }
  }

  private sample(atMs: number): Extract<ServerMessage, { type: 'frame' }>['samples'][number] {
    let bytesTotal = 0
    let bytesLive = 0
    for (const segment of this.state.segments) {
      bytesTotal += segment.bytesTotal
      bytesLive += segment.bytesLive
    }
    return {
      atMs,
      bytesTotal,
      bytesLive,
      bytesStale: bytesTotal - bytesLive,
      queueLength: this.state.debt.queue.length,
      segments: this.state.segments.length,
      zombies: 0,
      putsPerSecond: 10_000,
      bytesPutPerSecond: 10_000_000,
      rewriteBytesPerSecond: 0,
      putLatency: { count: 10_000, p50Ms: 0.03, p99Ms: 0.5, maxMs: 4 },
      getLatency: null,
    }
  }
}

function segmentOf(seq: number): SegmentInfo {
  const bytesLive = Math.floor((SEGMENT_BYTES * ((seq * 7919) % 1000)) / 1000)
  const lane = seq % 4
  return {
    segmentId: FIRST_ID + lane * 2 ** 23 + seq,
    lane,
    seq,
    file: `maindb/value_vlog/value-l${String(lane)}-${String(seq).padStart(6, '0')}.log`,
    state: 'sealed',
    origin: seq % 5 === 0 ? 'rewrite' : 'foreground',
    bytesTotal: SEGMENT_BYTES,
    bytesLive,
    bytesStale: SEGMENT_BYTES - bytesLive,
    createdAtMs: Date.now() - seq * 1000,
    sealedAtMs: Date.now() - seq * 900,
    ageSource: 'metadata',
    keptBy: [],
  }
}
