/**
 * What the runner asks of every store it compares. One adapter each in `adapters/`; the peers are
 * loaded from this folder's own `node_modules`, so the program itself never needs them.
 */
import { createRequire } from 'node:module'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

/** How much an acknowledged batch promises: handed to the system, or on disk. */
export type Sync = 'none' | 'batch'

export interface OpenOptions {
  dir: string
  sync: Sync
}

export interface PeerStore {
  /** All or nothing; the buffers may be reused when it resolves. */
  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): Promise<void> | void
  get(key: Buffer): Promise<Uint8Array | undefined> | Uint8Array | undefined
  deleteBatch(keys: readonly Buffer[]): Promise<void> | void
  /** Every entry in key order. */
  scan(visit: (key: Uint8Array, value: Uint8Array) => void): Promise<void> | void
  /** Gives disk back while open, as far as the store does that: compaction, vacuum, maintenance. */
  maintain(): Promise<void> | void
  close(): Promise<void> | void
}

/** What is left after shrinking. */
export interface Shrunk {
  /** Of the disk bytes those of the index; the rest holds values. */
  indexBytes: number
}

export interface Adapter {
  name: string
  /** Settings that differ from the store's defaults, for the report. */
  settings: Record<Sync, string>
  open(options: OpenOptions): Promise<PeerStore> | PeerStore
  /** Gives back disk in a closed store's folder; absent where `maintain` is all there is. */
  shrink?(dir: string): Promise<Shrunk>
}

/** This folder in the checkout: what runs is a compiled copy below `dist/`. */
export const PEERS_FOLDER = path.join(
  fileURLToPath(new URL('../../../..', import.meta.url)),
  'test/bench/peers',
)

/** A peer's module. Its shape is the adapter's to state; the root of the tree has no types for it. */
export const loadPeer: (name: string) => unknown = createRequire(
  path.join(PEERS_FOLDER, 'package.json'),
)
