/**
 * Keeps the engine's events in the folder while it is open. The turn that emits an event only remembers
 * it; what came together is turned into JSON together, and compressing and writing happen in later turns,
 * in slices. Nothing of it is synced before a chunk is sealed, so a crash may cost the newest moments, and
 * nothing but them.
 *
 * The store comes first: whatever goes wrong here stops the recording, says so in an event and in the
 * gauges, and is tried again later with a new chunk and a new keyframe. It is never the store's error.
 */
import * as path from 'node:path'
import type { RecordingOptions } from '../api.ts'
import type { Clock } from '../clock.ts'
import type { EngineEventRecorder } from '../events.ts'
import type { FileSystem } from '../file-system.ts'
import { Slicer, type SliceSettings } from '../slicer.ts'
import type {
  EngineEvent,
  EngineEventBody,
  EngineState,
  RecordingGauge,
  RecordingStopReason,
} from '../types.ts'
import { ChunkWriter, EMPTY_SEAL_BYTES } from './chunk-writer.ts'
import {
  BLOCK_HEADER_BYTES,
  CHUNK_HEADER_BYTES,
  RAW_BYTES_MAX,
  chunkFileName,
  decodeChunkHeader,
  encodePayload,
  parseChunkFileName,
  type BlockFacts,
  type ChunkCause,
} from './codec.ts'

/** JSON gathered for one block: enough to compress well, little enough to lose. */
const BLOCK_BYTES = 64 * 1024
/**
 * Events that may wait to become JSON: one at a time, each between other work, took twice as long as
 * many in a row.
 */
const WAITING_MAX = 64
/** Of a list: more, and the event may be megabytes. */
const LONG_ITEMS = 64
/** Between the ends of passes that get a block of their own. */
const PASS_FLUSH_MS = 250
/** JSON that may wait for the disk. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024
/** Between two tries after an error. */
const RETRY_MS = 30_000
/** Files, so that ten thousand short openings do not become ten thousand files. */
const CHUNKS_MAX = 1024
const CHUNK_NUMBER_MAX = Number.MAX_SAFE_INTEGER / 2
/** Segments of a keyframe turned into JSON at once. */
const SEGMENTS_A_STEP = 500

export interface RecordingHost {
  /** `trace/` of the opened folder. */
  folder: string
  fileSystem: FileSystem
  clock: Clock
  slices: SliceSettings
  /** A consistent copy as of the newest event; may emit events that were held back. */
  state: () => EngineState
  /** Sequence number of the newest event. */
  seq: () => number
  emit: (body: EngineEventBody) => void
}

interface EventsWork {
  kind: 'events'
  facts: BlockFacts
  texts: string[]
  bytes: number
}

interface KeyframeWork {
  kind: 'keyframe'
  cause: ChunkCause
  seq: number
  atMs: number
  state: EngineState
}

type Work = EventsWork | KeyframeWork

/** Why it cannot go on, when it is not the disk that says so. */
class Refusal extends Error {
  readonly reason: RecordingStopReason

  constructor(reason: RecordingStopReason, message: string) {
    super(message)
    this.reason = reason
  }
}

export class Recorder {
  readonly #host: RecordingHost
  readonly #options: RecordingOptions
  /** Files of the folder, oldest first; the one being written is the last. */
  readonly #chunks: { chunkNumber: number; bytes: number }[] = []
  #lastChunkNumber = 0
  /** 0 until the folder could be looked at. */
  #openingId = 0
  #openedAtMs = 0
  #chunk: ChunkWriter | null = null
  /** Not JSON yet; they come behind `#pending`. */
  readonly #waiting: EngineEvent[] = []
  #pending = nothingYet()
  readonly #queue: Work[] = []
  #queueBytes = 0
  #pump: Promise<void> | null = null
  #closed = false
  #stopped: RecordingGauge['stopped'] = null
  /** `recording_stopped` was told and `recording_resumed` was not yet. */
  #isTold = false
  /** First event that is missing since the recording last stood still. */
  #lostFromSeq: number | null = null
  #eventsLost = 0
  #writtenSeq = 0
  #flush: { atMs: number; cancel: () => void } | null = null
  /** End of the last pass, and of the last one that was written at once. */
  #passAtMs = -Infinity
  #passCutAtMs = -Infinity
  /** By the monotonic clock. */
  #frozenCutMs = -Infinity
  #cancelRetry: (() => void) | null = null

