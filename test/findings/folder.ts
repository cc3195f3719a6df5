/** Rules of a folder that others write, too: who has it, and what segments of any size and shape cost. */
import type { PutBack } from './put-back.ts'

const LIFE = 'test/engine/lifecycle.test.ts'
const SEGMENT_KEYS = 'test/engine/segment-keys.test.ts'
const LOCK = 'test/engine/lock.test.ts'

export const FOLDER: readonly PutBack[] = [
  {
    id: 'one-writer',
    defect: 'a folder that somebody has open is opened for writing',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: 'if (!tookLock(locks, fd)) {',
        replace: 'if (!tookLock(locks, fd) && fd < 0) {',
      },
      {
        file: 'engine/file-system.ts',
        find: 'const other = HAS_TWO_LOCKS ? otherEngine(fd) : undefined',
        replace: 'const other = HAS_TWO_LOCKS && fd < 0 ? otherEngine(fd) : undefined',
      },
    ],
    test: { file: LIFE, name: 'a second opener is refused with the holder named' },
  },
  {
    id: 'far-records-keep-their-rows',
    defect:
      'places beyond 4 GiB are sorted by rounded numbers: a rewrite copies some values twice, others never',
    edits: [
      {
        file: 'engine/value-log/live-records.ts',
        find: '(this.#offsetMax + 1) * span > Number.MAX_SAFE_INTEGER',
        replace: 'this.count > 2 ** 21',
      },
    ],
    test: { file: SEGMENT_KEYS, name: 'each comes once and in order from byte' },
  },
  {
    id: 'live-bytes-go-once',
    defect: 'a record that goes twice hides one that lives, and its segment is deleted',
    edits: [
      {
        file: 'engine/value-log/segment.ts',
        find: 'if (this.#liveSum !== 0) {',
        replace: 'if (this.bytesLive !== 0) {',
      },
    ],
    test: { file: SEGMENT_KEYS, name: 'does not come to nothing by records' },
  },
  {
    id: 'far-pointers-read',
    defect: 'an inspection takes pointers beyond 4 GiB for impossible',
    edits: [
      {
        file: 'engine/inspect/references.ts',
        find: 'const START_MAX = 2 ** 44 - 1',
        replace: 'const START_MAX = 2 ** 32 - 1',
      },
    ],
    test: {
      file: 'test/engine/maintenance/far-segment.test.ts',
      name: 'is read, and counted like any other',
    },
  },
  {
    id: 'upstream-locked-out',
    defect:
      'upstream opens a folder that is open here: its lock and this one do not see each other',
    edits: [
      {
        file: 'engine/flock.ts',
        find: "['-n', '-x', '3']",
        replace: "['-n', '-u', '3']",
      },
    ],
    test: { file: LOCK, name: 'is kept out as long as a store is open here' },
  },
  {
    id: 'upstream-not-robbed',
    defect: 'a folder is opened, and its journal deleted, while upstream has it',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: 'const other = HAS_TWO_LOCKS ? otherEngine(fd) : undefined',
        replace: 'const other = fd < 0 ? otherEngine(fd) : undefined',
      },
    ],
    test: {
      file: LOCK,
      name: 'that has the folder keeps it, is named, and finds its folder as it was',
    },
  },
  {
    id: 'upstream-seen-without-the-tool',
    defect: 'where no tool asks for the lock of upstream, a folder is opened while upstream has it',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: "if (answer === 'unknown' && holder === undefined) return undefined",
        replace: "if (answer === 'unknown') return undefined",
      },
    ],
    test: { file: LOCK, name: 'is seen while it runs where there is no tool to lock it out' },
  },
  {
    id: 'key-list-in-proportion',
    defect: 'long keys with short values make a list in memory of many times the segment',
    edits: [
      {
        file: 'engine/value-log/segment.ts',
        find: 'this.keys.bytesWith(keyBytes) > this.#keyListMax',
        replace: 'this.keys.bytesWith(keyBytes) < 0',
      },
    ],
    test: { file: SEGMENT_KEYS, name: 'that are few and written over and over take no memory' },
  },
  {
    id: 'links-refused',
    defect: 'a link in the place of a file is followed',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: 'const NOT_AROUND = fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK',
        replace: 'const NOT_AROUND = fs.constants.O_NONBLOCK',
      },
    ],
    test: { file: LIFE, name: 'never writes through a LOCK that is a link' },
  },
]
