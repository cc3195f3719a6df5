/**
 * Reads a recording back: by sequence, by pass, by time, and the state at any moment, touching only
 * the blocks that hold it. Opening reads the header and the index of each chunk. It never writes, and
 * it may read while the store is being written: then it sees what was on disk when it was opened.
 *
 * What cannot be read is a gap with a reason, never an error of the whole. Errors: ENGINE_IO from the
 * disk, ENGINE_ABORTED by the caller's signal.
 */
import * as path from 'node:path'
import { applyEvent } from '../apply-event.ts'
import { Sentences, Slices, errorText } from '../inspect/findings.ts'
import { isCorruption } from '../errors.ts'
import type { FileSystem } from '../file-system.ts'
import type {
  EngineEvent,
  EngineState,
  LatencyInterval,
  PassReport,
  RecordingGap,
  RecordingOpening,
  RecordingSummary,
} from '../types.ts'
import { isEvent, isState } from './check-event.ts'
import { readBlock, readChunk, type BlockPlace, type Chunk } from './chunk-reader.ts'
import { RECORDING_FOLDER, chunkFileName, parseChunkFileName } from './codec.ts'

/** More files than a writer makes; the newest of a hostile folder's are read. */
const CHUNKS_MAX = 4096
/** Of one answer. */
const EVENTS_MAX = 10_000

/** Of one page of passes: a block is about 64 KiB of JSON. */
const PASS_BLOCKS_MAX = 1_000
/** Of one page of latency: a store that is busy has one interval in each. */
const LATENCY_BLOCKS_MAX = 500

export interface RecordingDeps {
  fileSystem: FileSystem
  /** Gives the thread back to other work; resolves in a later macrotask. */
  yieldNow: () => Promise<void>
  /** Monotonic milliseconds; absent = slices of a fixed number of steps. */
  monotonic?: () => number
  /** Longest slice between yields. Default 4 ms. */
  sliceMs?: number
  signal?: AbortSignal
}

export interface RecordedEvents {
  openingId: number
  /** Ascending by seq. */
  events: EngineEvent[]
  /** Where to go on; null: there is nothing after these. */
  nextSeq: number | null
  /** Holes in the range that was gone through. */
  gaps: RecordingGap[]
}

export interface RecordedPass {
  openingId: number
  passId: number
  /** First and last readable event of the pass. */
  firstSeq: number
  lastSeq: number
  events: EngineEvent[]
}

/** The end of a pass: its `pass_done`, after which the state is what the pass left. */
export interface RecordedPassEnd {
  openingId: number
  seq: number
  atMs: number
  report: PassReport
}

export interface RecordedPassEnds {
  /** Newest first, over openings. */
  ends: RecordedPassEnd[]
  /** Hand it in as `before` to go on with older ones; null: there is nothing older. */
  next: { openingId: number; seq: number } | null
}

export interface RecordedLatency {
  /** false: written before there were such events, so that none says nothing about the foreground. */
  isRecorded: boolean
  /** Those that the span of time touches, ascending. */
  intervals: LatencyInterval[]
  /** Where to go on; null: there are no more. */
  nextSeq: number | null
}

/** `state` null: `why` says what is missing. */
export type RecordedState =
  | { openingId: number; seq: number; atMs: number; state: EngineState; why: null }
  | { openingId: number; seq: number; atMs: null; state: null; why: string }

