/**
 * What a command shows of an opened store at work: one line that the next one replaces. A rewrite is told by
 * the live bytes that have left its sources; events of bytes are held back, so somebody has to ask for them.
 */
import { bytesText, segmentText, type Engine } from './engine-door.ts'
import type { EngineEvent, SegmentId } from './protocol.ts'

/** A line is worth drawing ten times a second, not at every slice. */
export const PROGRESS_EVERY_MS = 100

export class WorkProgress {
  readonly #engine: Engine
  readonly #show: (line: string) => void
  readonly #live: Map<SegmentId, number>
  readonly #unsubscribe: () => void
  #rewrite: { sourceIds: readonly SegmentId[]; liveBytes: number } | null = null
  #shownAtMs = -Infinity

  constructor(engine: Engine, show: (line: string) => void) {
    this.#engine = engine
    this.#show = show
    this.#live = new Map(engine.state().segments.map((s) => [s.segmentId, s.bytesLive]))
    this.#unsubscribe = engine.subscribe((event) => this.#take(event))
  }

  /** Long work gives the thread back: the moment to tell of it. */
  tick(nowMs: number): void {
    if (this.#rewrite === null || nowMs - this.#shownAtMs < PROGRESS_EVERY_MS) return
    this.#shownAtMs = nowMs
    this.#engine.flushEvents()
    const { sourceIds, liveBytes } = this.#rewrite
    const moved = bytesText(Math.max(0, liveBytes - this.#liveOf(sourceIds)))
    this.#show(`${rewritingText(sourceIds)}: ${moved} of ${bytesText(liveBytes)} moved`)
  }

  end(): void {
    this.#rewrite = null
    this.#unsubscribe()
  }

  #take(event: EngineEvent): void {
    switch (event.type) {
      case 'segment_bytes':
        for (const [id, , bytesLive] of event.changes) this.#live.set(id, bytesLive)
        break
      case 'rewrite_exec': {
        const { sourceIds } = event
        this.#rewrite = { sourceIds, liveBytes: this.#liveOf(sourceIds) }
        this.#show(rewritingText(sourceIds))
        break
      }
      case 'rewrite_done':
      case 'rewrite_err':
        this.#rewrite = null
        break
      case 'checkpoint_done':
        // One within a rewrite says nothing that its bytes do not.
        if (this.#rewrite === null) this.#show('checkpoint done')
        break
      case 'segment_deleted':
        this.#show(`deleted ${segmentText(event.segmentId)}`)
        break
      default:
    }
  }

  #liveOf(ids: readonly SegmentId[]): number {
    return ids.reduce((sum, id) => sum + (this.#live.get(id) ?? 0), 0)
  }
}

function rewritingText(sourceIds: readonly SegmentId[]): string {
  return `rewriting ${sourceIds.map(segmentText).join(', ')}`
}
