/** Rules of the engine about what goes on behind a failure, and what a power cut may leave of a batch. */
import type { PutBack } from './put-back.ts'

const FAILED = 'test/engine/failed-checkpoint.test.ts'
const EVENTS = 'test/engine/events.test.ts'
const LIMITS = 'test/engine/format/limits.test.ts'
const CUT = 'test/engine/batch-power-cut.test.ts'

export const FAILURES: readonly PutBack[] = [
  {
    id: 'failure-ends-checkpoints',
    defect: 'a checkpoint behind a failed one deletes the journal of writes that neither published',
    edits: [
      {
        file: 'engine/checkpoint.ts',
        find: '    if (this.#stopped !== null) throw this.#stopped.reason\n',
        replace: '',
      },
      {
        file: 'engine/key-space.ts',
        find: "    assert(this.#frozen === null, 'what was frozen is published before more is')\n",
        replace: '    if (this.#frozen !== null) return this.#frozen\n',
      },
    ],
    test: { file: FAILED, name: 'leaves every acknowledged write' },
  },
  {
    id: 'failure-ends-checkpoints',
    defect: 'a checkpoint publishes what a failed batch left in the memtable',
    edits: [
      {
        file: 'engine/engine.ts',
        find: '    this.#store.checkpointer.stop(error)\n',
        replace: '',
      },
    ],
    test: { file: FAILED, name: 'publishes no half of it' },
  },
  {
    id: 'journals-go-oldest-first',
    defect: 'a journal file that could not be deleted is forgotten, and newer ones go',
    edits: [
      {
        file: 'engine/commit-log/journal.ts',
        find: '      await removeIfPresent(this.#fileSystem, file)\n',
        replace: '      this.#old.shift()\n      await removeIfPresent(this.#fileSystem, file)\n',
      },
      {
        file: 'engine/commit-log/journal.ts',
        find: '      await this.#fileSystem.syncFolder(this.#folder)\n      this.#old.shift()\n',
        replace: '      await this.#fileSystem.syncFolder(this.#folder)\n',
      },
    ],
    test: { file: FAILED, name: 'knows it, and deletes it before newer ones' },
  },
  {
    id: 'batches-synced-before-moves',
    defect: 'a moved value outlives a power cut that the batch it is from does not',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: '    await parts.syncJournaled()\n',
        replace: '',
      },
    ],
    test: { file: CUT, name: 'a batch whose values a rewrite moves stays whole' },
  },
  {
    id: 'batches-synced-before-moves',
    defect: 'moves outlive a power cut that the journal before them does not',
    edits: [
      {
        file: 'engine/engine.ts',
        find: 'if (store.journal !== null) await this.#groupCommit.commit()',
        replace: 'await store.valueLog.sync()',
      },
    ],
    test: { file: CUT, name: 'a batch in a journal before the one that has its moves stays whole' },
  },
  {
    id: 'listeners-may-write',
    defect: 'a put from a listener goes into the segment that is just being sealed',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: '    if (this.#foreground === segment) this.#foreground = null\n',
        replace: '',
      },
      {
        file: 'engine/value-log/value-log.ts',
        find: '    this.set.seal(segment)\n  }\n\n  // ',
        replace:
          '    this.set.seal(segment)\n    if (this.#foreground === segment) this.#foreground = null\n  }\n\n  // ',
      },
    ],
    test: { file: EVENTS, name: 'a put from a listener is a put like any other' },
  },
  {
    id: 'listeners-may-write',
    defect: 'a put from a listener makes a second foreground segment, which nobody seals',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: '        this.#foreground = created\n        this.set.add(created)\n',
        replace: '        this.set.add(created)\n        this.#foreground = created\n',
      },
    ],
    test: {
      file: EVENTS,
      name: 'a put from a listener is a put like any other',
    },
  },
  {
    id: 'no-batch-too-large-to-read',
    defect: 'the journal takes a batch that no opening reads',
    edits: [
      {
        file: 'engine/commit-log/journal.ts',
        find: '    checkBatchBytes(bytes)\n',
        replace: '',
      },
    ],
    test: { file: LIMITS, name: 'batches: the journal writes none that it would not read' },
  },
  {
    id: 'no-batch-too-large-to-read',
    defect: 'a batch that no opening reads is refused when part of it is written',
    edits: [
      {
        file: 'engine/write-limits.ts',
        find: '  checkBatchBytes(journalBytes)\n',
        replace: '',
      },
    ],
    test: {
      file: LIMITS,
      name: 'batches: one that no opening would read is refused before anything of it is written',
    },
  },
  {
    id: 'no-batch-too-large-to-read',
    defect: 'a rewrite swaps as many pointers in a turn as asked, however large their batch',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: 'Math.min(BATCH_MOVES_MAX, orElse(request.batchRecords, BATCH_RECORDS))',
        replace: 'Math.max(0 * BATCH_MOVES_MAX, orElse(request.batchRecords, BATCH_RECORDS))',
      },
    ],
    test: {
      file: 'test/engine/maintenance/rewrite-options.test.ts',
      name: 'swaps no more in a turn than one batch of the journal takes, whatever is asked',
    },
  },
]
