import { loadPeer, type Adapter, type PeerStore, type Sync } from '../store.ts'

type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

interface Iterator {
  nextv(size: number): Promise<[Buffer, Buffer][]>
  close(): Promise<void>
}

interface Level {
  open(): Promise<void>
  close(): Promise<void>
  getSync(key: Buffer): Buffer | undefined
  batch(operations: Operation[], options: { sync: boolean }): Promise<void>
  iterator(): Iterator
  compactRange(start: Buffer, end: Buffer): Promise<void>
}

interface Module {
  ClassicLevel: new (dir: string, options: object) => Level
}

const MIB = 1024 * 1024

class LevelStore implements PeerStore {
  readonly #db: Level
  readonly #sync: boolean

  constructor(db: Level, sync: Sync) {
    this.#db = db
    this.#sync = sync === 'batch'
  }

  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): Promise<void> {
    const operations = keys.map((key, i): Operation => {
      return { type: 'put', key, value: values[i] as Buffer }
    })
    return this.#db.batch(operations, { sync: this.#sync })
  }

  get(key: Buffer): Buffer | undefined {
    return this.#db.getSync(key)
  }

  deleteBatch(keys: readonly Buffer[]): Promise<void> {
    return this.#db.batch(
      keys.map((key) => ({ type: 'del', key })),
      { sync: this.#sync },
    )
  }

  async scan(visit: (key: Uint8Array, value: Uint8Array) => void): Promise<void> {
    const iterator = this.#db.iterator()
    for (;;) {
      const entries = await iterator.nextv(1000)
      if (entries.length === 0) break
      for (const [key, value] of entries) visit(key, value)
    }
    await iterator.close()
  }

  maintain(): Promise<void> {
    return this.#db.compactRange(Buffer.alloc(16, 0), Buffer.alloc(17, 0xff))
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

export const classicLevel: Adapter = {
  name: 'classic-level',
  settings: {
    none: '64 MiB write buffer, 64 MiB cache',
    batch: '64 MiB write buffer, 64 MiB cache, sync: true',
  },
  async open({ dir, sync }) {
    const { ClassicLevel } = loadPeer('classic-level') as Module
    const db = new ClassicLevel(dir, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      writeBufferSize: 64 * MIB,
      cacheSize: 64 * MIB,
    })
    await db.open()
    return new LevelStore(db, sync)
  },
}