export interface Recording {
  summary(): RecordingSummary
  /** From the first event at or after `fromSeq`, at most `limit` (and never more than 10,000). */
  readEvents(from: { openingId: number; fromSeq: number; limit: number }): Promise<RecordedEvents>
  /** Pass ids count from 1 in each opening; without one the newest opening that has the pass. */
  findPass(passId: number, openingId?: number): Promise<RecordedPass | null>
  /**
   * Ends of passes before an event (absent = from the newest), at most `limit`. Goes through at most
   * `blocksMax` blocks (default 1,000), so that a page may be short and yet not be the last.
   */
  readPassEnds(from: {
    before?: { openingId: number; seq: number }
    limit: number
    /** Absent = all. */
    wanted?: (report: PassReport) => boolean
    blocksMax?: number
  }): Promise<RecordedPassEnds>
  /**
   * What the foreground's operations took in a span of time of one opening, from the first event at or
   * after `fromSeq` (absent = the first), at most `limit`. Reads only blocks that hold such events, and
   * at most `blocksMax` of them, so that a page may be short and yet not be the last.
   */
  readLatency(from: {
    openingId: number
    fromMs: number
    toMs: number
    fromSeq?: number
    limit: number
    blocksMax?: number
  }): Promise<RecordedLatency>
  /** The newest event at or before that time; null: the recording begins later. */
  findTime(atMs: number): Promise<{ openingId: number; seq: number; atMs: number } | null>
  /** The state after event `seq`, as the live engine had it. */
  stateAt(at: { openingId: number; seq: number }): Promise<RecordedState>
}

/** `dir` is the data folder. A folder without a recording gives one without openings. */
export async function openRecording(dir: string, deps: RecordingDeps): Promise<Recording> {
  const folder = path.join(dir, RECORDING_FOLDER)
  const problems = new Sentences()
  const slices = slicesOf(deps)
  const chunks: Chunk[] = []
  for (const chunkNumber of chunkNumbers(folder, deps.fileSystem, problems)) {
    try {
      chunks.push(readChunk(deps.fileSystem, folder, chunkNumber))
    } catch (error) {
      problems.add(`${RECORDING_FOLDER}/${chunkFileName(chunkNumber)}: ${errorText(error)}`)
    }
    if (slices.isUsedUp()) await slices.rest()
  }
  return new FolderRecording(deps, groupByOpening(chunks), problems.list())
}

function slicesOf(deps: RecordingDeps): Slices {
  const { yieldNow, monotonic, signal, sliceMs = 4 } = deps
  return new Slices({ yieldNow, monotonic, signal, sliceMs })
}

/** Ascending. */
function chunkNumbers(folder: string, fileSystem: FileSystem, problems: Sentences): number[] {
  const stat = fileSystem.stat(folder)
  if (stat === undefined) return []
  if (!stat.isDirectory) {
    problems.add(
      `${RECORDING_FOLDER} is ${stat.isSymbolicLink ? 'a link, not followed' : 'no folder'}`,
    )
    return []
  }
  const numbers = (fileSystem.list(folder) ?? [])
    .map(parseChunkFileName)
    .filter((n) => n !== undefined)
    .sort((a, b) => a - b)
  if (numbers.length <= CHUNKS_MAX) return numbers
  problems.add(`${numbers.length} chunks, of which the newest ${CHUNKS_MAX} are read`)
  return numbers.slice(-CHUNKS_MAX)
}

/** Chunks of one opening in order; one that goes back in seq is left out as damage. */
interface Opening {
  openingId: number
  openedAtMs: number
  chunks: Chunk[]
  hasDamage: boolean
}

function groupByOpening(chunks: readonly Chunk[]): Opening[] {
  const openings = new Map<number, Opening>()
  for (const chunk of chunks) {
    const { openingId, openedAtMs } = chunk
    let opening = openings.get(openingId)
    if (opening === undefined) {
      opening = { openingId, openedAtMs, chunks: [], hasDamage: false }
      openings.set(openingId, opening)
    }
    const before = opening.chunks.at(-1)
    const isInOrder = before === undefined || chunk.baseSeq >= lastSeqOf(before)
    if (isInOrder) opening.chunks.push(chunk)
    else opening.hasDamage = true
  }
  return [...openings.values()].sort((a, b) => a.openingId - b.openingId)
}

function lastSeqOf(chunk: Chunk): number {
  return chunk.blocks.at(-1)?.lastSeq ?? chunk.baseSeq
}

// ---------------------------------------------------------------- gaps

