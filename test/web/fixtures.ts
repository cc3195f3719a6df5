// Made-up states and messages for the web tests: small builders with overrides.
import type {
  CandidateVerdict,
  EngineEvent,
  EngineEventBody,
  EngineGauges,
  EngineInfo,
  EngineState,
  GcReport,
  MaintenanceOptions,
  MetricSample,
  PassReport,
  RewritePlan,
  RewriteReport,
  SegmentInfo,
  ServerMessage,
  StoreInfo,
  StoreTotals,
} from '../../server/protocol.ts'
import { NEVER_RAN, NO_COUNTS } from '../../engine/maintenance/memory.ts'
import { resolveOptions } from '../../engine/options.ts'

export const NOW = 1_700_000_000_000

const NO_TOTALS: StoreTotals = {
  segments: 0,
  zombies: 0,
  bytesTotal: 0,
  bytesLive: 0,
  bytesStale: 0,
  budgetTokensBytes: null,
  penalties: 0,
}

export function segmentId(seq: number, lane = 0): number {
  return 0x80000000 + lane * 2 ** 23 + seq
}

export function makeSegment(seq: number, overrides: Partial<SegmentInfo> = {}): SegmentInfo {
  const bytesTotal = overrides.bytesTotal ?? 1000
  const bytesLive = overrides.bytesLive ?? bytesTotal
  return {
    segmentId: segmentId(seq),
    lane: 0,
    seq,
    file: `maindb/value_vlog/value-l0-${String(seq).padStart(6, '0')}.log`,
    state: 'sealed',
    origin: 'foreground',
    createdAtMs: NOW - 60_000,
    sealedAtMs: NOW - 30_000,
    ageSource: 'metadata',
    keptBy: [],
    ...overrides,
    bytesTotal,
    bytesLive,
    bytesStale: bytesTotal - bytesLive,
  }
}

export function makeState(overrides: Partial<EngineState> = {}): EngineState {
  return {
    segments: [],
    debt: { queue: [], ledger: [], stage: null },
    scheduler: {
      ...NEVER_RAN,
      mode: 'auto',
      paused: false,
      state: 'idle',
      lastReason: 'none',
      activePass: null,
      lastRewriteAtMs: null,
      lastPlanAtMs: null,
      lastGcAtMs: null,
      lastCheckpointKickAtMs: null,
    },
    penalties: [],
    pins: [],
    counters: { ...NO_COUNTS },
    checkpoint: { commitSeq: 0, atMs: null, elapsedMs: null },
    ...overrides,
  }
}

export function makeGauges(overrides: Partial<EngineGauges> = {}): EngineGauges {
  return {
    nowMs: NOW,
    clockOffsetMs: 0,
    clockFrozen: false,
    puts: 0,
    deletes: 0,
    gets: 0,
    bytesPut: 0,
    memtableEntries: 0,
    memtableBytes: 0,
    journalBytes: 0,
    indexFileBytes: 0,
    lastWriteAtMs: null,
    lastReadAtMs: null,
    passesNotMade: 0,
    ...overrides,
  }
}

export const options: MaintenanceOptions = {
  ...resolveOptions({}).maintenance,
  triggerTotalBytes: 0,
}

export function makeStore(overrides: Partial<StoreInfo> = {}): StoreInfo {
  const engine: EngineInfo = {
    dir: '/data/demo',
    layout: 'split',
    checksum: 'ieee',
    profile: 'durable',
    profileLoses: 'nothing',
    readOnly: false,
    journalRecordsReplayed: 0,
    journalBatchesSkipped: 0,
    segmentBytes: 64 * 1024 * 1024,
    options,
  }
  return {
    storeId: 'demo',
    name: 'demo',
    dir: '/data/demo',
    mode: 'hosted',
    status: 'open',
    failure: null,
    engine,
    attachment: null,
    openedAtMs: 1,
    closable: true,
    ...overrides,
  }
}

export function makeEvent(
  seq: number,
  body: EngineEventBody,
  passId: number | null = null,
): EngineEvent {
  return { seq, atMs: NOW + seq, passId, ...body }
}

/** An event that leaves the state alone. */
export function skipEvent(seq: number): EngineEvent {
  return makeEvent(seq, { type: 'gc_skip', reason: 'nothing is dead', gate: null })
}

export function makePass(passId: number, overrides: Partial<PassReport> = {}): PassReport {
  const debt = { queue: [], ledger: [], stage: null }
  return {
    passId,
    source: 'periodic',
    startedAtMs: NOW,
    endedAtMs: NOW,
    elapsedMs: 1,
    gates: [],
    steps: [],
    before: debt,
    after: debt,
    storeBefore: NO_TOTALS,
    storeAfter: NO_TOTALS,
    yield: null,
    byteFlow: null,
    outcome: 'rewrote',
    blockedBy: null,
    sentence: 'Rewrote one segment.',
    error: null,
    ...overrides,
  }
}

export function makeSample(atMs: number, bytesStale = 0): MetricSample {
  return {
    atMs,
    bytesTotal: bytesStale,
    bytesLive: 0,
    bytesStale,
    queueLength: 0,
    segments: 0,
    zombies: 0,
    putsPerSecond: 0,
    bytesPutPerSecond: 0,
    rewriteBytesPerSecond: 0,
    putLatency: null,
    getLatency: null,
  }
}

