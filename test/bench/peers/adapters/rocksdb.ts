import { loadPeer, type Adapter, type PeerStore, type Sync } from '../store.ts'

type Done<T> = (error: Error | null | undefined, result?: T) => void

type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

interface Iterator {
  next(done: (error: Error | null, key?: Buffer, value?: Buffer) => void): void
  end(done: Done<void>): void
}

interface Rocks {
  open(options: object, done: Done<void>): void
  close(done: Done<void>): void
  get(key: Buffer, options: object, done: Done<Buffer>): void
  batch(operations: Operation[], options: { sync: boolean }, done: Done<void>): void
  iterator(options: object): Iterator
  compactRange(start: Buffer, end: Buffer, done: Done<void>): void
}

type Module = (dir: string) => Rocks

function called<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error) reject(error)
      else resolve(result as T)
    })
  })
}

class RocksStore implements PeerStore {
  readonly #db: Rocks
  readonly #sync: boolean

  constructor(db: Rocks, sync: Sync) {
    this.#db = db
    this.#sync = sync === 'batch'
  }

  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): Promise<void> {
    const operations = keys.map((key, i): Operation => {
      return { type: 'put', key, value: values[i] as Buffer }
    })
    return called((done) => this.#db.batch(operations, { sync: this.#sync }, done))
  }

  /** There is no synchronous one. */
  get(key: Buffer): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      this.#db.get(key, { asBuffer: true }, (error, value) => {
        if (error && !/not ?found/i.test(error.message)) reject(error)
        else resolve(value)
      })
    })
  }

  deleteBatch(keys: readonly Buffer[]): Promise<void> {
    const operations = keys.map((key): Operation => ({ type: 'del', key }))
    return called((done) => this.#db.batch(operations, { sync: this.#sync }, done))
  }

  async scan(visit: (key: Uint8Array, value: Uint8Array) => void): Promise<void> {
    const iterator = this.#db.iterator({ keyAsBuffer: true, valueAsBuffer: true })
    await new Promise<void>((resolve, reject) => {
      const step = (): void => {
        iterator.next((error, key, value) => {
          if (error) reject(error)
          else if (key === undefined || value === undefined) resolve()
          else {
            visit(key, value)
            step()
          }
        })
      }
      step()
    })
    await called<void>((done) => {
      iterator.end(done)
    })
  }

  maintain(): Promise<void> {
    return called((done) =>
      this.#db.compactRange(Buffer.alloc(16, 0), Buffer.alloc(17, 0xff), done),
    )
  }

  close(): Promise<void> {
    return called((done) => this.#db.close(done))
  }
}

export const rocksdb: Adapter = {
  name: 'rocksdb',
  settings: {
    none: '64 MiB write buffer, 64 MiB cache',
    batch: '64 MiB write buffer, 64 MiB cache, sync: true',
  },
  async open({ dir, sync }) {
    const open = loadPeer('rocksdb') as Module
    const db = open(dir)
    const options = { writeBufferSize: 64 * 1024 ** 2, cacheSize: 64 * 1024 ** 2 }
    await called<void>((done) => {
      db.open(options, done)
    })
    return new RocksStore(db, sync)
  },
}