/** Holes of an opening, from what its chunks say without reading their payloads. */
function gapsOf(opening: Opening): RecordingGap[] {
  const gaps: RecordingGap[] = []
  let next = 1
  opening.chunks.forEach((chunk, i) => {
    const name = path.basename(chunk.file)
    const isFirst = i === 0
    if (chunk.baseSeq >= next) {
      gaps.push({ fromSeq: next, toSeq: chunk.baseSeq, ...whyBefore(chunk, isFirst, opening) })
    }
    next = chunk.baseSeq + 1
    for (const block of chunk.blocks) {
      if (block.firstSeq > next) gaps.push(damagedGap(next, block.firstSeq - 1, name))
      next = block.lastSeq + 1
    }
    const isLast = i === opening.chunks.length - 1
    if (isLast && chunk.end !== 'closed') gaps.push(endGap(chunk, next))
  })
  return gaps
}

function whyBefore(
  chunk: Chunk,
  isFirst: boolean,
  opening: Opening,
): Pick<RecordingGap, 'why' | 'text'> {
  const name = path.basename(chunk.file)
  if (chunk.cause === 'resumed') {
    return { why: 'stopped', text: `the recording stood still before ${name}` }
  }
  if (isFirst && !opening.hasDamage) {
    return { why: 'retention', text: `history before ${name} was given up for space` }
  }
  return { why: 'damaged', text: `what came before ${name} cannot be read` }
}

function damagedGap(fromSeq: number, toSeq: number | null, name: string): RecordingGap {
  return { fromSeq, toSeq, why: 'damaged', text: `a part of ${name} cannot be read` }
}

function endGap(chunk: Chunk, fromSeq: number): RecordingGap {
  const name = path.basename(chunk.file)
  const what = 'the newest moments may be missing'
  if (chunk.isTorn) {
    const text = `${name} ends inside a block: ${what}`
    return { fromSeq, toSeq: null, why: 'torn_tail', text }
  }
  const text = `${name} was not closed in order, or the store is still open: ${what}`
  return { fromSeq, toSeq: null, why: 'not_closed', text }
}

// ---------------------------------------------------------------- the reader

class FolderRecording implements Recording {
  readonly #deps: RecordingDeps
  readonly #openings: readonly Opening[]
  readonly #problems: readonly string[]
  readonly #gaps = new Map<number, RecordingGap[]>()
  /** Paging goes through a block several times. */
  #cached: { place: BlockPlace; events: EngineEvent[] } | null = null

  constructor(deps: RecordingDeps, openings: readonly Opening[], problems: readonly string[]) {
    this.#deps = deps
    this.#openings = openings
    this.#problems = problems
    for (const opening of openings) this.#gaps.set(opening.openingId, gapsOf(opening))
  }

  summary(): RecordingSummary {
    const chunks = this.#openings.flatMap((opening) => opening.chunks)
    const damagedChunks = chunks.filter((chunk) => chunk.isDamaged || chunk.keyframe === null)
    return {
      bytes: chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
      chunks: chunks.length,
      openings: this.#openings.map((opening) => this.#summaryOf(opening)),
      problems: [
        ...this.#problems,
        ...damagedChunks.map((c) => `${path.basename(c.file)}: a part of it cannot be read`),
      ],
    }
  }

