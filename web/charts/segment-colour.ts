// What the colour of a segment says. One function a segment, so that tiles, canvas, legend and table
// agree; every colour comes with a letter and words, for who does not see the hue.
import type { CandidateVerdict, SegmentInfo } from '../../server/protocol.ts'
import { formatAge, formatRatio } from '../lib/format.ts'
import type { SegmentColour } from '../lib/route.ts'
import { filterWords, stateWords } from '../lib/words.ts'
import type { Verdicts } from '../state/segment-history.ts'

export interface Paint {
  /** CSS custom property of theme.css. */
  token: string
  /** One letter, drawn where a tile has room for it. */
  letter: string
  words: string
}

export interface Painter {
  colour: SegmentColour
  /** null: the tile is split into live and stale bytes instead of being painted as a whole. */
  paint: ((segment: SegmentInfo) => Paint) | null
}

interface PaintInput {
  nowMs: number
  /** false: what is live is not known, so no colour may say it. */
  bytesKnown?: boolean
  verdicts: Verdicts | null
}

const AGE_STEPS: { belowMs: number; letter: string }[] = [
  { belowMs: 10_000, letter: 's' },
  { belowMs: 60_000, letter: 'm' },
  { belowMs: 600_000, letter: 't' },
  { belowMs: 3_600_000, letter: 'h' },
  { belowMs: 86_400_000, letter: 'd' },
]

/** Lanes are named by their number; six hues, then they come round again. */
const LANE_HUES = 6

const unknownPaint = (words: string): Paint => ({ token: '--seq-none', letter: '?', words })

export function painterOf(colour: SegmentColour, input: PaintInput): Painter {
  switch (colour) {
    case 'live':
      return { colour, paint: null }
    case 'age':
      return { colour, paint: (segment) => paintAge(segment, input.nowMs) }
    case 'lane':
      return { colour, paint: ({ lane }) => paintLane(lane) }
    case 'state':
      return { colour, paint: (segment) => paintState(segment, input.bytesKnown ?? true) }
    case 'verdict':
      return { colour, paint: (segment) => paintVerdict(segment, input.verdicts) }
  }
}

/** The same object each time for what looks the same: thousands of segments share a few. */
function once<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) made.set(key, (value = make(key)))
    return value
  }
}

const paintLane = once((lane: number): Paint => ({
  token: `--cat-${String((lane % LANE_HUES) + 1)}`,
  letter: String(lane % 10),
  words: `lane ${String(lane)}`,
}))

const beingWritten: Paint = { token: '--queued', letter: 'A', words: 'still being written' }
const ageNotKnown = unknownPaint('age not known')

function paintAge(segment: SegmentInfo, nowMs: number): Paint {
  if (segment.sealedAtMs === null) return segment.state === 'active' ? beingWritten : ageNotKnown
  const ageMs = nowMs - segment.sealedAtMs
  const step = AGE_STEPS.findIndex(({ belowMs }) => ageMs < belowMs)
  return paintAgeStep(step === -1 ? AGE_STEPS.length : step)
}

const paintAgeStep = once((index: number): Paint => {
  const below = AGE_STEPS[index]?.belowMs
  const from = AGE_STEPS[index - 1]?.belowMs
  const words =
    below === undefined
      ? `sealed ${formatAge(from)} ago or longer`
      : from === undefined
        ? `sealed less than ${formatAge(below)} ago`
        : `sealed ${formatAge(from)} to ${formatAge(below)} ago`
  return {
    token: `--seq-${String(index + 1)}`,
    letter: AGE_STEPS[index]?.letter ?? 'o',
    words,
  }
})

const statePaint = {
  active: { token: '--queued', letter: 'A', words: stateWords.active },
  zombie: { token: '--kept', letter: 'Z', words: stateWords.zombie },
  sealed: { token: '--cat-6', letter: 'S', words: stateWords.sealed },
  live: { token: '--live', letter: 'L', words: 'sealed, fully live' },
  stale: { token: '--cat-6', letter: 'S', words: 'sealed, partly stale' },
} satisfies Record<string, Paint>

function paintState({ state, bytesStale }: SegmentInfo, bytesKnown: boolean): Paint {
  if (state !== 'sealed' || !bytesKnown) return statePaint[state]
  return bytesStale === 0 ? statePaint.live : statePaint.stale
}

const verdictPaint = {
  selected: { token: '--cat-1', letter: '✓' },
  not_requested: { token: '--seq-none', letter: 'n' },
  active: { token: '--queued', letter: 'A' },
  zombie: { token: '--kept', letter: 'Z' },
  empty: { token: '--seq-none', letter: '0' },
  age: { token: '--cat-2', letter: 'Y' },
  no_live_bytes: { token: '--kept', letter: 'G' },
  no_stale_bytes: { token: '--live', letter: 'L' },
  stale_ratio: { token: '--cat-3', letter: 'R' },
  stale_bytes: { token: '--cat-4', letter: 'B' },
  max_segments: { token: '--cat-5', letter: 'C' },
  max_live_bytes: { token: '--cat-5', letter: 'C' },
} as const satisfies Record<string, { token: string; letter: string }>

const noPlanYet = unknownPaint('no plan has been made yet')
const notInPlan = unknownPaint('not in the last plan')

function paintVerdict(segment: SegmentInfo, verdicts: Verdicts | null): Paint {
  const candidate = verdicts?.by.get(segment.segmentId)
  if (candidate === undefined) return verdicts === null ? noPlanYet : notInPlan
  return paintOfVerdict(candidate.verdict)
}

const paintOfVerdict = once((verdict: CandidateVerdict['verdict']): Paint => {
  const paint: { token: string; letter: string } | undefined = (
    verdictPaint as Record<string, { token: string; letter: string }>
  )[verdict]
  return {
    token: paint?.token ?? '--seq-none',
    letter: paint?.letter ?? '?',
    words: verdict === 'selected' ? 'selected' : filterWords[verdict],
  }
})

export interface LegendEntry extends Paint {
  count: number
}

/** The colours in use, most frequent first. */
export function legendOf(segments: readonly SegmentInfo[], painter: Painter): LegendEntry[] {
  if (painter.paint === null) return []
  const found = new Map<Paint, LegendEntry>()
  for (const segment of segments) {
    const paint = painter.paint(segment)
    const entry = found.get(paint)
    if (entry === undefined) found.set(paint, { ...paint, count: 1 })
    else entry.count += 1
  }
  return [...found.values()].sort((a, b) => b.count - a.count)
}

/** "61.2 % stale" or what the colour says, for the title of a tile. */
export function paintWords(segment: SegmentInfo, painter: Painter): string {
  if (painter.paint !== null) return painter.paint(segment).words
  return segment.bytesTotal === 0
    ? 'empty'
    : `${formatRatio(segment.bytesStale / segment.bytesTotal)} stale`
}
