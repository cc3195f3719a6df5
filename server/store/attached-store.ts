/**
 * A folder that is only read: one reading at a time, taken without a lock and without a write of
 * any kind. It has no events; reading again starts a new stream.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import * as path from 'node:path'
import {
  absentStatsOf,
  findIndex,
  folderStatsOf,
  inspectFolder,
  nodeFileSystem,
} from '../engine-door.ts'
import type { FolderReading } from '../engine-door.ts'
import type { EngineGauges, StoreSnapshot } from '../protocol.ts'
import { figuresOf } from './figures.ts'
import type { RequestHandlers, WorkerInit, WorkerMessage } from './worker-contract.ts'

/** What is kept of a reading: its report in upstream's words is not shown here. */
type Reading = Pick<FolderReading, 'state' | 'info' | 'attachment'>

const wallMs = Date.now

export class AttachedStore {
  readonly handlers: RequestHandlers<
    'snapshot' | 'passes' | 'figures' | 'stats' | 'reread' | 'close'
  >
  readonly #post: (message: WorkerMessage) => void
  #reading: Reading

  /** Posts `opened` after the first reading. */
  static async open(
    init: WorkerInit,
    post: (message: WorkerMessage) => void,
  ): Promise<AttachedStore> {
    return new AttachedStore(init.dir, post, await read(init.dir))
  }

  private constructor(dir: string, post: (message: WorkerMessage) => void, reading: Reading) {
    this.#post = post
    this.#reading = reading
    this.handlers = {
      snapshot: () => {
        const { state, attachment } = this.#reading
        const gauges = folderGauges(dir, attachment.readAtMs)
        const { liveBytesUnknown } = attachment
        const snapshot: StoreSnapshot = { state, liveBytesUnknown, gauges, workload: null }
        return { seq: 0, snapshotJson: JSON.stringify(snapshot), passesJson: '[]' }
      },
      passes: () => ({ bodyJson: '{"passes":[]}' }),
      figures: () => {
        const { state, attachment } = this.#reading
        const gauges = folderGauges(dir, attachment.readAtMs)
        return figuresOf(state, gauges, [], attachment.liveBytesUnknown === null)
      },
      stats: () => {
        const { state, attachment } = this.#reading
        const { readAtMs, liveBytesUnknown } = attachment
        const stats = folderStatsOf(state, readAtMs, { liveBytesKnown: liveBytesUnknown === null })
        const absent = absentStatsOf(stats, 'folder', liveBytesUnknown)
        return { atMs: readAtMs, stats, absent }
      },
      reread: async () => {
        this.#reading = await read(dir)
        this.#announce()
        return { attachment: this.#reading.attachment }
      },
      close: () => ({}),
    }
    this.#announce()
  }

  #announce(): void {
    const { info, attachment } = this.#reading
    this.#post({ kind: 'opened', seq: 0, engine: info, attachment })
  }
}

async function read(dir: string): Promise<Reading> {
  const { state, info, attachment } = await inspectFolder(dir, {
    fileSystem: nodeFileSystem,
    yieldNow,
    nowMs: wallMs(),
    monotonic: () => performance.now(),
  })
  return { state, info, attachment }
}

/** Nothing runs here, so the counts are truly zero; the sizes are those of the files. */
function folderGauges(dir: string, readAtMs: number): EngineGauges {
  const index = findIndex(nodeFileSystem, dir)
  const journal = index === undefined ? undefined : path.join(path.dirname(index), 'wal')
  return {
    nowMs: readAtMs,
    clockOffsetMs: 0,
    clockFrozen: false,
    puts: 0,
    deletes: 0,
    gets: 0,
    bytesPut: 0,
    memtableEntries: 0,
    memtableBytes: 0,
    journalBytes: journal === undefined ? 0 : journalBytes(journal),
    indexFileBytes: index === undefined ? 0 : (nodeFileSystem.stat(index)?.size ?? 0),
    lastWriteAtMs: null,
    lastReadAtMs: null,
  }
}

function journalBytes(folder: string): number {
  let bytes = 0
  for (const name of nodeFileSystem.list(folder) ?? []) {
    if (/^commit-l\d+-\d+\.log$/.test(name)) {
      bytes += nodeFileSystem.stat(path.join(folder, name))?.size ?? 0
    }
  }
  return bytes
}