  #summaryOf(opening: Opening): RecordingOpening {
    const blocks = opening.chunks.flatMap((chunk) => chunk.blocks)
    const [first, last] = [blocks[0], blocks.at(-1)]
    const passes = blocks.filter((block) => block.firstPassId > 0)
    return {
      openingId: opening.openingId,
      openedAtMs: opening.openedAtMs,
      firstSeq: first?.firstSeq ?? null,
      lastSeq: last?.lastSeq ?? null,
      firstAtMs: first?.firstAtMs ?? null,
      lastAtMs: last?.lastAtMs ?? null,
      events: blocks.reduce((sum, block) => sum + block.count, 0),
      firstPassId: passes[0]?.firstPassId ?? null,
      lastPassId: passes.at(-1)?.lastPassId ?? null,
      bytes: opening.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
      closed: opening.chunks.at(-1)?.end === 'closed',
      gaps: this.#gaps.get(opening.openingId) ?? [],
    }
  }

  async readEvents(from: {
    openingId: number
    fromSeq: number
    limit: number
  }): Promise<RecordedEvents> {
    const { openingId, fromSeq } = from
    const limit = Math.min(Math.max(1, Math.floor(from.limit)), EVENTS_MAX)
    const events: EngineEvent[] = []
    const unreadable: RecordingGap[] = []
    let nextSeq: number | null = null
    for (const place of this.#blocks(openingId)) {
      if (place.lastSeq < fromSeq) continue
      if (events.length >= limit) {
        nextSeq = place.firstSeq
        break
      }
      const block = await this.#events(place)
      if (block === null) {
        unreadable.push(damagedGap(place.firstSeq, place.lastSeq, path.basename(place.file)))
        continue
      }
      const wanted = block.filter((event) => event.seq >= fromSeq)
      const room = limit - events.length
      events.push(...wanted.slice(0, room))
      nextSeq = wanted[room]?.seq ?? null
      if (nextSeq !== null) break
    }
    const toSeq = nextSeq ?? Infinity
    const known = (this.#gaps.get(openingId) ?? []).filter(
      (gap) => (gap.toSeq ?? Infinity) >= fromSeq && gap.fromSeq <= toSeq,
    )
    const gaps = [...known, ...unreadable].sort((a, b) => a.fromSeq - b.fromSeq)
    return { openingId, events, nextSeq, gaps }
  }

  async findPass(passId: number, openingId?: number): Promise<RecordedPass | null> {
    for (const opening of [...this.#openings].reverse()) {
      if (openingId !== undefined && opening.openingId !== openingId) continue
      const events: EngineEvent[] = []
      for (const place of this.#blocks(opening.openingId)) {
        if (place.firstPassId === 0 || place.firstPassId > passId) continue
        if (place.lastPassId < passId) continue
        const block = (await this.#events(place)) ?? []
        events.push(...block.filter((event) => event.passId === passId))
      }
      const [first, last] = [events[0], events.at(-1)]
      if (first === undefined || last === undefined) continue
      const { seq: firstSeq } = first
      return { openingId: opening.openingId, passId, firstSeq, lastSeq: last.seq, events }
    }
    return null
  }

  async readPassEnds(from: {
    before?: { openingId: number; seq: number }
    limit: number
    wanted?: (report: PassReport) => boolean
    blocksMax?: number
  }): Promise<RecordedPassEnds> {
    const { before, limit, wanted = () => true, blocksMax = PASS_BLOCKS_MAX } = from
    const ends: RecordedPassEnd[] = []
    let blocks = 0
    for (const { openingId } of [...this.#openings].reverse()) {
      if (before !== undefined && openingId > before.openingId) continue
      const until = openingId === before?.openingId ? before.seq : Infinity
      for (const place of [...this.#blocks(openingId)].reverse()) {
        // A pass belongs to its own end: a block without a pass has none.
        if (place.firstSeq >= until || place.firstPassId === 0) continue
        const next = { openingId, seq: Math.min(until, place.lastSeq + 1) }
        if (blocks >= blocksMax) return { ends, next }
        blocks += 1
        for (const event of ((await this.#events(place)) ?? []).toReversed()) {
          if (event.type !== 'pass_done' || event.seq >= until || !wanted(event.report)) continue
          if (ends.length >= limit) return { ends, next: { openingId, seq: event.seq + 1 } }
          ends.push({ openingId, seq: event.seq, atMs: event.atMs, report: event.report })
        }
      }
    }
    return { ends, next: null }
  }

  async readLatency(from: Parameters<Recording['readLatency']>[0]): Promise<RecordedLatency> {
    const { openingId, fromMs, toMs, fromSeq = 0, limit, blocksMax = LATENCY_BLOCKS_MAX } = from
    const places = this.#blocks(openingId)
    const isRecorded = places.some(({ latency }) => latency !== 'unknown')
    const intervals: LatencyInterval[] = []
    let blocks = 0
    for (const place of places) {
      if (place.latency !== 'some' || place.lastAtMs < fromMs || place.lastSeq < fromSeq) continue
      if (blocks >= blocksMax) return { isRecorded, intervals, nextSeq: place.firstSeq }
      blocks += 1
      for (const event of (await this.#events(place)) ?? []) {
        if (event.type !== 'foreground_latency') continue
        const { seq, atMs, put, get } = event
        if (atMs < fromMs || seq < fromSeq) continue
        // Each begins where the one before ended, or later.
        if (event.fromMs > toMs) return { isRecorded, intervals, nextSeq: null }
        if (intervals.length >= limit) return { isRecorded, intervals, nextSeq: seq }
        intervals.push({ seq, fromMs: event.fromMs, atMs, put, get })
      }
    }
    return { isRecorded, intervals, nextSeq: null }
  }

  async findTime(atMs: number): Promise<{ openingId: number; seq: number; atMs: number } | null> {
    for (const opening of [...this.#openings].reverse()) {
      for (const place of [...this.#blocks(opening.openingId)].reverse()) {
        if (place.firstAtMs > atMs) continue
        const found = (await this.#events(place))?.findLast((event) => event.atMs <= atMs)
        if (found === undefined) continue
        return { openingId: opening.openingId, seq: found.seq, atMs: found.atMs }
      }
    }
    return null
  }

  async stateAt(at: { openingId: number; seq: number }): Promise<RecordedState> {
    const { openingId, seq } = at
    const missing = (why: string): RecordedState => ({
      openingId,
      seq,
      atMs: null,
      state: null,
      why,
    })
    const opening = this.#openings.find((o) => o.openingId === openingId)
    if (opening === undefined) return missing(`opening ${openingId} is not recorded`)
    const chunk = opening.chunks.findLast((c) => c.baseSeq <= seq)
    if (chunk === undefined) return missing(`event ${seq} is older than what is kept`)
    const keyframe = chunk.keyframe
    const name = path.basename(chunk.file)
    let state = keyframe === null ? null : await this.#state(keyframe)
    if (state === null || keyframe === null) return missing(`the state in ${name} cannot be read`)
    let atMs = keyframe.lastAtMs
    let next = chunk.baseSeq + 1
    const slices = slicesOf(this.#deps)
    for (const place of chunk.blocks) {
      if (place.firstSeq > seq) break
      const block = await this.#events(place)
      if (block === null || place.firstSeq !== next) {
        return missing(`events ${next} to ${seq} are needed and not all of them can be read`)
      }
      for (const event of block) {
        if (event.seq > seq) break
        state = applyEvent(state, event)
        atMs = event.atMs
        next = event.seq + 1
        if (slices.isUsedUp()) await slices.rest()
      }
    }
    if (next <= seq) return missing(`the recording ends before event ${seq}`)
    return { openingId, seq, atMs, state, why: null }
  }

  #blocks(openingId: number): BlockPlace[] {
    const opening = this.#openings.find((o) => o.openingId === openingId)
    return opening?.chunks.flatMap((chunk) => chunk.blocks) ?? []
  }

  async #state(place: BlockPlace): Promise<EngineState | null> {
    const value = await this.#value(place)
    return isState(value) ? value : null
  }

  /** null: damaged, or given up for space since the recording was opened. */
  async #events(place: BlockPlace): Promise<EngineEvent[] | null> {
    if (this.#cached?.place === place) return this.#cached.events
    const value = await this.#value(place)
    if (!Array.isArray(value) || value.length !== place.count) return null
    const events: EngineEvent[] = []
    for (const item of value as unknown[]) {
      if (!isEvent(item) || item.seq !== place.firstSeq + events.length) return null
      events.push(item)
    }
    this.#cached = { place, events }
    return events
  }

  async #value(place: BlockPlace): Promise<unknown> {
    const { fileSystem } = this.#deps
    const slices = slicesOf(this.#deps)
    try {
      const steps = readBlock(fileSystem, place)
      for (;;) {
        const step = steps.next()
        if (step.done === true) return step.value
        if (slices.isUsedUp()) await slices.rest()
      }
    } catch (error) {
      if (isCorruption(error)) return null
      if (fileSystem.stat(place.file) === undefined) return null
      throw error
    }
  }
}