  constructor(host: RecordingHost, options: RecordingOptions) {
    this.#host = host
    this.#options = options
  }

  /** Call before the first event of the opening. Writes nothing in this turn and throws nothing. */
  start(): void {
    this.#openedAtMs = this.#host.clock.now()
    this.#begin('opened')
  }

  /** To be told of every event. */
  readonly record: EngineEventRecorder = (event, made): void => {
    if (this.#closed) return
    if (this.#stopped !== null) {
      this.#lose(event.seq, 1)
      return
    }
    this.#waiting.push(event)
    const isDue = made !== null || this.#waiting.length >= WAITING_MAX || isLong(event)
    if (isDue) this.#gather(made)
    if (event.type === 'pass_done') this.#writeSoon(event.atMs)
    else if (this.#host.clock.frozen) this.#writeWhileFrozen()
    else this.#armFlush(this.#options.flushMs)
  }

  gauge(): RecordingGauge {
    return {
      state: this.#stopped === null ? 'on' : 'stopped',
      openingId: this.#openingId,
      writtenSeq: this.#writtenSeq,
      eventsLost: this.#eventsLost,
      bytes: this.#bytes(),
      maxBytes: this.#options.maxBytes,
      stopped: this.#stopped,
    }
  }

  /** Writes what is left and seals. Call while the folder is still ours. Never rejects. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#write()
    this.#closed = true
    this.#flush?.cancel()
    this.#cancelRetry?.()
    await this.#pump
    try {
      await this.#chunk?.seal(true)
    } catch {
      // It reads like a crash: without its index, up to the last whole block.
    }
    this.#chunk = null
  }

  // ---------------------------------------------------------------- gathering

  /** What waits becomes JSON; `made` is that of the newest, where there is one. */
  #gather(made: string | null): void {
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      const text = (this.#waiting.length === 0 ? made : null) ?? JSON.stringify(event)
      if (isTooLarge(text)) {
        this.#lose(event.seq, 1)
        this.#stop(new Refusal('state_too_large', `a ${event.type} event is ${text.length} long`))
        return
      }
      this.#pending.texts.push(text)
      this.#pending.bytes += text.length
      include((this.#pending.facts ??= factsOf(event)), event)
      if (this.#pending.bytes >= BLOCK_BYTES) this.#cut()
    }
  }

  /** Left armed when a block is cut earlier: a timer a second is cheaper than one a block. */
  #armFlush(inMs: number): void {
    const { clock } = this.#host
    const atMs = clock.now() + inMs
    if (this.#flush !== null && this.#flush.atMs <= atMs) return
    this.#flush?.cancel()
    const cancel = clock.setTimer(atMs, () => {
      this.#flush = null
      this.#write()
    })
    this.#flush = { atMs, cancel }
  }

  /**
   * A clock that stands still fires no timer. So an event is written at once when nothing was for
   * `flushMs` of real time, and those that follow it closely wait for the next one after that: a killed
   * process costs them, like the last second of a clock that runs.
   */
  #writeWhileFrozen(): void {
    const nowMs = this.#host.clock.monotonic()
    if (nowMs - this.#frozenCutMs < this.#options.flushMs) return
    this.#frozenCutMs = nowMs
    this.#write()
  }

  /**
   * The end of a pass is the moment one looks for after a crash: it is written at once, unless a pass
   * was written a moment ago. Passes that follow each other closely share a block, which halves what
   * recording costs a busy store. A clock that did not move since the last pass may stand still, and
   * then no timer would write it.
   */
  #writeSoon(atMs: number): void {
    const stands = atMs === this.#passAtMs
    this.#passAtMs = atMs
    const waitMs = this.#passCutAtMs + PASS_FLUSH_MS - atMs
    if (!stands && waitMs > 0 && waitMs <= PASS_FLUSH_MS) {
      this.#armFlush(Math.min(waitMs, this.#options.flushMs))
      return
    }
    this.#passCutAtMs = atMs
    this.#write()
  }

  /** All that was told so far, in blocks. */
  #write(): void {
    this.#gather(null)
    this.#cut()
  }

  /** What was gathered becomes a block. */
  #cut(): void {
    const { texts, bytes, facts } = this.#pending
    if (facts === null) return
    this.#pending = nothingYet()
    this.#push({ kind: 'events', facts, texts, bytes }, bytes)
    if (this.#queueBytes > QUEUE_BYTES_MAX) {
      this.#stop(new Refusal('behind', `${this.#queueBytes} bytes of events wait for the disk`))
    }
  }

  /** A new chunk with the state of now, behind every event that it contains. */
  #queueKeyframe(cause: ChunkCause): void {
    const state = this.#host.state()
    this.#write()
    const seq = this.#host.seq()
    this.#push({ kind: 'keyframe', cause, seq, atMs: this.#host.clock.now(), state }, 0)
  }

