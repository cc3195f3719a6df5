/** Rules of an opening that no finding names: what it may take from a folder, and what it must tell. */
import type { PutBack } from './put-back.ts'

const LANES = 'test/engine/foreign-journal.test.ts'
const DAMAGE = 'test/engine/damaged-opening.test.ts'

export const RECOVERY: readonly PutBack[] = [
  {
    id: 'newest-readable-root',
    defect: 'damage deep in the newest tree brings back an older one, which then takes its place',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'const accounted = await accountTrees(candidate.meta, accounting)',
        replace:
          'const accounted = await accountTrees(candidate.meta, accounting).catch(() =>\n' +
          '    accountTrees((candidates[1] ?? candidate).meta, accounting))',
      },
    ],
    test: { file: DAMAGE, name: 'a damaged leaf of the newer one fails the opening' },
  },
  {
    id: 'last-word-outlives',
    defect: 'a kill between the deletions of two lanes leaves an older batch to be replayed alone',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'if (journals.interleaved) {',
        replace: 'if (journals.interleaved && journals.nextSeq < 0) {',
      },
    ],
    test: {
      file: LANES,
      name: 'killed before any call of its replay, is replayed to the same values',
    },
  },
  {
    id: 'sound-behind-damage',
    defect:
      'one damaged record hides the sound ones behind it, and the journal that names them goes',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'if (damaged.isHole) return',
        replace: 'if (Number(damaged.start) >= 0) return',
      },
    ],
    test: {
      file: DAMAGE,
      name: 'flipped in its header or value: the others are there or the folder is refused',
    },
  },
  {
    id: 'sound-behind-damage',
    defect:
      'a wrong length makes a record look like a torn tail, and hides the sound ones behind it',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'if (found === undefined) continue',
        replace: 'if (found !== null) continue',
      },
    ],
    test: {
      file: DAMAGE,
      name: 'flipped in its header or value: the others are there or the folder is refused',
    },
  },
  {
    id: 'lost-ids-stay-lost',
    defect:
      'a replay gives a value the record id that a batch has lost, and brings that batch back',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'const next = places.highest < free ? free : places.highest + 1n',
        replace: 'const next = places.highest < 0n ? places.highest : free',
      },
    ],
    test: { file: LANES, name: 'a record id that a batch has lost is not given to a value' },
  },
  {
    id: 'whole-segments-are-not-cut',
    defect: 'a sealed segment that became shorter loses what the journal names, without a word',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'if (segment.isWhole) {',
        replace: 'if (segment.isWhole && at < 0) {',
      },
    ],
    test: { file: DAMAGE, name: 'a sealed segment that was whole on disk and is shorter now is' },
  },
  {
    id: 'hidden-records-by-header',
    defect: 'looking for hidden records reads each place at which a header seems to begin',
    edits: [
      {
        file: 'engine/value-log/damaged-record.ts',
        find: 'return isGrouped ? rid === 0n : ids.has(rid)',
        replace: 'return isGrouped || rid >= 0n || ids.has(rid)',
      },
    ],
    test: { file: DAMAGE, name: 'looking for records behind a cut one reads what may be one' },
  },
]
