/** Rules of maintenance that no finding names: what a pass leaves behind, what is told, what is kept over openings. */
import type { PutBack } from './put-back.ts'

const PASS = 'test/engine/maintenance/pass.test.ts'
const CLEANUP = 'test/engine/maintenance/cleanup.test.ts'
const SOURCES = 'test/engine/maintenance/sources.test.ts'

export const MAINTENANCE: readonly PutBack[] = [
  {
    id: 'effective-local-told',
    defect: 'rewrite_effective_local is told only when the log grew all the same',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'if (effect.locallyEffective) {',
        replace: 'if (effect.locallyEffective && effect.growthBytes >= 0) {',
      },
    ],
    test: { file: PASS, name: 'emits the events of a resumed kick in upstream order' },
  },
  {
    id: 'deleted-source-has-its-file',
    defect: 'the state of a source that was deleted names no file',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'exists: segment !== undefined,\n        file,',
        replace: "exists: segment !== undefined,\n        file: segment === undefined ? '' : file,",
      },
    ],
    test: { file: PASS, name: 'emits the events of a resumed kick in upstream order' },
  },
  {
    id: 'failed-plan-told',
    defect: 'a plan that fails is counted and not told',
    edits: [
      {
        file: 'engine/maintenance/pass-plans.ts',
        find: "this.#pass.emit({ type: 'rewrite_plan_failed', ...facts })",
        replace: 'void facts',
      },
    ],
    test: {
      file: SOURCES,
      name: 'a planner that fails is told, counted and not mistaken for an empty plan',
    },
  },
  {
    id: 'age-blocked-one-set',
    defect: 'an age-blocked plan tells the stale bytes of more segments than it counts',
    edits: [
      {
        file: 'engine/maintenance/decide-fresh.ts',
        find: 'staleBytes: bytesStale,',
        replace: 'staleBytes: bytesStale * 0 + plan.ageBlockedBytesStale,',
      },
    ],
    test: {
      file: SOURCES,
      name: 'is told with the segments and the stale bytes of those that only age keeps out',
    },
  },
  {
    id: 'unknown-state-keys-kept',
    defect: 'unknown keys of the state file go with the queue',
    edits: [
      {
        file: 'engine/maintenance/state-file.ts',
        find: 'return { ...NO_EXTRAS, penalties, history, foreign }',
        replace: 'return { ...NO_EXTRAS, penalties, history, foreign: NO_EXTRAS.foreign }',
      },
    ],
    test: {
      file: 'test/engine/maintenance/state-file.test.ts',
      name: 'keeps keys that it does not know while penalties or history keep the file',
    },
  },
  {
    id: 'path-ends-at-a-known-word',
    defect: 'a path in a trace line ends where any word stands alone',
    edits: [
      {
        file: 'engine/trace-parse.ts',
        find: 'const words = endOfEvent(line, blank + 1)\n',
        replace: 'const words = endOfEvent(line, blank + 1) === null ? null : null\n',
      },
    ],
    test: { file: 'test/engine/trace-line.test.ts', name: 'of any name and path gives both back' },
  },
  {
    id: 'unreadable-state-file-opens',
    defect: 'a state file that cannot be read refuses the whole store',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: "this.#memory.update({ state: 'error' }, null)\n      return null",
        replace: 'throw error',
      },
    ],
    test: {
      file: 'test/engine/state-places.test.ts',
      name: 'does not refuse the store when it is',
    },
  },
  {
    id: 'finished-sources-cleaned-up',
    defect:
      'a cancelled or failed later source leaves the finished ones uncollected and unremembered',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: 'if (this.rewritten.length > 0) await this.#cleanUp(of, error)',
        replace: 'if (this.rewritten.length < 0) await this.#cleanUp(of, error)',
      },
    ],
    test: { file: CLEANUP, name: 'are cleaned up when a later one' },
  },
  {
    id: 'cleanup-not-cancelled',
    defect: 'the cleanup of a cancelled pass is cancelled with it',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'const signal = cleanup ? new AbortController().signal : this.signal',
        replace: 'const { signal } = this',
      },
    ],
    test: { file: CLEANUP, name: 'are cleaned up when a later one' },
  },
  {
    id: 'closing-collects-nothing',
    defect:
      'a store that closes waits for the collection of a cancelled pass, with a checkpoint of its own',
    edits: [
      {
        file: 'engine/engine.ts',
        find: 'isClosing: () => this.#closing !== null || this.#status',
        replace: 'isClosing: () => this.#status',
      },
    ],
    test: { file: CLEANUP, name: 'leaves what its cancelled rewrite freed to the next opening' },
  },
  {
    id: 'failed-collection-remembered',
    defect: 'a GC that fails leaves the rewrite before as the last one',
    edits: [
      {
        file: 'engine/maintenance/rewriting.ts',
        find: '    } finally {\n      // Also when GC failed: totals',
        replace:
          '    } catch (error) {\n      throw error\n    }\n    {\n      // Also when GC failed',
      },
    ],
    test: { file: CLEANUP, name: 'does not leave the rewrite before as the last one' },
  },
]