  #push(work: Work, bytes: number): void {
    this.#queue.push(work)
    this.#queueBytes += bytes
    this.#pump ??= this.#run()
  }

  // ---------------------------------------------------------------- writing

  async #run(): Promise<void> {
    const slicer = new Slicer(this.#host.slices)
    // Out of the turn that emitted: the foreground may be in the middle of a write.
    await slicer.pause()
    for (let work = this.#queue.shift(); work !== undefined; work = this.#queue.shift()) {
      try {
        if (work.kind === 'keyframe') await this.#writeKeyframe(work, slicer)
        else await this.#writeEvents(work, slicer)
      } catch (error) {
        if (work.kind === 'events') this.#loseWork(work)
        this.#stop(error)
      }
      if (slicer.due) await slicer.pause()
    }
    // In the turn that found the queue empty: what is pushed from now on starts anew.
    this.#pump = null
  }

  async #writeEvents(work: EventsWork, slicer: Slicer): Promise<void> {
    const raw = Buffer.from(`[${work.texts.join(',')}]`)
    const payload = await sliced(encodePayload(raw), slicer)
    await this.#makeRoom(payload.length + BLOCK_HEADER_BYTES)
    // Meanwhile the recording may have been stopped: then there is no chunk to write to.
    if (this.#chunk === null) {
      this.#loseWork(work)
      return
    }
    this.#chunk.write(work.facts, payload, raw.length)
    this.#queueBytes -= work.bytes
    this.#writtenSeq = work.facts.lastSeq
    if (this.#chunk.bytes >= this.#chunkLimit() && !this.#closed) this.#queueKeyframe('rotated')
  }

  async #writeKeyframe(work: KeyframeWork, slicer: Slicer): Promise<void> {
    const { cause, seq, atMs } = work
    const raw = Buffer.from(await sliced(stateText(work.state), slicer))
    const payload = await sliced(encodePayload(raw), slicer)
    // Of the two, the chunk begun with it and its predecessor, one may go for the other's sake.
    const room = Math.floor(this.#options.maxBytes / 4)
    if (payload.length > room || raw.length > RAW_BYTES_MAX) {
      const message = `the state takes ${payload.length} bytes, more than ${room}`
      throw new Refusal('state_too_large', message)
    }
    const full = this.#chunk
    this.#chunk = null
    if (full !== null) {
      await full.seal(false)
      this.#noteSize(full)
    }
    await this.#makeRoom(CHUNK_HEADER_BYTES + BLOCK_HEADER_BYTES + payload.length)
    if (this.#stopped !== null) return
    const { fileSystem, folder } = this.#host
    fileSystem.makeFolder(folder)
    const chunkNumber = ++this.#lastChunkNumber
    this.#chunks.push({ chunkNumber, bytes: 0 })
    const [openingId, openedAtMs] = [this.#openingId, this.#openedAtMs]
    const header = { chunkNumber, openingId, openedAtMs, baseSeq: seq, cause }
    this.#chunk = new ChunkWriter(fileSystem, folder, header)
    const moment = { firstSeq: seq, lastSeq: seq, firstAtMs: atMs, lastAtMs: atMs }
    const facts = { kind: 'keyframe', count: 1, ...NOTHING_ELSE, ...moment } as const
    this.#chunk.write(facts, payload, raw.length)
    this.#writtenSeq = seq
    if (this.#lostFromSeq === null || !this.#isTold) return
    const lostFromSeq = this.#lostFromSeq
    this.#lostFromSeq = null
    this.#isTold = false
    this.#host.emit({ type: 'recording_resumed', lostFromSeq, lostToSeq: seq })
  }

  /** A quarter of all at most: giving up the oldest must not give up nearly everything. */
  #chunkLimit(): number {
    return Math.min(this.#options.chunkBytes, Math.floor(this.#options.maxBytes / 4))
  }

  // ---------------------------------------------------------------- the folder

  /** Which chunks are there, and the number of this opening. Nothing of them is trusted. */
  #look(): void {
    const { fileSystem, folder } = this.#host
    const stat = fileSystem.stat(folder)
    if (stat === undefined) return
    if (!stat.isDirectory) {
      throw new Refusal('folder_unusable', `${path.basename(folder)} is not a folder`)
    }
    this.#chunks.length = 0
    for (const name of fileSystem.list(folder) ?? []) {
      const chunkNumber = parseChunkFileName(name)
      if (chunkNumber === undefined) continue
      this.#lastChunkNumber = Math.max(this.#lastChunkNumber, chunkNumber)
      const file = fileSystem.stat(path.join(folder, name))
      if (file?.isFile === true) this.#chunks.push({ chunkNumber, bytes: file.size })
    }
    this.#chunks.sort((a, b) => a.chunkNumber - b.chunkNumber)
    if (this.#lastChunkNumber > CHUNK_NUMBER_MAX) {
      const name = chunkFileName(this.#lastChunkNumber)
      throw new Refusal('folder_unusable', `${name} leaves no number for another`)
    }
  }

  /** Above that of every chunk: of the newest readable one, and one more for each that is not. */
  #nextOpeningId(): number {
    let unreadable = 0
    for (const { chunkNumber } of [...this.#chunks].reverse()) {
      const openingId = this.#openingOf(chunkNumber)
      if (openingId !== undefined) return openingId + unreadable + 1
      unreadable++
    }
    return unreadable + 1
  }

  /** undefined: damaged, or of a number that cannot be. */
  #openingOf(chunkNumber: number): number | undefined {
    const { fileSystem, folder } = this.#host
    try {
      const file = fileSystem.open(path.join(folder, chunkFileName(chunkNumber)), 'read')
      try {
        const bytes = new Uint8Array(CHUNK_HEADER_BYTES)
        const { openingId } = decodeChunkHeader(
          bytes.subarray(0, file.read(bytes, 0, bytes.length, 0)),
        )
        return openingId <= CHUNK_NUMBER_MAX ? openingId : undefined
      } finally {
        file.close()
      }
    } catch {
      return undefined
    }
  }

  #noteSize(chunk: ChunkWriter): void {
    const known = this.#chunks.find((c) => c.chunkNumber === chunk.header.chunkNumber)
    if (known !== undefined) known.bytes = chunk.bytes
  }

  #bytes(): number {
    let bytes = this.#chunk?.bytes ?? 0
    const writing = this.#chunk?.header.chunkNumber
    for (const chunk of this.#chunks) if (chunk.chunkNumber !== writing) bytes += chunk.bytes
    return bytes
  }

  /** The oldest history goes until `wanted` bytes fit, with what sealing adds. */
  async #makeRoom(wanted: number): Promise<void> {
    const { fileSystem, folder } = this.#host
    const sealBytes = this.#chunk?.sealBytes ?? EMPTY_SEAL_BYTES
    const limit = this.#options.maxBytes - sealBytes - BLOCK_HEADER_BYTES
    while (this.#bytes() + wanted > limit || this.#chunks.length > CHUNKS_MAX) {
      const [oldest] = this.#chunks
      if (oldest === undefined || oldest.chunkNumber === this.#chunk?.header.chunkNumber) {
        throw new Refusal('state_too_large', `${wanted} bytes more do not fit ${limit}`)
      }
      await fileSystem.unlink(path.join(folder, chunkFileName(oldest.chunkNumber)))
      this.#chunks.splice(this.#chunks.indexOf(oldest), 1)
    }
  }

  // ---------------------------------------------------------------- standing still

  #begin(cause: ChunkCause): void {
    try {
      this.#look()
      if (this.#openingId === 0) this.#openingId = this.#nextOpeningId()
      this.#queueKeyframe(cause)
    } catch (error) {
      this.#stop(error)
    }
  }

  #lose(firstSeq: number, count: number): void {
    this.#lostFromSeq = Math.min(this.#lostFromSeq ?? Infinity, firstSeq)
    this.#eventsLost += count
  }

  #loseWork(work: EventsWork): void {
    this.#queueBytes -= work.bytes
    this.#lose(work.facts.firstSeq, work.facts.count)
  }

  #stop(error: unknown): void {
    if (this.#chunk !== null) this.#noteSize(this.#chunk)
    this.#chunk?.abandon()
    this.#chunk = null
    for (const work of this.#queue.splice(0)) if (work.kind === 'events') this.#loseWork(work)
    const { facts } = this.#pending
    this.#pending = nothingYet()
    if (facts !== null) this.#lose(facts.firstSeq, facts.count)
    for (const { seq } of this.#waiting.splice(0)) this.#lose(seq, 1)
    if (this.#closed) return
    const { clock } = this.#host
    const atMs = clock.now()
    const retryAtMs = atMs + RETRY_MS
    const reason = error instanceof Refusal ? error.reason : 'io'
    const message = error instanceof Error ? error.message : String(error)
    this.#stopped = { reason, message, atMs, retryAtMs }
    this.#cancelRetry?.()
    this.#cancelRetry = clock.setTimer(retryAtMs, () => {
      this.#stopped = null
      this.#begin('resumed')
    })
    if (this.#isTold) return
    this.#isTold = true
    this.#host.emit({ type: 'recording_stopped', reason, message, retryAtMs })
  }
}

/** It becomes JSON at once: so what waits is small, and the bytes of what is not are counted. */
function isLong(event: EngineEvent): boolean {
  switch (event.type) {
    case 'debt_changed':
      return event.debt.queue.length > LONG_ITEMS
    case 'penalties_changed':
      return event.penalties.length > LONG_ITEMS
    case 'segment_bytes':
      return event.changes.length > LONG_ITEMS
    case 'gc_run':
      return event.report.segmentsTotal > LONG_ITEMS
    case 'pass_done':
      return event.report.storeBefore.segments > LONG_ITEMS
    default:
      return event.type === 'pass_stopped'
  }
}

/** With what may be gathered already, a block of it could not be read back. */
function isTooLarge(text: string): boolean {
  // A character is three bytes at most; counting them is for the few that may matter.
  if (text.length < RAW_BYTES_MAX / 4) return false
  return Buffer.byteLength(text) > RAW_BYTES_MAX - 4 * BLOCK_BYTES
}

const NOTHING_ELSE = { closes: false, latency: 'none', firstPassId: 0, lastPassId: 0 } as const

interface Pending {
  texts: string[]
  bytes: number
  facts: BlockFacts | null
}

function nothingYet(): Pending {
  return { texts: [], bytes: 0, facts: null }
}

function factsOf({ seq, atMs }: EngineEvent): BlockFacts {
  const moment = { firstSeq: seq, lastSeq: seq, firstAtMs: atMs, lastAtMs: atMs }
  return { kind: 'events', count: 0, ...NOTHING_ELSE, ...moment }
}

/** In place: this is the hot path of an emitting turn. */
function include(facts: BlockFacts, { seq, atMs, passId, type }: EngineEvent): void {
  facts.count++
  facts.lastSeq = seq
  facts.lastAtMs = atMs
  if (type === 'foreground_latency') facts.latency = 'some'
  if (passId === null) return
  if (facts.firstPassId === 0) facts.firstPassId = passId
  facts.lastPassId = Math.max(facts.lastPassId, passId)
}

/** JSON of a state, some segments a step. */
function* stateText(state: EngineState): Generator<void, string> {
  const { segments, ...rest } = state
  const texts: string[] = []
  for (let at = 0; at < segments.length; at += SEGMENTS_A_STEP) {
    texts.push(JSON.stringify(segments.slice(at, at + SEGMENTS_A_STEP)).slice(1, -1))
    yield
  }
  return `{"segments":[${texts.join(',')}],${JSON.stringify(rest).slice(1)}`
}

async function sliced<T>(steps: Generator<void, T>, slicer: Slicer): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (slicer.due) await slicer.pause()
  }
}
