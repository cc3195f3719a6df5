/** `restage plan DIR`: what the planner would choose in a folder, and why, without touching it. */
import type { Command } from 'commander'
import {
  bytesText,
  countText,
  durationText,
  EXIT_OK,
  grouped,
  INTERRUPTED,
  mtimeText,
  parseBytes,
  parseCount,
  parseDir,
  parsePastMs,
  parseRatio,
  parseSegmentIds,
  percentText,
  readFolder,
  runGuarded,
  segmentName,
  table,
  type CommandContext,
  type CommandOutput,
  type CommandRun,
} from './command-support.ts'
import { datedByFile, planFolder } from './engine-door.ts'
import type { CandidateVerdict, PlanFilters, RewritePlan } from './protocol.ts'
import { upstreamPlan } from './upstream-shapes.ts'

/** Filters of a plan by upstream's names; absent = the automatic plan's. */
interface FilterOptions {
  rewriteMinStaleRatio?: number
  rewriteMinStaleBytes?: number
  rewriteMinStaleBytesCapRatio?: number
  rewriteMinAge?: number
  rewriteMaxSegments?: number
  rewriteMaxBytes?: number
  rewriteMaxCopiedBytes?: number
  ids?: number[]
  protect?: number[]
}

interface PlanOptions extends FilterOptions {
  json: boolean
  all: boolean
}

export function addPlanCommand(program: Command, onRun: (run: CommandRun) => void): void {
  program
    .command('plan')
    .description('say what the planner would choose in a data folder, without touching it')
    .argument('<dir>', 'data folder', parseDir)
    .option('--rewrite-min-stale-ratio <ratio>', 'stale share a segment must reach', parseRatio)
    .option('--rewrite-min-stale-bytes <bytes>', 'stale bytes a segment must reach', parseBytes)
    .option(
      '--rewrite-min-stale-bytes-cap-ratio <ratio>',
      'of small segments this share is enough',
      parseRatio,
    )
    .option('--rewrite-min-age <duration>', 'time since sealing', parsePastMs)
    .option('--rewrite-max-segments <n>', 'at most this many, 0 = no cap', parseCount)
    .option('--rewrite-max-bytes <bytes>', 'cap on live bytes, 0 = no cap', parseBytes)
    .option('--rewrite-max-copied-bytes <bytes>', 'end the copying there, 0 = no bound', parseBytes)
    .option('--ids <list>', 'only these segments; caps do not apply to them', parseSegmentIds)
    .option('--protect <list>', 'leave these and the newest of their lanes alone', parseSegmentIds)
    .option('--all', 'list every candidate that was dropped, not the best ten of each kind', false)
    .option('--json', 'the plan as JSON, with stable key names', false)
    .addHelpText(
      'after',
      '\nFilters that are not given are those of the automatic stale-ratio plan.\n' +
        'Segments are named by file id or file name: 2147483668,value-l0-000004\n' +
        '\nExit codes: 0 the folder was read, whatever was selected; 1 it could not be read;\n' +
        '2 a wrong command line, 130 interrupted.\n',
    )
    .action((dir: string, options: PlanOptions) => {
      onRun((output, context) => runPlan(dir, options, output, context))
    })
}

/** Only the given ones. */
export function filtersOf(options: FilterOptions): Partial<PlanFilters> {
  const filters: Partial<PlanFilters> = {}
  const set = <K extends keyof PlanFilters>(name: K, value: PlanFilters[K] | undefined): void => {
    if (value !== undefined) filters[name] = value
  }
  set('minStaleRatio', options.rewriteMinStaleRatio)
  set('minStaleBytes', options.rewriteMinStaleBytes)
  set('minStaleBytesCapRatio', options.rewriteMinStaleBytesCapRatio)
  set('minAgeMs', options.rewriteMinAge)
  set('maxSegments', options.rewriteMaxSegments)
  set('maxLiveBytes', options.rewriteMaxBytes)
  set('maxCopiedBytes', options.rewriteMaxCopiedBytes)
  set('segmentIds', options.ids)
  set('protectedIds', options.protect)
  return filters
}

function runPlan(
  dir: string,
  options: PlanOptions,
  output: CommandOutput,
  context: CommandContext,
): Promise<number> {
  const how = { output, signal: context.signal, interrupted: INTERRUPTED.read }
  return runGuarded('plan', how, async () => {
    const reading = await readFolder(dir, output, { ...context, request: { opened: true } })
    const plan = planFolder(reading, { filters: filtersOf(options), nowMs: context.nowMs })
    const dated = datedByFile(reading)
    const { problems, unsupported } = reading.attachment
    if (options.json) {
      const json = {
        dir: reading.info.dir,
        read_at_ms: context.nowMs,
        rewrite_plan: upstreamPlan(plan),
        plan: plan.liveBytesKnown ? plan : withoutEconomics(plan),
        ages_from_mtime: dated,
        problems,
        unsupported,
      }
      output.write(`${JSON.stringify(json, null, 2)}\n`)
    } else {
      const ages = dated.length === 0 ? [] : [mtimeText(dated.length)]
      const notes = [...problems, ...unsupported, ...ages].map((sentence) => `note: ${sentence}`)
      output.write(`${[...planLines(plan, options.all), ...notes].join('\n')}\n`)
    }
    return EXIT_OK
  })
}

