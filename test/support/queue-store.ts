/**
 * A real store for upstream's scheduler scenarios (its `openRewriteQueueTestDB`): sealed segments of which
 * exactly so many records live, a clock that only the test moves, and files that can be made to wait or to
 * fail. Everything below the scheduler is the engine itself.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect } from 'vitest'
import type { EngineOptions } from '../../engine/api.ts'
import type { FileSystem, OpenFile } from '../../engine/file-system.ts'
import { entryOf } from '../../engine/maintenance/ledger.ts'
import type { LedgerEntry, PassSource, SegmentId, SegmentInfo } from '../../engine/types.ts'
import {
  bytesEqual,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
  type Fixture,
} from './engine-fixture.ts'

/** What the log adds to a value. */
const RECORD_HEADER_BYTES = 20
export const MIB = 1024 * 1024

/** How the segments of a store are filled: `live[n]` of `records` records of each live. */
export interface Shape {
  live: readonly number[]
  records?: number
  recordBytes?: number
  /** How long ago all that was when it is done: by default quiet and old enough for every filter. */
  agoMs?: number
}

/** What the disk does next. Each is over after it was met once, but a `hold`, which lasts until it is let go. */
interface Disk {
  /** Files that it is about wait at their next sync. */
  hold: { isAbout: (file: string) => boolean; reached: boolean; released: Promise<void> } | null
  /** Before the next sync of a file with this text. */
  beforeSync: { text: string; run: () => void | Promise<void> } | null
  /** Before the next read of a file with this text. */
  beforeRead: { text: string; run: () => void } | null
}

/** What happens at the next place where long work gives the thread back. */
interface Yields {
  next: (() => Promise<void>) | null
}

export class QueueStore {
  readonly fixture: Fixture
  /** The sealed segments, in the order they were filled. */
  readonly ids: SegmentId[] = []
  readonly #disk: Disk
  readonly #yields: Yields
  readonly #expected = new Map<number, Uint8Array | undefined>()
  #nextKey = 0

  private constructor(fixture: Fixture, disk: Disk, yields: Yields) {
    this.fixture = fixture
    this.#disk = disk
    this.#yields = yields
  }

  static async open(
    options: EngineOptions = {},
    where: { dir?: string; clock?: Fixture['clock'] } = {},
  ): Promise<QueueStore> {
    const disk: Disk = { hold: null, beforeSync: null, beforeRead: null }
    const yields: Yields = { next: null }
    const fixture = await openFixture(
      {
        profile: 'fast',
        inlineThreshold: 0,
        segmentBytes: 4096,
        recording: 'off',
        ...options,
        maintenance: { triggerTotalBytes: 0, ...options.maintenance },
      },
      {
        dir: memoryFolder(),
        ...where,
        fileSystem: watched(disk),
        yieldNow: async () => {
          const { next } = yields
          yields.next = null
          await next?.()
          await yieldNow()
        },
      },
    )
    return new QueueStore(fixture, disk, yields)
  }

  get engine(): Fixture['engine'] {
    return this.fixture.engine
  }

  get clock(): Fixture['clock'] {
    return this.fixture.clock
  }

  /** Fills, deletes down to what lives, and checkpoints; answers with the keys of the first records. */
  async fill(shape: Shape): Promise<number[]> {
    const { live, records = 16, recordBytes = 4096 / records, agoMs = 60_000 } = shape
    const { engine, clock } = this.fixture
    const before = engine.state().segments
    const known = new Set(before.map((s) => s.segmentId))
    // What is written now is filled up and none of them.
    const active = before.find((s) => s.state === 'active')
    for (let left = 4096 - (active?.bytesTotal ?? 4096); left >= recordBytes; left -= recordBytes) {
      await this.put(recordBytes)
    }
    const from = this.#nextKey
    for (let n = 0; n < live.length * records; n++) await this.put(recordBytes)
    // Seals the last one.
    await this.put(recordBytes)
    for (const [which, keep] of live.entries()) {
      const first = from + which * records
      for (let n = keep; n < records; n++) await this.delete(first + n)
    }
    await engine.checkpoint()
    for (const { segmentId, state } of engine.state().segments) {
      if (state === 'sealed' && !known.has(segmentId)) this.ids.push(segmentId)
    }
    expect(this.ids.slice(-live.length).map((id) => this.at(id).bytesLive)).toEqual(
      live.map((n) => n * recordBytes),
    )
    clock.advance(agoMs)
    return live.map((_, which) => from + which * records)
  }

  /** A record of so many bytes in the log; answers with its key. */
  async put(recordBytes: number): Promise<number> {
    const n = this.#nextKey++
    const bytes = value(n, recordBytes - RECORD_HEADER_BYTES)
    this.#expected.set(n, bytes)
    await this.engine.put(key(n), bytes)
    return n
  }

  async delete(n: number): Promise<void> {
    this.#expected.set(n, undefined)
    await this.engine.delete(key(n))
  }

  /** Of a segment that is there. */
  at(id: SegmentId): SegmentInfo {
    const found = this.engine.state().segments.find((s) => s.segmentId === id)
    if (found === undefined) throw new Error(`no segment ${id}`)
    return found
  }

  has(id: SegmentId): boolean {
    return this.engine.state().segments.some((s) => s.segmentId === id)
  }

  ledger(): LedgerEntry[] {
    return this.ids.map((id) => entryOf(this.at(id)))
  }

