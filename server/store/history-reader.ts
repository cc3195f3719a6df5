/**
 * Answers questions about recordings, one after another. Memory is bounded: some recordings are held by
 * the places of their blocks, and each answer has a limit in entries and in bytes. Nothing is written.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import * as path from 'node:path'
import {
  nodeFileSystem,
  openRecording,
  type FileSystem,
  type RecordedEvents,
  type Recording,
} from '../engine-door.ts'
import type {
  EngineEvent,
  HistoryBody,
  HistoryEventsBody,
  HistoryLatencyBody,
  HistoryPass,
  HistoryPassBody,
  HistoryPassesBody,
  HistoryStateBody,
  Moment,
  PassReport,
  RecordingGap,
  RecordingOpening,
} from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import type { HistoryRequest, HistoryRequests } from './history-contract.ts'

/** Recordings whose places are held. */
const RECORDINGS_HELD = 4
/** A store that is being written has another recording all the time; reading its places costs some ms. */
const FRESH_FOR_MS = 500
const OPENINGS_MAX = 200
const GAPS_MAX = 50
/** JSON of one answer, about. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024
const PASS_EVENTS_MAX = 5_000
/** Read at once before they are counted in bytes: one may be a whole debt or the verdicts of a plan. */
const EVENTS_A_STEP = 100
const PASSES_A_STEP = 20

export interface HistoryReaderDeps {
  fileSystem: FileSystem
  /** Monotonic milliseconds. */
  monotonic: () => number
  /** Wall clock. */
  nowMs: () => number
}

interface Held {
  recording: Recording
  /** Names and sizes of its files when it was opened. */
  files: string
  openedAtMs: number
  readAtMs: number
}

export class HistoryReader {
  readonly #deps: HistoryReaderDeps
  /** In the order of use. */
  readonly #held = new Map<string, Held>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    deps: HistoryReaderDeps = {
      fileSystem: nodeFileSystem,
      monotonic: () => performance.now(),
      nowMs: Date.now,
    },
  ) {
    this.#deps = deps
  }

  /** JSON of the body that belongs to the request. One at a time: an answer may hold a whole state. */
  answer(dir: string, request: HistoryRequest): Promise<string> {
    const answer = this.#last.then(() => this.#answer(dir, request))
    this.#last = answer.catch(() => undefined)
    return answer
  }

  async #answer(dir: string, request: HistoryRequest): Promise<string> {
    const held = await this.#recording(dir)
    return JSON.stringify(await bodyOf(held, request))
  }

  async #recording(dir: string): Promise<Held> {
    const { fileSystem, monotonic, nowMs } = this.#deps
    const before = this.#held.get(dir)
    this.#held.delete(dir)
    const isFresh = before !== undefined && monotonic() - before.openedAtMs < FRESH_FOR_MS
    const files = isFresh ? before.files : this.#files(dir)
    const held =
      before?.files === files
        ? before
        : {
            recording: await openRecording(dir, { fileSystem, yieldNow, monotonic }),
            files,
            openedAtMs: monotonic(),
            readAtMs: nowMs(),
          }
    this.#held.set(dir, held)
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= RECORDINGS_HELD) break
      this.#held.delete(oldest)
    }
    return held
  }

  #files(dir: string): string {
    const { fileSystem } = this.#deps
    const folder = path.join(dir, 'trace')
    // A link in its place is not followed: the recording says what it is.
    if (fileSystem.stat(folder)?.isDirectory !== true) return ''
    return (fileSystem.list(folder) ?? [])
      .sort()
      .map((name) => `${name}:${fileSystem.stat(path.join(folder, name))?.size ?? 0}`)
      .join()
  }
}

async function bodyOf(held: Held, request: HistoryRequest): Promise<unknown> {
  const { recording } = held
  switch (request.name) {
    case 'summary':
      return summaryBody(held)
    case 'passes':
      return passesBody(recording, request.body)
    case 'pass':
      return passBody(recording, request.body)
    case 'events':
      return eventsBody(recording, request.body)
    case 'latency':
      return latencyBody(recording, request.body)
    case 'state':
      return stateBody(recording, request.body)
  }
}

