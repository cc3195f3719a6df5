/**
 * For one dropped candidate: the smallest change of the option that dropped it which selects it, or
 * null when no value of that option does. Lowering a filter to the candidate's own value is the smallest
 * change that lets it pass, but it lets others in too, and these may outrank it under a cap; so the
 * caps are run again. Pure.
 */
import type { CandidateVerdict, PlanFilters } from '../types.ts'
import { areCapsOn, CapRun, capsOf, endsRun, type Caps } from './plan-caps.ts'
import {
  compareForPlan,
  economicsFilter,
  passes,
  staleBytesFloor,
  type Candidate,
  type PlanRules,
} from './plan-candidates.ts'
import { bytesText, durationText, ratioFloorText } from './text.ts'

/**
 * Bound on the work of finding flips under caps, in visited segments; past it a flip is null. Without
 * caps no search is needed. The bound costs about a ms; it is spent on the best candidates first.
 */
const FLIP_WORK = 40_000

export type Flip = CandidateVerdict['flip']

/** Where a candidate stands in a run without one of the caps. */
interface Place {
  index: number
  liveBefore: number
}

export class FlipFinder {
  /** All candidates: in the order of the plan when caps make the order matter, else as given. */
  readonly order: readonly Candidate[]
  readonly #rules: PlanRules
  readonly #filters: PlanFilters
  readonly #caps: Caps
  readonly #capped: boolean
  #anyRatio: ReadonlyMap<Candidate, Place> | null = null
  #anyCount: ReadonlyMap<Candidate, Place> | null = null
  #anyCopied: ReadonlyMap<Candidate, Place> | null = null
  #work = FLIP_WORK

  constructor(candidates: readonly Candidate[], rules: PlanRules) {
    this.#rules = rules
    this.#filters = rules.filters
    this.#caps = capsOf(rules.filters)
    this.#capped = areCapsOn(this.#caps)
    this.order = this.#capped ? [...candidates].sort(compareForPlan) : candidates
  }

  age(candidate: Candidate): Flip {
    const value = candidate.ageMs
    if (value === null || economicsFilter(candidate, this.#filters, this.#rules) !== null) {
      return null
    }
    if (!this.#isTakenWith(candidate, 'minAgeMs', value)) return null
    return { option: 'minAgeMs', value, text: `selected if min age <= ${durationText(value)}` }
  }

  /**
   * Whatever outranks the candidate has at least its ratio, so lowering the floor to any candidate's
   * ratio changes nothing before it: one run with floor 0 answers for all of them.
   */
  staleRatio(candidate: Candidate): Flip {
    const filters = this.#filters
    if (candidate.bytesStale < staleBytesFloor(candidate, filters)) return null
    if (this.#capped) {
      this.#anyRatio ??= this.#places({ ...filters, minStaleRatio: 0 }, this.#caps)
      if (!this.#anyRatio.has(candidate)) return null
    }
    const value = candidate.staleRatio
    const text = `selected if min stale ratio <= ${ratioFloorText(value)}`
    return { option: 'minStaleRatio', value, text }
  }

  staleBytes(candidate: Candidate): Flip {
    const value = candidate.bytesStale
    if (!this.#isTakenWith(candidate, 'minStaleBytes', value)) return null
    const text = `selected if min stale bytes <= ${value} (${bytesText(value)})`
    return { option: 'minStaleBytes', value, text }
  }

  /** A named segment is taken whatever is in it once no floor is on. */
  floorOff(candidate: Candidate): Flip {
    const { segmentIds, minStaleRatio, minStaleBytes } = this.#filters
    if (segmentIds === null || (minStaleRatio > 0 && minStaleBytes > 0)) return null
    const option = minStaleRatio > 0 ? 'minStaleRatio' : 'minStaleBytes'
    if (!this.#isTakenWith(candidate, option, 0)) return null
    const name = option === 'minStaleRatio' ? 'min stale ratio' : 'min stale bytes'
    return { option, value: 0, text: `selected if ${name} is 0` }
  }

  /** Raising the count cap only lengthens the run, so a run without it tells each one's place. */
  maxSegments(candidate: Candidate): { distance: number | null; flip: Flip } {
    this.#anyCount ??= this.#places(this.#filters, { ...this.#caps, maxSegments: 0 })
    const place = this.#anyCount.get(candidate)
    if (place === undefined) return { distance: null, flip: null }
    const value = place.index + 1
    return {
      distance: value - this.#caps.maxSegments,
      flip: { option: 'maxSegments', value, text: `selected if max segments >= ${value}` },
    }
  }

  /** Likewise; it is begun when what lives before it does not fill the bound. */
  maxCopiedBytes(candidate: Candidate): { distance: number | null; flip: Flip } {
    this.#anyCopied ??= this.#places(this.#filters, { ...this.#caps, maxCopiedBytes: 0 })
    const place = this.#anyCopied.get(candidate)
    if (place === undefined) return { distance: null, flip: null }
    const value = place.liveBefore + 1
    const text = `selected if max copied bytes >= ${value} (${bytesText(value)})`
    return {
      distance: value - this.#caps.maxCopiedBytes,
      flip: { option: 'maxCopiedBytes', value, text },
    }
  }

  /**
   * Raising the live cap may let an earlier one in that takes the room again, so the answer is not a
   * sum: the run is repeated at each cap where it can change, until it takes the candidate.
   */
  maxLiveBytes(candidate: Candidate): Flip {
    let cap = this.#caps.maxLiveBytes
    while (this.#work > 0) {
      const run = this.#runTo(candidate, this.#filters, { ...this.#caps, maxLiveBytes: cap })
      if (run.taken) {
        const text = `selected if max live bytes >= ${cap} (${bytesText(cap)})`
        return { option: 'maxLiveBytes', value: cap, text }
      }
      if (run.nextCap === null) return null
      cap = run.nextCap
    }
    return null
  }

  #isTakenWith(
    candidate: Candidate,
    option: 'minAgeMs' | 'minStaleBytes' | 'minStaleRatio',
    value: number,
  ): boolean {
    if (!this.#capped) return true
    if (this.#work <= 0) return false
    return this.#runTo(candidate, { ...this.#filters, [option]: value }, this.#caps).taken
  }

  /** The caps' run up to `candidate`. `nextCap`: smallest higher live cap at which it could end differently. */
  #runTo(
    candidate: Candidate,
    filters: PlanFilters,
    caps: Caps,
  ): { taken: boolean; nextCap: number | null } {
    const run = new CapRun(caps)
    let nextCap = Infinity
    for (const other of this.order) {
      this.#work -= 1
      if (passes(other, filters, this.#rules)) {
        const answer = run.offer(other)
        if (endsRun(answer)) break
        if (other === candidate && answer === null) return { taken: true, nextCap: null }
        if (answer === 'max_live_bytes') {
          nextCap = Math.min(nextCap, run.liveBytes + other.bytesLive)
        }
      }
      if (other === candidate) break
    }
    return { taken: false, nextCap: Number.isFinite(nextCap) ? nextCap : null }
  }

  /** Those taken in a run under other numbers. */
  #places(filters: PlanFilters, caps: Caps): ReadonlyMap<Candidate, Place> {
    const places = new Map<Candidate, Place>()
    const run = new CapRun(caps)
    for (const candidate of this.order) {
      if (!passes(candidate, filters, this.#rules)) continue
      const place = { index: run.taken, liveBefore: run.liveBytes }
      const answer = run.offer(candidate)
      if (answer === null) places.set(candidate, place)
      else if (endsRun(answer)) break
    }
    return places
  }
}
