import * as path from 'node:path'
import { loadPeer, type Adapter, type PeerStore } from '../store.ts'

interface Database {
  putSync(key: Buffer, value: Buffer): boolean
  removeSync(key: Buffer): boolean
  get(key: Buffer): Buffer | undefined
  getRange(): Iterable<{ key: Buffer; value: Buffer }>
  transactionSync(work: () => void): void
  close(): Promise<void>
}

interface Module {
  open(options: object): Database
}

class LmdbStore implements PeerStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): void {
    this.#db.transactionSync(() => {
      for (let i = 0; i < keys.length; i++) {
        this.#db.putSync(keys[i] as Buffer, values[i] as Buffer)
      }
    })
  }

  get(key: Buffer): Buffer | undefined {
    return this.#db.get(key)
  }

  deleteBatch(keys: readonly Buffer[]): void {
    this.#db.transactionSync(() => {
      for (const key of keys) this.#db.removeSync(key)
    })
  }

  scan(visit: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const { key, value } of this.#db.getRange()) visit(key, value)
  }

  /** Pages are reused by later writes; the file never gets smaller while it is in place. */
  maintain(): void {
    // Nothing that the store offers in place.
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

export const lmdb: Adapter = {
  name: 'lmdb',
  settings: {
    none: 'noSync, one transactionSync a batch',
    batch: 'overlappingSync off, one transactionSync a batch',
  },
  open({ dir, sync }) {
    const { open } = loadPeer('lmdb') as Module
    const db = open({
      path: path.join(dir, 'data.mdb'),
      keyEncoding: 'binary',
      encoding: 'binary',
      mapSize: 8 * 1024 ** 3,
      noSync: sync === 'none',
      overlappingSync: false,
    })
    return new LmdbStore(db)
  },
}