function summaryBody({ recording, readAtMs }: Held): HistoryBody {
  const summary = recording.summary()
  const openings = summary.openings.slice(-OPENINGS_MAX)
  const gaps = openings.reduce((sum, opening) => sum + opening.gaps.length, 0)
  // The last gap of an opening is its end, which says whether the newest moments are missing.
  const shown = openings.map((opening) => ({ ...opening, gaps: opening.gaps.slice(-GAPS_MAX) }))
  return {
    readAtMs,
    recording: { ...summary, openings: shown, problems: summary.problems.slice(0, GAPS_MAX) },
    openingsLeftOut: summary.openings.length - openings.length,
    gapsLeftOut: gaps - shown.reduce((sum, opening) => sum + opening.gaps.length, 0),
  }
}

// ---------------------------------------------------------------- passes

/** Passes that did something, or tried to; the others only looked. */
function hasActed({ outcome }: PassReport): boolean {
  return outcome !== 'blocked' && outcome !== 'nothing_to_do'
}

async function passesBody(
  recording: Recording,
  { before, limit, acted }: HistoryRequests['passes'],
): Promise<HistoryPassesBody> {
  const passes: HistoryPass[] = []
  let bytes = 0
  let from = before
  for (;;) {
    const { ends, next } = await recording.readPassEnds({
      limit: Math.min(PASSES_A_STEP, limit - passes.length),
      ...(from === undefined ? {} : { before: from }),
      ...(acted ? { wanted: hasActed } : {}),
    })
    for (const { openingId, seq, atMs, report } of ends) {
      const pass = { openingId, seq, atMs, ...withoutCandidates(report) }
      bytes += JSON.stringify(pass).length
      if (bytes > ANSWER_BYTES_MAX && passes.length > 0) {
        return { passes, next: { openingId, seq: seq + 1 } }
      }
      passes.push(pass)
    }
    // A step without any went through as many blocks as one question may.
    if (next === null || passes.length >= limit || ends.length === 0) return { passes, next }
    from = next
  }
}

function withoutCandidates(report: PassReport): Pick<HistoryPass, 'report' | 'candidatesDropped'> {
  const candidatesDropped = report.steps.some(
    (step) => step.kind === 'plan' && step.plan.candidates.length > 0,
  )
  if (!candidatesDropped) return { report, candidatesDropped }
  const steps = report.steps.map((step) =>
    step.kind === 'plan' ? { ...step, plan: { ...step.plan, candidates: [] } } : step,
  )
  return { report: { ...report, steps }, candidatesDropped }
}

async function passBody(
  recording: Recording,
  { passId, openingId }: HistoryRequests['pass'],
): Promise<HistoryPassBody> {
  const pass = await recording.findPass(passId, openingId)
  if (pass === null) {
    const where = openingId === undefined ? '' : ` of opening ${openingId}`
    throw new Refusal('NOT_FOUND', `pass ${passId}${where} is not recorded`)
  }
  const end = pass.events.findLast((event) => event.type === 'pass_done')
  const events = within(pass.events.slice(0, PASS_EVENTS_MAX))
  return {
    openingId: pass.openingId,
    passId,
    firstSeq: pass.firstSeq,
    lastSeq: pass.lastSeq,
    report: end?.report ?? null,
    events,
    eventsLeftOut: pass.events.length - events.length,
  }
}

/** As many as an answer may hold, and at least one. */
function within(events: readonly EngineEvent[]): EngineEvent[] {
  let bytes = 0
  const end = events.findIndex((event, i) => {
    bytes += JSON.stringify(event).length
    return bytes > ANSWER_BYTES_MAX && i > 0
  })
  return end === -1 ? [...events] : events.slice(0, end)
}

// ---------------------------------------------------------------- moments

type FullOpening = RecordingOpening & { firstSeq: number; lastSeq: number }

/** Those with events, oldest first; NOT_FOUND without any. */
function openingsOf(recording: Recording): FullOpening[] {
  const openings = recording
    .summary()
    .openings.filter((one): one is FullOpening => one.firstSeq !== null && one.lastSeq !== null)
  if (openings.length === 0) {
    throw new Refusal('NOT_FOUND', 'nothing is recorded in this folder')
  }
  return openings
}

