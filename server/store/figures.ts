/** Figures for the metrics page: sums over segments, and counts of passes as they end. */
import type { EngineGauges, EngineState, PassReport, SegmentState } from '../protocol.ts'
import type { PassFigures, StoreFigures } from './worker-contract.ts'

export class PassTally {
  readonly #tally = new Map<string, PassFigures>()

  add(report: PassReport): void {
    const { source, outcome } = report
    const key = `${source} ${outcome}`
    const figures = this.#tally.get(key) ?? {
      source,
      outcome,
      count: 0,
      elapsedMs: 0,
      bytesReclaimed: 0,
      bytesCopied: 0,
    }
    this.#tally.set(key, figures)
    figures.count += 1
    figures.elapsedMs += report.elapsedMs
    for (const step of report.steps) {
      if (step.kind === 'gc') figures.bytesReclaimed += step.report.bytesDeleted
      if (step.kind === 'rewrite') figures.bytesCopied += step.report.bytesWritten
    }
  }

  list(): PassFigures[] {
    return [...this.#tally.values()]
  }
}

/** `liveBytesKnown` false: live bytes of the state are bounds, which a figure must not pass for. */
export function figuresOf(
  state: EngineState,
  gauges: EngineGauges,
  passes: PassFigures[],
  liveBytesKnown = true,
): StoreFigures {
  const empty = (): StoreFigures['segments'][SegmentState] => ({
    count: 0,
    bytesTotal: 0,
    bytesLive: liveBytesKnown ? 0 : null,
  })
  const segments = { active: empty(), sealed: empty(), zombie: empty() }
  for (const segment of state.segments) {
    const sums = segments[segment.state]
    sums.count += 1
    sums.bytesTotal += segment.bytesTotal
    if (sums.bytesLive !== null) sums.bytesLive += segment.bytesLive
  }
  const { debt, scheduler, counters, penalties, pins, checkpoint } = state
  return {
    state: { debt, scheduler, counters, penalties, pins, checkpoint },
    segments,
    gauges,
    passes,
    latency: null,
  }
}