/** What nobody knows is null; upstream's shape beside it has no word for that and keeps its 0. */
function withoutEconomics(plan: RewritePlan): Record<string, unknown> {
  const unknown = { bytesLive: null, bytesStale: null }
  return {
    ...plan,
    ...unknown,
    selectedBytesLive: null,
    selectedBytesStale: null,
    ageBlockedBytesLive: null,
    ageBlockedBytesStale: null,
    copyBytes: null,
    candidates: plan.candidates.map((c) => ({ ...c, ...unknown, staleRatio: null })),
  }
}

// ---------------------------------------------------------------- text for people

/** Dropped candidates listed of each kind unless all are asked for. */
const LISTED = 10

function planLines(plan: RewritePlan, all: boolean): string[] {
  const { sourceSegmentIds, segmentsTotal } = plan
  const lines = [
    `selected ${grouped(sourceSegmentIds.length)} of ${countText(segmentsTotal, 'segment')}: ${workText(plan)}`,
    plan.liveBytesKnown
      ? `log ${bytesText(plan.bytesTotal)}, ${bytesText(plan.bytesLive)} live, ${bytesText(plan.bytesStale)} stale`
      : `log ${bytesText(plan.bytesTotal)}, how much of it is live is not known`,
    `filters ${filterText(plan.filters)}`,
  ]
  if (!plan.liveBytesKnown) {
    lines.push(
      'live bytes are not known: not every reference could be read, economics are left out',
    )
  }
  if (plan.ageBlockedMinRemainingMs !== null) {
    const wait = durationText(plan.ageBlockedMinRemainingMs)
    lines.push(`${grouped(plan.ageBlockedSegments)} too young, the first is old enough in ${wait}`)
  }
  for (const id of plan.missing) lines.push(`${segmentName(id)} does not exist`)
  const kinds = new Map<string, CandidateVerdict[]>()
  for (const candidate of plan.candidates) {
    const group = kinds.get(candidate.verdict)
    if (group === undefined) kinds.set(candidate.verdict, [candidate])
    else group.push(candidate)
  }
  for (const [kind, group] of kinds) {
    const listed = kind === 'selected' || all ? group : bestOf(group)
    const heading = `${kind} (${grouped(group.length)})`
    lines.push('', heading, ...candidateTable(listed, plan.liveBytesKnown))
    if (listed.length < group.length) {
      lines.push(`  and ${grouped(group.length - listed.length)} more; --all lists them`)
    }
  }
  return lines
}

/** What is freed is net: what is copied takes its place again. */
function workText({ liveBytesKnown, copyBytes, selectedBytesStale }: RewritePlan): string {
  return liveBytesKnown
    ? `${bytesText(copyBytes)} to copy, ${bytesText(selectedBytesStale)} to free`
    : `at most ${bytesText(copyBytes)} to copy, how much it frees is not known`
}

function bestOf(group: readonly CandidateVerdict[]): CandidateVerdict[] {
  return [...group].sort((a, b) => b.bytesStale - a.bytesStale).slice(0, LISTED)
}

function candidateTable(candidates: readonly CandidateVerdict[], isKnown: boolean): string[] {
  const known = (text: string): string => (isKnown ? text : 'unknown')
  const head = [
    '  segment',
    'total',
    'live',
    'stale',
    'stale %',
    'misses by',
    'what would change it',
  ]
  const rows = candidates.map((candidate) => [
    `  ${segmentName(candidate.segmentId)}`,
    bytesText(candidate.bytesTotal),
    known(bytesText(candidate.bytesLive)),
    known(bytesText(candidate.bytesStale)),
    known(percentText(candidate.staleRatio)),
    distanceText(candidate),
    candidate.flip?.text ?? '',
  ])
  return table([head, ...rows], (column) => column === 0 || column === 6)
}

function distanceText({ distance, unit }: CandidateVerdict): string {
  if (distance === null) return ''
  if (unit === 'bytes') return bytesText(distance)
  if (unit === 'ms') return durationText(distance)
  return unit === 'ratio' ? percentText(distance) : grouped(distance)
}

function filterText(filters: PlanFilters): string {
  const parts = [
    `min stale ratio ${filters.minStaleRatio}`,
    `min stale bytes ${filters.minStaleBytes}`,
    `min age ${durationText(filters.minAgeMs)}`,
  ]
  if (filters.minStaleBytesCapRatio > 0) parts.push(`cap ratio ${filters.minStaleBytesCapRatio}`)
  if (filters.maxSegments > 0) parts.push(`max segments ${filters.maxSegments}`)
  if (filters.maxLiveBytes > 0) parts.push(`max live bytes ${bytesText(filters.maxLiveBytes)}`)
  if (filters.maxCopiedBytes > 0)
    parts.push(`max copied bytes ${bytesText(filters.maxCopiedBytes)}`)
  if (filters.segmentIds !== null) parts.push(`${filters.segmentIds.length} named`)
  if (filters.protectedIds.length > 0) parts.push(`${filters.protectedIds.length} protected`)
  return parts.join(', ')
}