/** NOT_FOUND for an opening that is not recorded; the newest when none was asked for. */
function openingOf(openings: readonly FullOpening[], openingId: number | undefined): FullOpening {
  const found =
    openingId === undefined
      ? openings.at(-1)
      : openings.find((opening) => opening.openingId === openingId)
  if (found !== undefined) return found
  const [first, last] = [openings[0]?.openingId ?? 0, openings.at(-1)?.openingId ?? 0]
  throw new Refusal(
    'NOT_FOUND',
    `opening ${openingId ?? ''} is not recorded; those from ${first} to ${last} are`,
  )
}

async function eventsBody(
  recording: Recording,
  { openingId, from, at, limit }: HistoryRequests['events'],
): Promise<HistoryEventsBody> {
  const openings = openingsOf(recording)
  const begin =
    at === undefined
      ? { openingId: openingOf(openings, openingId).openingId, seq: from ?? 0 }
      : await firstEventAt(recording, openings, at)
  const events: EngineEvent[] = []
  const gaps: RecordingGap[] = []
  let bytes = 0
  let next: number | null = begin.seq
  while (next !== null && events.length < limit) {
    const step: RecordedEvents = await recording.readEvents({
      openingId: begin.openingId,
      fromSeq: next,
      limit: Math.min(EVENTS_A_STEP, limit - events.length),
    })
    gaps.push(...step.gaps)
    next = step.nextSeq
    for (const event of step.events) {
      bytes += JSON.stringify(event).length
      if (bytes > ANSWER_BYTES_MAX && events.length > 0) {
        return { openingId: begin.openingId, events, next: event.seq, gaps: distinct(gaps) }
      }
      events.push(event)
    }
  }
  return { openingId: begin.openingId, events, next, gaps: distinct(gaps) }
}

async function latencyBody(
  recording: Recording,
  { openingId: asked, fromMs, toMs, from = 0, limit }: HistoryRequests['latency'],
): Promise<HistoryLatencyBody> {
  const { openingId } = openingOf(openingsOf(recording), asked)
  const { nextSeq, ...found } = await recording.readLatency({
    openingId,
    fromMs,
    toMs,
    fromSeq: from,
    limit,
  })
  return { openingId, ...found, next: nextSeq }
}

/** A gap between two steps is told by both. */
function distinct(gaps: readonly RecordingGap[]): RecordingGap[] {
  const bySeq = new Map(gaps.map((gap) => [`${gap.fromSeq} ${gap.why}`, gap]))
  return [...bySeq.values()].slice(0, GAPS_MAX)
}

async function firstEventAt(
  recording: Recording,
  openings: readonly FullOpening[],
  atMs: number,
): Promise<Moment> {
  const before = await recording.findTime(atMs - MS_FRACTION)
  const first = openings[0]
  if (before === null) return { openingId: first?.openingId ?? 1, seq: first?.firstSeq ?? 0 }
  const { openingId, seq } = before
  const opening = openings.find((one) => one.openingId === openingId)
  const following = openings.find((one) => one.openingId > openingId)
  return opening !== undefined && seq >= opening.lastSeq && following !== undefined
    ? { openingId: following.openingId, seq: following.firstSeq }
    : { openingId, seq: seq + 1 }
}

/** Less than times differ by: "before" in terms of "at or before". */
const MS_FRACTION = 1 / 1024

async function stateBody(
  recording: Recording,
  { openingId, seq, at }: HistoryRequests['state'],
): Promise<HistoryStateBody> {
  const openings = openingsOf(recording)
  if (at === undefined) {
    const opening = openingOf(openings, openingId)
    return recording.stateAt({ openingId: opening.openingId, seq: seq ?? opening.lastSeq })
  }
  const found = await recording.findTime(at)
  if (found === null) {
    const firstAtMs = openings[0]?.firstAtMs ?? 0
    throw new Refusal('NOT_FOUND', `the recording begins later, at ${isoTime(firstAtMs)}`, {
      details: { firstAtMs },
    })
  }
  return recording.stateAt(found)
}

function isoTime(atMs: number): string {
  const date = new Date(atMs)
  return Number.isNaN(date.getTime()) ? `${atMs} ms` : date.toISOString()
}
