import type { Adapter } from '../store.ts'
import { betterSqlite3 } from './better-sqlite3.ts'
import { classicLevel } from './classic-level.ts'
import { lmdb } from './lmdb.ts'
import { restageFast, restageWal } from './restage.ts'
import { rocksdb } from './rocksdb.ts'

export const OWN = [restageWal, restageFast].map((adapter) => adapter.name)

export const ADAPTERS: readonly Adapter[] = [
  restageWal,
  restageFast,
  classicLevel,
  lmdb,
  betterSqlite3,
  rocksdb,
]