export function makeSnapshot(
  overrides: Partial<Extract<ServerMessage, { type: 'snapshot' }>> = {},
): Extract<ServerMessage, { type: 'snapshot' }> {
  return {
    type: 'snapshot',
    streamId: 'stream-1',
    seq: 0,
    reason: 'first',
    topics: ['segments', 'queue', 'passes', 'trace', 'metrics'],
    missed: null,
    store: makeStore(),
    snapshot: {
      state: makeState(),
      liveBytesUnknown: null,
      gauges: makeGauges(),
      workload: null,
    },
    events: [],
    passes: [],
    samples: [],
    ...overrides,
  }
}

export function makeFrame(
  events: EngineEvent[],
  overrides: Partial<Extract<ServerMessage, { type: 'frame' }>> = {},
): Extract<ServerMessage, { type: 'frame' }> {
  return {
    type: 'frame',
    streamId: 'stream-1',
    firstSeq: events[0]?.seq ?? 1,
    lastSeq: events.at(-1)?.seq ?? 0,
    events,
    gauges: makeGauges(),
    workload: null,
    samples: [],
    ...overrides,
  }
}

/** A plan that looked at so many segments and dropped them all but the first. */
export function makePlan(candidates: number): RewritePlan {
  const verdicts: CandidateVerdict[] = Array.from({ length: candidates }, (_, index) => ({
    segmentId: segmentId(index + 1),
    bytesTotal: 1000,
    bytesLive: 600,
    bytesStale: 400,
    staleRatio: 0.4,
    ageMs: 1000,
    verdict: index === 0 ? 'selected' : 'stale_ratio',
    rank: index === 0 ? 0 : null,
    distance: index === 0 ? null : -0.1,
    unit: index === 0 ? null : 'ratio',
    flip:
      index === 0
        ? null
        : { option: 'minStaleRatio', value: 0.4, text: 'selected if min stale ratio <= 0.4' },
  }))
  const ledger = verdicts.slice(0, 1).map((one) => ({
    segmentId: one.segmentId,
    bytesTotal: 1000,
    bytesLive: 600,
    bytesStale: 400,
    staleRatio: 0.4,
  }))
  return {
    filters: {
      minStaleRatio: 0.5,
      minStaleBytes: 0,
      minStaleBytesCapRatio: 0,
      minAgeMs: 0,
      maxSegments: 0,
      maxLiveBytes: 0,
      maxCopiedBytes: 0,
      protectedIds: [],
      segmentIds: null,
    },
    selected: ledger,
    sourceSegmentIds: ledger.map((one) => one.segmentId),
    liveBytesKnown: true,
    copyBytes: 600,
    partialSegmentId: null,
    missing: [],
    segmentsTotal: candidates,
    bytesTotal: candidates * 1000,
    bytesLive: candidates * 600,
    bytesStale: candidates * 400,
    selectedBytesTotal: 1000,
    selectedBytesLive: 600,
    selectedBytesStale: 400,
    ageBlockedSegments: 0,
    ageBlockedBytesTotal: 0,
    ageBlockedBytesLive: 0,
    ageBlockedBytesStale: 0,
    ageBlockedMinRemainingMs: null,
    candidates: verdicts,
  }
}

/** A rewrite of `source` into `output` that copied `bytesWritten` and left nothing referenced. */
export function makeRewrite(source: number, output: number, bytesWritten: number): RewriteReport {
  return {
    sourceSegmentsRequested: [source],
    sourceBytesRequested: 1000,
    treeWalks: 0,
    valueRecordsCopied: 5,
    valueBytesCopied: bytesWritten,
    leafPagesMoved: 0,
    sourceBytesProcessed: bytesWritten,
    groupsTried: 0,
    groupsKept: 0,
    groupBytesRaw: 0,
    groupBytesStored: 0,
    sourcesUnfinished: [],
    sourcesReclaimed: null,
    sourceBytesReclaimed: null,
    segmentsBefore: 3,
    segmentsAfter: 3,
    bytesBefore: 3000,
    bytesAfter: 3000 + bytesWritten,
    swapBatches: 1,
    longestSwapMs: 0.1,
    pacedMs: 0,
    outputSegments: [output],
    keysVisited: 10,
    recordsCopied: 5,
    swapsLost: 0,
    valuesUnreadable: 0,
    firstUnreadable: null,
    bytesRead: bytesWritten,
    bytesWritten,
    sourcesUnreferenced: [source],
    sourceBytesUnreferenced: 1000,
    sourcesStillReferenced: [],
    sourceBytesStillReferenced: 0,
    longestSliceMs: 1,
    elapsedMs: 7,
    cancelled: false,
  }
}

export function makeGc(deleted: number[], bytesDeleted: number): GcReport {
  const none = { segments: 0, bytes: 0 }
  const classes = {
    referenced: { segments: 2, bytes: 2000 },
    active: { segments: 1, bytes: 1000 },
    in_use: none,
    retained: none,
    overlap: none,
    other: none,
    eligible: { segments: deleted.length, bytes: bytesDeleted },
  }
  return {
    total: { segments: 3 + deleted.length, bytes: 3000 + bytesDeleted },
    classes,
    observed: null,
    pending: [],
    bytesPending: 0,
    verdicts: [],
    holdings: [],
    dryRun: false,
    segmentsTotal: 3,
    segmentsReferenced: 2,
    segmentsActive: 1,
    segmentsKept: [],
    bytesKept: 0,
    eligible: deleted,
    bytesEligible: bytesDeleted,
    deleted,
    bytesDeleted,
    errors: [],
    cancelled: false,
    elapsedMs: 2,
  }
}
