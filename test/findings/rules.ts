/** Rules of the engine that no finding names: what is durable when, what may go, what must not be believed. */
import type { PutBack } from './put-back.ts'

const POWER = 'test/engine/power-cut.test.ts'
const PINS = 'test/engine/pins-and-gc.test.ts'
const LIFE = 'test/engine/lifecycle.test.ts'
const DURABLE_LIFE = 'before any sync of a durable life keeps what was acknowledged'
const NAMED_EARLY = 'meets no meta page that names a page or a value which is not on disk yet'

export const RULES: readonly PutBack[] = [
  {
    id: 'index-synced-before-meta',
    defect: 'a meta page names pages that are not on disk yet',
    edits: [{ file: 'engine/checkpoint.ts', find: '    await pages.file.sync()\n', replace: '' }],
    test: { file: POWER, name: NAMED_EARLY },
  },
  {
    id: 'values-synced-before-meta',
    defect: 'a tree becomes durable before the values that it names',
    edits: [{ file: 'engine/checkpoint.ts', find: '    await valueLog.sync()\n', replace: '' }],
    test: { file: POWER, name: NAMED_EARLY },
  },
  {
    id: 'meta-synced',
    defect: 'the journal goes before the meta pages are on disk',
    edits: [
      {
        file: 'engine/index/meta-pages.ts',
        find: '      await this.#file.sync()\n',
        replace: '',
      },
    ],
    test: { file: POWER, name: DURABLE_LIFE },
  },
  {
    id: 'folder-synced',
    defect: 'a new segment has no durable name',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: '    await this.#options.fileSystem.syncFolder(this.#options.folder)\n',
        replace: '',
      },
    ],
    test: { file: POWER, name: DURABLE_LIFE },
  },
  {
    id: 'replaced-file-synced',
    defect: 'a replaced file may be empty after a power cut',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: '    await handle.sync()\n  } finally',
        replace: '  } finally',
      },
    ],
    test: { file: POWER, name: DURABLE_LIFE },
  },
  {
    id: 'output-synced-before-swap',
    defect: 'pointers to a copy show before the copy is on disk',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: '    await before?.done\n',
        replace: '',
      },
    ],
    test: {
      file: 'test/engine/maintenance/rewrite.test.ts',
      name: 'pieces are synced one at a time, and no pointer to a piece shows before its sync',
    },
  },
  {
    id: 'both-metas-before-unlink',
    defect: 'a segment goes as soon as the newest meta page does not name it',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: 'if (generation < segment.deadSinceGeneration) {',
        replace:
          'if (Math.max(...this.#recoverable.metaGenerations) < segment.deadSinceGeneration && generation < 0) {',
      },
    ],
    test: { file: PINS, name: 'an old root keeps a dead segment until both meta pages moved on' },
  },
  {
    id: 'both-metas-published',
    defect: 'a checkpoint writes one meta page; the other names an older tree',
    edits: [
      {
        file: 'engine/index/meta-pages.ts',
        find: 'for (let i = 0; i < 2; i++) {',
        replace: 'for (let i = 0; i < 1; i++) {',
      },
    ],
    test: { file: PINS, name: 'both meta pages name one tree after a checkpoint' },
  },
  {
    id: 'journal-keeps-segments',
    defect: 'a segment goes that the journal names',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: 'if (journal !== null && journal <= segment.deadSinceGeneration)',
        replace: 'if (journal !== null && journal < 0)',
      },
    ],
    test: { file: PINS, name: 'the journal keeps a segment that its batches name' },
  },
  {
    id: 'batch-is-whole',
    defect: 'a batch of which one value is lost is replayed by half',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'if (pointer === undefined) complete = false',
        replace: 'if (pointer === undefined) complete = true',
      },
    ],
    test: { file: LIFE, name: 'a batch of which one value is not in the log is left out whole' },
  },
  {
    id: 'failed-sync-is-final',
    defect: 'after a failed sync the next one is believed',
    edits: [
      {
        file: 'engine/group-commit.ts',
        find: 'if (this.#failure === null) await (this.#syncing = this.#sync())',
        replace: 'this.#failure = null\n        await (this.#syncing = this.#sync())',
      },
    ],
    test: { file: LIFE, name: 'answers nobody any more, although the next sync succeeds' },
  },
  {
    id: 'debt-saved-before-told',
    defect: 'debt changes in memory before it is saved',
    edits: [
      {
        file: 'engine/maintenance/memory.ts',
        find: 'await this.#host.saveState(encodeState(debt, this.#penalties, extras))\n    this.#debt = debt',
        replace:
          'this.#debt = debt\n    await this.#host.saveState(encodeState(debt, this.#penalties, extras))',
      },
    ],
    test: {
      file: 'test/engine/maintenance/pass.test.ts',
      name: 'a state file that cannot be written leaves memory as it was',
    },
  },
  {
    id: 'torn-state-file',
    defect: 'a torn state file is taken for none, without a word',
    edits: [
      {
        file: 'engine/maintenance/state-file.ts',
        find: 'return empty(`the state file is not JSON (${why}); ${text.length} characters were dropped`)',
        replace: 'return empty(why === "" ? why : null)',
      },
    ],
    test: {
      file: 'test/engine/maintenance/scheduler.test.ts',
      name: 'a torn state file is said and then empty',
    },
  },
  {
    id: 'restaged-after-the-work',
    defect: 'the delay of restaged debt begins before the rewrite',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'const debt = stage(memory.debt, host.clock.now(), {',
        replace: 'const debt = stage(memory.debt, pass.startedAtMs, {',
      },
    ],
    test: {
      file: 'test/engine/maintenance/pass.test.ts',
      name: 'M2: a kick rewrites one queued segment and restages the rest after rewrite and GC',
    },
  },
  {
    id: 'empty-budget-waits',
    defect: 'an empty budget is passed on as "no limit"',
    edits: [
      {
        file: 'engine/maintenance/budget.ts',
        find: 'return bucket !== null && bucket.tokensBytes <= 0',
        replace: 'return bucket !== null && bucket.tokensBytes < 0',
      },
    ],
    test: {
      file: 'test/engine/maintenance/sources.test.ts',
      name: 'empty means wait: nothing is planned, nothing queued is run',
    },
  },
  {
    id: 'recording-harms-nobody',
    defect: 'an error of the recording is not caught where it arises',
    edits: [
      {
        file: 'engine/recording/recorder.ts',
        find: "if (work.kind === 'events') this.#loseWork(work)\n        this.#stop(error)",
        replace: "if (work.kind === 'events') this.#loseWork(work)\n        throw error",
      },
    ],
    test: {
      file: 'test/engine/recording.test.ts',
      name: 'is given up to a full disk and taken up again, and the store does not notice',
    },
  },
  {
    id: 'attached-writes-nothing',
    defect: 'reading a folder takes its lock',
    edits: [
      {
        file: 'engine/inspect.ts',
        find: 'const folder = mapFolder(root, scope)',
        replace:
          "scope.fileSystem.lock(path.join(root, 'maindb', 'LOCK')).release()\n  const folder = mapFolder(root, scope)",
      },
    ],
    test: {
      file: 'test/server/store.test.ts',
      name: 'leaves the folder as it is, down to the times of its files',
    },
  },
]