  /** All sealed segments, with what they have now; `stagedMsAgo` puts them behind the confirm delay. */
  async queue(
    how: { stagedMsAgo?: number; minStaleRatio?: number | null; ledger?: LedgerEntry[] } = {},
  ): Promise<void> {
    const { stagedMsAgo, minStaleRatio = null, ledger = this.ledger() } = how
    const observedAtMs = this.clock.now() - (stagedMsAgo ?? 0)
    const stage =
      stagedMsAgo === undefined
        ? null
        : { observedAtMs, dueAtMs: observedAtMs + 30_000, minStaleRatio }
    const debt = { queue: ledger.map((e) => e.segmentId), ledger, stage }
    await this.engine.maintenance.setDebt(debt, minStaleRatio)
  }

  /** Sources of each rewrite that began, in order. */
  rewrites(): SegmentId[][] {
    return this.fixture.events.flatMap((e) => (e.type === 'rewrite_exec' ? [e.sourceIds] : []))
  }

  /** Who took the slot, in order. */
  sources(): PassSource[] {
    return this.fixture.events.flatMap((e) =>
      e.type === 'maintenance_active_acquire' ? [e.source] : [],
    )
  }

  counters() {
    return this.engine.state().counters
  }

  scheduler() {
    return this.engine.state().scheduler
  }

  debt() {
    return this.engine.state().debt
  }

  /** Lets everything run that waits for nothing but turns: until no pass runs, or it waits at a hold. */
  async settle(): Promise<void> {
    for (let quiet = 0, last = -1; quiet < 30;) {
      await yieldNow()
      this.engine.flushEvents()
      const busy = this.scheduler().activePass !== null && this.#disk.hold?.reached !== true
      const moved = this.engine.eventSeq !== last
      last = this.engine.eventSeq
      quiet = busy || moved ? 0 : quiet + 1
    }
  }

  /** Moves time in steps and lets passes finish in between. */
  async advance(ms: number, stepMs = 1_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(left, stepMs))
      await this.settle()
    }
  }

  /** The next rewrite waits before its output is on disk; resolves `reached` when it does. */
  holdRewrite(): { reached: () => Promise<void>; release: () => void } {
    const { dir } = this.fixture
    const others = new Set(
      this.engine.state().segments.flatMap((segment) => {
        return segment.origin === 'rewrite' ? [] : [path.join(dir, segment.file)]
      }),
    )
    return this.#hold((file) => file.includes('value-l') && !others.has(file))
  }

  /** The same for the next checkpoint. */
  holdCheckpoint(): { reached: () => Promise<void>; release: () => void } {
    return this.#hold((file) => file.includes('index.db'))
  }

  #hold(isAbout: (file: string) => boolean): { reached: () => Promise<void>; release: () => void } {
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    const hold = { isAbout, reached: false, released }
    this.#disk.hold = hold
    return {
      reached: async () => {
        for (let turn = 0; turn < 10_000 && !hold.reached; turn++) await yieldNow()
        expect(hold.reached, 'nothing came to the hold').toBe(true)
      },
      release: () => {
        if (this.#disk.hold === hold) this.#disk.hold = null
        release()
      },
    }
  }

  /** Before the next rewrite's output is on disk. */
  beforeOutput(run: () => void | Promise<void>): void {
    this.#disk.beforeSync = { text: 'value-l', run }
  }

  beforeStateFile(run: () => void | Promise<void>): void {
    this.#disk.beforeSync = { text: 'vlog_generation_state.json', run }
  }

  /** Before the next rewrite of this segment has copied anything. */
  beforeReadOf(id: SegmentId | undefined, run: () => void): void {
    if (id === undefined) throw new Error('no such segment')
    this.#disk.beforeRead = { text: path.basename(this.at(id).file), run }
  }

  /** In the middle of the next plan. */
  duringPlan(run: () => Promise<void>): void {
    this.#yields.next = run
  }

  /** So long, written to every 25 ms. */
  async written(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 25) {
      this.clock.advance(25)
      await this.put(256)
    }
  }

  /** The values of a segment no longer match their checksums. */
  damage(id: SegmentId): void {
    const file = path.join(this.fixture.dir, this.at(id).file)
    const bytes = fs.readFileSync(file)
    for (let at = 0; at < bytes.length; at++) bytes[at] = (bytes[at] ?? 0) ^ 0x55
    fs.writeFileSync(file, bytes)
  }

  expectWhole(): void {
    for (const [n, bytes] of this.#expected) {
      expect(bytesEqual(this.engine.get(key(n)), bytes), `key ${n}`).toBe(true)
    }
  }

  async close(): Promise<void> {
    await this.engine.close()
  }

  /** The end of a scenario: nothing is lost, and live bytes are what a full scan counts. */
  async end(): Promise<void> {
    this.expectWhole()
    expect((await this.engine.verify()).differences).toEqual([])
    await this.close()
  }
}

function watched(disk: Disk): FileSystem {
  return {
    ...quickFileSystem,
    open: (file, mode) => watchedFile(disk, file, quickFileSystem.open(file, mode)),
  }
}

function watchedFile(disk: Disk, file: string, opened: OpenFile): OpenFile {
  const sync = opened.sync.bind(opened)
  opened.sync = async () => {
    const { hold, beforeSync } = disk
    if (beforeSync !== null && file.includes(beforeSync.text)) {
      disk.beforeSync = null
      await beforeSync.run()
    }
    if (hold?.isAbout(file) === true) {
      hold.reached = true
      await hold.released
    }
    await sync()
  }
  const looked = (): void => {
    const { beforeRead } = disk
    if (beforeRead === null || !file.includes(beforeRead.text)) return
    disk.beforeRead = null
    beforeRead.run()
  }
  const read = opened.read.bind(opened)
  opened.read = (...call) => {
    looked()
    return read(...call)
  }
  const readAside = opened.readAside?.bind(opened)
  if (readAside !== undefined) {
    opened.readAside = (...call) => {
      looked()
      return readAside(...call)
    }
  }
  return opened
}
