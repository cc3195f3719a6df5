/**
 * Reports in upstream's shapes: engine structs keep their Go names in CamelCase, empty slices are null,
 * durations are nanoseconds. Bytes are counted as this engine counts them, whole.
 */
import { statsOf, type Engine } from './engine-door.ts'
import type {
  GcClass,
  GcReport,
  RewriteDebt,
  RewritePlan,
  SegmentId,
  SegmentTally,
} from './protocol.ts'

const NS_PER_MS = 1_000_000

export interface UpstreamSegment {
  FileID: number
  BytesTotal: number
  BytesLive: number
  BytesStale: number
  StaleRatio: number
}

/** DebugValueLogGenerationState. */
export interface UpstreamState {
  RewriteSourceFileIDs: number[] | null
  RewriteDebtLedger: UpstreamSegment[] | null
  RewriteStagePending: boolean
  /** Unix nanoseconds, 0 = none; exact to the millisecond and above 2^53. */
  RewriteStageObservedAtNS: number
}

export function upstreamState({ queue, ledger, stage }: RewriteDebt): UpstreamState {
  return {
    RewriteSourceFileIDs: orNull(queue),
    RewriteDebtLedger: orNull(ledger.map(upstreamSegment)),
    RewriteStagePending: stage !== null,
    RewriteStageObservedAtNS: stage === null ? 0 : stage.observedAtMs * NS_PER_MS,
  }
}

/** ValueLogRewritePlan: ids and segments ascending. */
export function upstreamPlan(plan: RewritePlan): Record<string, unknown> {
  const byId = (a: number, b: number): number => a - b
  return {
    SourceFileIDs: orNull([...plan.sourceSegmentIds].sort(byId)),
    SelectedSegments: orNull(
      plan.selected.map(upstreamSegment).sort((a, b) => a.FileID - b.FileID),
    ),
    SegmentsTotal: plan.segmentsTotal,
    SegmentsSelected: plan.sourceSegmentIds.length,
    BytesTotal: plan.bytesTotal,
    BytesLive: plan.liveBytesKnown ? plan.bytesLive : 0,
    BytesStale: plan.liveBytesKnown ? plan.bytesStale : 0,
    SelectedBytesTotal: plan.selectedBytesTotal,
    SelectedBytesLive: plan.liveBytesKnown ? plan.selectedBytesLive : 0,
    SelectedBytesStale: plan.liveBytesKnown ? plan.selectedBytesStale : 0,
    AgeBlockedSegments: plan.ageBlockedSegments,
    AgeBlockedBytesTotal: plan.ageBlockedBytesTotal,
    AgeBlockedBytesLive: plan.ageBlockedBytesLive,
    AgeBlockedBytesStale: plan.ageBlockedBytesStale,
    AgeBlockedMinRemainingAge: (plan.ageBlockedMinRemainingMs ?? 0) * NS_PER_MS,
  }
}

/** Dead segments of these classes wait for a pin and go when it ends: upstream's marked zombies. */
const PINNED: ReadonlySet<GcClass> = new Set(['in_use', 'retained', 'overlap'])

/**
 * ValueLogGCStats, both families, with the observed sources and the id lists of later versions.
 * `requested`: the segments that were asked about. A dry run marks nothing.
 */
export function upstreamGc(
  report: GcReport,
  requested: readonly SegmentId[] = [],
): Record<string, unknown> {
  const { classes, observed } = report
  const deleted = { segments: report.deleted.length, bytes: report.bytesDeleted }
  const pending = { segments: report.pending.length, bytes: report.bytesPending }
  const pinned = report.verdicts.filter((v) => PINNED.has(v.class)).map((v) => v.segmentId)
  const stats: Record<string, unknown> = {
    ...family('Segments', 'segments', { ...classes, total: report.total, deleted, pending }),
    ...family('Bytes', 'bytes', { ...classes, total: report.total, deleted, pending }),
  }
  if (observed !== null) {
    const of = { ...observed.classes, ...observed }
    Object.assign(stats, family('ObservedSourceSegments', 'segments', of, ''))
    Object.assign(stats, family('ObservedSourceBytes', 'bytes', of, ''))
  }
  return {
    ...stats,
    RequestedFileIDs: orNull([...new Set(requested)].sort((a, b) => a - b)),
    EligibleFileIDs: orNull(report.eligible),
    ZombieMarkedFileIDs: orNull(report.dryRun ? [] : pinned),
    PendingFileIDs: orNull(report.pending),
    DeletedFileIDs: orNull(report.deleted),
  }
}

function family(
  base: string,
  unit: keyof SegmentTally,
  of: GcReport['classes'] & Record<'total' | 'deleted' | 'pending', SegmentTally>,
  totalName = 'Total',
): Record<string, number> {
  const kept = of.in_use[unit] + of.retained[unit] + of.overlap[unit] + of.other[unit]
  return {
    [`${base}${totalName}`]: of.total[unit],
    [`${base}Referenced`]: of.referenced[unit],
    [`${base}Active`]: of.active[unit],
    [`${base}Protected`]: kept,
    [`${base}ProtectedInUse`]: of.in_use[unit],
    [`${base}ProtectedRetained`]: of.retained[unit],
    [`${base}ProtectedOverlap`]: of.overlap[unit],
    [`${base}ProtectedOther`]: of.other[unit],
    [`${base}Eligible`]: of.eligible[unit],
    [`${base}Deleted`]: of.deleted[unit],
    [`${base}Pending`]: of.pending[unit],
  }
}

function upstreamSegment(entry: RewriteDebt['ledger'][number]): UpstreamSegment {
  return {
    FileID: entry.segmentId,
    BytesTotal: entry.bytesTotal,
    BytesLive: entry.bytesLive,
    BytesStale: entry.bytesStale,
    StaleRatio: entry.staleRatio,
  }
}

const GENERATION = 'treedb.cache.vlog_generation.'
const VALUE_LOG_IO = [
  'treedb.vlog.mmap_',
  'treedb.vlog.grouped_frame_cache.',
  'treedb.vlog.template_def_cache.',
]

/** Two families of the statistics, as upstream's reports split them. */
export interface UpstreamStats {
  stats: Record<string, string>
  vlogIo: Record<string, string>
}

export function upstreamStats(engine: Engine): UpstreamStats {
  const { options, segmentBytes } = engine.info
  const stats = statsOf({ state: engine.state(), gauges: engine.gauges(), options, segmentBytes })
  const under = (prefixes: readonly string[]): Record<string, string> =>
    Object.fromEntries(
      Object.entries(stats).filter(([key]) => prefixes.some((prefix) => key.startsWith(prefix))),
    )
  return { stats: under([GENERATION]), vlogIo: under(VALUE_LOG_IO) }
}

/** The statistics of a run that upstream's tool prints; its `last_reason` is no key of any version. */
const PRINTED = [
  'scheduler_last_reason',
  'scheduler_state',
  ...['runs', 'bytes_in', 'bytes_out', 'queue_prune_runs', 'queue_prune_ids'].map(
    (name) => `rewrite.${name}`,
  ),
  ...['runs', 'deleted_bytes'].map((name) => `gc.${name}`),
  ...['runs', 'rewrite_runs', 'gc_runs'].map((name) => `checkpoint_kick.${name}`),
].map((name) => GENERATION + name)

/** `key=before -> after (delta=n)` for counts, quoted words for the rest. */
export function statLines(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): string[] {
  const lines = PRINTED.flatMap((key) => {
    const [from, to] = [before[key], after[key]]
    if (from === undefined || to === undefined) return []
    if (!/^-?\d+$/.test(from) || !/^-?\d+$/.test(to)) return [`  ${key}="${from}" -> "${to}"`]
    return [`  ${key}=${from} -> ${to} (delta=${BigInt(to) - BigInt(from)})`]
  })
  return ['stats:', ...lines]
}

function orNull<T>(items: readonly T[]): T[] | null {
  return items.length === 0 ? null : [...items]
}
