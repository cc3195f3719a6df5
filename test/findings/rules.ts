/** Rules of the engine that no finding names: what is durable when, what may go, what must not be believed. */
import type { Edit, PutBack } from './put-back.ts'

const POWER = 'test/engine/power-cut.test.ts'
const CACHE = 'test/engine/key-cache.test.ts'
const PINS = 'test/engine/pins-and-gc.test.ts'
const WAITS = 'test/engine/waits.test.ts'
const LIFE = 'test/engine/lifecycle.test.ts'
const IDS = 'test/engine/record-ids.test.ts'
const OUTLOOK = 'test/engine/folder-outlook.test.ts'
const DURABLE_LIFE = 'before any sync of a durable life keeps what was acknowledged'
const NAMED_EARLY = 'meets no meta page that names a page or a value which is not on disk yet'
const RAISES_NO_MARK: Edit = {
  file: 'engine/offline-rewrite/rewrite.ts',
  find: '    await mark.raise(source.metadata, source.valueLog)\n',
  replace: '',
}
const TRUSTS_THE_MARK: Edit = {
  file: 'engine/rid-recovery.ts',
  find: 'if (segment.seq < metadata.nextSeq) continue',
  replace: 'if (segment.seq > 0) continue',
}

export const RULES: readonly PutBack[] = [
  {
    id: 'moved-keys-distrusted',
    defect: 'a get believes the cache about a key that a rewrite moved',
    edits: [
      { file: 'engine/key-space.ts', find: '    this.#movedFrom.add(id | 0)\n', replace: '' },
    ],
    test: { file: CACHE, name: 'are found where they are now, read and written' },
  },
  {
    id: 'memtable-kept-for-readers',
    defect: 'the memory of a memtable goes to the next one while a snapshot reads it',
    edits: [
      {
        file: 'engine/key-space.ts',
        find: 'this.#frozen !== null && this.#readers.size === 0',
        replace: 'this.#frozen !== null',
      },
    ],
    test: {
      file: PINS,
      name: 'a snapshot keeps the memtable it was opened on, whatever checkpoints come after',
    },
  },
  {
    id: 'forgotten-sources-forget-the-cache',
    defect: 'rows of the cache outlive what is remembered about them',
    edits: [{ file: 'engine/key-space.ts', find: '      this.#cache.clear()\n', replace: '' }],
    test: {
      file: CACHE,
      name: 'are found when more sources were rewritten than are remembered',
    },
  },
  {
    id: 'index-synced-before-meta',
    defect: 'a meta page names pages that are not on disk yet',
    edits: [{ file: 'engine/checkpoint.ts', find: '    await pages.sync()\n', replace: '' }],
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
        find: '      await this.#options.fileSystem.syncFolder(this.#options.folder)\n',
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
    id: 'replaced-name-synced',
    defect: 'a replaced file may be the old one after a power cut',
    edits: [
      {
        file: 'engine/file-system.ts',
        find: '  await fileSystem.rename(temporary, file)\n  await fileSystem.syncFolder(path.dirname(file))\n',
        replace: '  await fileSystem.rename(temporary, file)\n',
      },
    ],
    test: { file: WAITS, name: 'a replaced file survives a power cut behind it, name and all' },
  },
  {
    id: 'journal-prepared',
    defect: 'writers wait for the name of the journal file that a checkpoint begins',
    edits: [
      {
        file: 'engine/checkpoint.ts',
        find: "    if (awaitsNames && reason !== 'close') await journal?.prepare()\n",
        replace: '',
      },
    ],
    test: {
      file: WAITS,
      name: 'does not wait for the name of the journal file that a checkpoint begins',
    },
  },
  {
    id: 'names-apart',
    defect: 'writers wait for the names of files that a rewrite writes to',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: '      const names = this.#foregroundNames\n',
        replace: '      const names = this.#namesCreated\n',
      },
    ],
    test: { file: WAITS, name: 'does not wait for the name of a file that a rewrite writes to' },
  },
  {
    id: 'space-given-back-in-steps',
    defect: 'the space of a deleted segment goes in one commit that every sync waits for',
    edits: [{ file: 'engine/file-system.ts', find: '    await shrinkNameless(fd)\n', replace: '' }],
    test: { file: WAITS, name: 'is given back in steps before its last close' },
  },
  {
    id: 'links-left-alone',
    defect: 'a copy of the folder that is made of links loses its bytes',
    edits: [{ file: 'engine/file-system.ts', find: 'if (nlink > 0 || size', replace: 'if (size' }],
    test: { file: WAITS, name: 'stays where the file has another name' },
  },
  {
    id: 'index-synced-in-pieces',
    defect: 'the sync of a writer waits for all pages of a checkpoint at once',
    edits: [
      {
        file: 'engine/checkpoint.ts',
        find: '    return pages.sync()\n',
        replace: '    return undefined\n',
      },
    ],
    test: {
      file: WAITS,
      name: 'syncs the index in pieces, so that the writer never waits for much',
    },
  },
  {
    id: 'stands-back-for-the-disk',
    defect: 'maintenance takes the processor from the threads that carry a sync',
    edits: [
      {
        file: 'engine/slicer.ts',
        find: '      await soonest(clock, answered())\n',
        replace: '',
      },
    ],
    test: {
      file: 'test/engine/slicer.test.ts',
      name: 'M9: while somebody waits for the disk, work waits too, but not for good',
    },
  },
  {
    id: 'leaf-merged-in-steps',
    defect: 'a checkpoint holds the thread for all changes of one leaf',
    edits: [
      {
        file: 'engine/index/tree.ts',
        find: '      refs.push({ key: run.keyAt(from), child: id })\n      yield\n',
        replace: '      refs.push({ key: run.keyAt(from), child: id })\n',
      },
    ],
    test: {
      file: 'test/engine/tree.test.ts',
      name: 'M9: a merge gives the thread back after each page, also when all changes belong to one leaf',
    },
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
    defect: 'a root is nobody who keeps a segment',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: 'if (generation < segment.deadSinceGeneration) {',
        replace: 'if (generation < 0) {',
      },
    ],
    test: { file: PINS, name: 'an old root keeps a dead segment until both meta pages moved on' },
  },
  {
    id: 'both-metas-before-unlink',
    defect: 'GC deletes what the trees of both meta pages still name',
    edits: [
      {
        file: 'engine/maintenance/reclaim.ts',
        find: 'if (frees) await parts.checkpoint()',
        replace: 'if (frees) await Promise.resolve()',
      },
      {
        file: 'engine/maintenance/gc-survey.ts',
        find: "else if (kind === 'root') other ||= !checkpointFrees",
        replace: "else if (kind === 'root') other ||= false",
      },
      {
        file: 'engine/value-log/segment-set.ts',
        find: "(k) => k.kind === 'awaiting_gc' || k.kind === 'error')",
        replace: "(k) => k.kind === 'awaiting_gc' || k.kind === 'error' || k.kind === 'root')",
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
        file: 'engine/replay.ts',
        find: 'operations.every((one) =>',
        replace: 'operations.some((one) =>',
      },
      {
        file: 'engine/replay.ts',
        find: 'operations.map((operation) =>',
        replace:
          "operations.filter((one) => one.op !== 'set_rid' || into.pointers.has(ridOf(one.rid))).map((operation) =>",
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
        find: 'await this.#save(debt, this.#penalties, extras)\n    this.#debt = debt',
        replace: 'this.#debt = debt\n    await this.#save(debt, this.#penalties, extras)',
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
    id: 'torn-state-file',
    defect: 'what can be read of a torn state file is taken for debt',
    edits: [
      {
        file: 'engine/maintenance/state-file.ts',
        find: 'return empty(`the state file is not JSON (${why}); ${text.length} characters were dropped`)',
        replace:
          'parsed = { [KEY_IDS]: why === "" ? [] : (text.match(/(?<=")2\\d{9}(?=")/g) ?? []) }',
      },
    ],
    test: {
      file: 'test/engine/maintenance/state-file.test.ts',
      name: 'a torn file counts as empty and says how much was dropped',
    },
  },
  {
    id: 'one-segment-a-hot-pass',
    defect: 'a kick rewrites all that is queued',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: 'maxSegments: drains ? Math.min(from.debt.queue.length, options.debtDrainMaxSegments) : 1,',
        replace: 'maxSegments: from.debt.queue.length,',
      },
    ],
    test: {
      file: 'test/engine/maintenance/pass.test.ts',
      name: 'M2: a kick rewrites one queued segment and restages the rest after rewrite and GC',
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
          'scope.fileSystem.lock(`${root}/maindb/LOCK`).release()\n  const folder = mapFolder(root, scope)',
      },
    ],
    test: {
      file: 'test/server/store.test.ts',
      name: 'leaves the folder as it is, down to the times of its files',
    },
  },
  {
    id: 'live-bytes-follow',
    defect: 'an overwritten value stays live',
    edits: [
      {
        file: 'engine/key-space.ts',
        find: "if (before?.kind === 'pointer') this.#set.release(before.pointer, moment)",
        replace: "if (before?.kind === 'inline') this.#set.touched(before as never)",
      },
    ],
    test: {
      file: 'test/engine/live-bytes.test.ts',
      name: 'an overwrite, a delete and an inline value each make exactly one record stale',
    },
  },
  {
    id: 'record-ids-once',
    defect: 'ids that were handed out since the opening are handed out again by the next one',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'rids.next + RID_RESERVE)',
        replace: 'rids.next + (RID_RESERVE - RID_RESERVE))',
      },
    ],
    test: { file: PINS, name: 'never repeat over openings, rewrites and an empty newest segment' },
  },
  {
    id: 'outlook-is-of-an-opening',
    defect: 'a dry gc and a plan take the newest segment of each lane for one that is written',
    edits: [
      {
        file: 'engine/folder-outlook.ts',
        find: 'return opened ?? state.segments',
        replace: 'return opened === null ? [] : state.segments',
      },
    ],
    test: { file: OUTLOOK, name: 'a dry gc names the segments that a gc then deletes' },
  },
  {
    id: 'outlook-is-of-an-opening',
    defect: 'a plan counts live bytes as if the journal were not replayed',
    edits: [
      {
        file: 'engine/inspect/opened.ts',
        find: "if (value?.kind === 'pointer') references.add(value.pointer)",
        replace: "if (value?.kind === 'pointer') continue",
      },
    ],
    test: { file: OUTLOOK, name: 'a plan gives each segment the verdict, bytes and age' },
  },
  {
    id: 'record-ids-once',
    defect: 'an offline rewrite takes ids that only its end says are taken',
    edits: [RAISES_NO_MARK],
    test: { file: IDS, name: 'an offline rewrite has its record ids set aside on disk' },
  },
  {
    id: 'record-ids-once',
    defect: 'nobody looks whether a killed offline rewrite left ids above the mark',
    edits: [TRUSTS_THE_MARK],
    test: { file: IDS, name: 'are not used again by' },
  },
  {
    id: 'record-ids-once',
    defect: 'after a killed offline rewrite its ids are handed out again',
    edits: [RAISES_NO_MARK, TRUSTS_THE_MARK],
    test: {
      file: 'test/engine/offline-rewrite.test.ts',
      name: 'by a kill before any call, and the next process right behind a rewrite',
    },
  },
  {
    id: 'record-ids-once',
    defect: 'of two records with one id the first in the order of names counts',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'known === undefined || rank > known.rank',
        replace: 'known === undefined',
      },
    ],
    test: { file: IDS, name: 'and used again by openings since: the journal means those' },
  },
  {
    id: 'record-ids-once',
    defect: 'an id in two segments of equal right opens with either value',
    edits: [{ file: 'engine/rid-recovery.ts', find: 'known.rival = place.segment', replace: '' }],
    test: { file: IDS, name: 'in two segments of equal right: refused with both names' },
  },
  {
    id: 'readers-see-their-moment',
    defect: 'versions that an open reader needs are written over',
    edits: [
      {
        file: 'engine/key-space.ts',
        find: 'const at = { seq, newestReaderSeq: this.#newestReaderSeq }\n    for (const { key',
        replace: 'const at = { seq, newestReaderSeq: -1 }\n    for (const { key',
      },
    ],
    test: { file: PINS, name: 'an iterator of a snapshot keeps what the first one saw' },
  },
  {
    id: 'checksum-before-value',
    defect: 'a rewrite copies a value whose checksum is wrong',
    edits: [
      {
        file: 'engine/value-log/record.ts',
        find: 'if (actual !== header.crc) {',
        replace: 'if (actual < 0) {',
      },
    ],
    test: { file: PINS, name: 'one damaged value does not stop the others' },
  },
  {
    id: 'closing-waits',
    defect: 'an engine is closed while it still deletes',
    edits: [
      {
        file: 'engine/engine.ts',
        find: 'await this.#underWay.idle()',
        replace: '',
      },
    ],
    test: { file: LIFE, name: 'waits for what a reader that just ended deletes' },
  },
  {
    id: 'events-in-one-order',
    defect: 'what a listener causes is told before what it heard',
    edits: [
      {
        file: 'engine/events.ts',
        find: 'if (!this.#telling) this.#tell()',
        replace: 'this.#tell()',
      },
    ],
    test: {
      file: 'test/engine/events.test.ts',
      name: 'what a listener causes is told after what it heard, to every listener',
    },
  },
  {
    id: 'state-is-its-events',
    defect: 'debt changes without an event',
    edits: [
      {
        file: 'engine/maintenance/memory.ts',
        find: "this.#host.emit({ type: 'debt_changed', cause: change.cause, debt }, change.passId)",
        replace: '',
      },
    ],
    test: {
      file: 'test/engine/maintenance/scheduler.test.ts',
      name: 'rebuild debt, scheduler and counters exactly, whatever happened',
    },
  },
  {
    id: 'state-is-its-input',
    defect: 'a decision depends on more than state, options and clock',
    edits: [
      {
        file: 'engine/maintenance/decide.ts',
        find: 'export function decidePass(input: PassInput): Decision {',
        replace:
          "let taken = 0\nexport function decidePass(input: PassInput): Decision {\n  if (++taken % 3 === 0) input = { ...input, gcTick: !input.gcTick, options: { ...input.options, restage: 'off' } }",
      },
    ],
    test: {
      file: 'test/engine/maintenance/replay.test.ts',
      name: 'a recorded run replays to the same gates and the same decisions',
    },
  },
  {
    id: 'journal-goes-last',
    defect: 'journal files go before the tree that holds their changes is published',
    edits: [
      {
        file: 'engine/checkpoint.ts',
        find: '    await journal?.deleteOld()\n',
        replace: '',
      },
      {
        file: 'engine/checkpoint.ts',
        find: '    await valueLog.sync()\n',
        replace: '    await journal?.deleteOld()\n    await valueLog.sync()\n',
      },
    ],
    test: { file: POWER, name: DURABLE_LIFE },
  },
  {
    id: 'foreground-first',
    defect: 'a rewrite does not notice that somebody commits',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: 'this.#isPaced ||= foreground.commitsAsked() > this.#commitsSeen',
        replace: 'this.#isPaced ||= foreground.commitsAsked() < 0',
      },
    ],
    test: {
      file: 'test/engine/maintenance/rewrite.test.ts',
      name: 'M9: while the foreground commits, pieces are small and wait for its sync',
    },
  },
  {
    id: 'penalised-left-out',
    defect: 'a segment that cools down is planned again',
    edits: [
      {
        file: 'engine/maintenance/plan-candidates.ts',
        find: "return requested === null && coolingMs(segmentId, rules) > 0 ? 'penalty' : null",
        replace: "return requested === null && coolingMs(segmentId, rules) < 0 ? 'penalty' : null",
      },
    ],
    test: {
      file: 'test/engine/maintenance/sources.test.ts',
      name: 'a rewrite that grew the log is told, its segment cools down, and plans leave it out',
    },
  },
  {
    id: 'staged-debt-waits',
    defect: 'a kick executes debt that is staged',
    edits: [
      {
        file: 'engine/maintenance/admission.ts',
        find: '...stageGates(input),',
        replace: '...(isConfirm(input.source) ? stageGates(input) : []),',
      },
    ],
    test: {
      file: 'test/engine/maintenance/pass.test.ts',
      name: 'M2: a kick rewrites one queued segment and restages the rest after rewrite and GC',
    },
  },
  {
    id: 'confirmed-when-due',
    defect: 'a confirm does not wait for its delay',
    edits: [
      {
        file: 'engine/maintenance/admission.ts',
        find: 'threshold: found.dueAtMs - found.observedAtMs,',
        replace: 'threshold: 0,',
      },
    ],
    test: {
      file: 'test/engine/maintenance/pass.test.ts',
      name: 'a confirm that is not due changes nothing',
    },
  },
  {
    id: 'failed-write-is-final',
    defect: 'after a failed write the engine goes on writing',
    edits: [
      {
        file: 'engine/engine.ts',
        find: "    this.#status = 'failed'\n",
        replace: '',
      },
    ],
    test: { file: LIFE, name: 'leaves reading possible, and deletes nothing more' },
  },
  {
    id: 'recording-bounded',
    defect: 'the recording grows without end',
    edits: [
      {
        file: 'engine/recording/recorder.ts',
        find: 'while (this.#bytes() + wanted > limit || this.#chunks.length > CHUNKS_MAX) {',
        replace: 'while (this.#bytes() + wanted > limit && this.#chunks.length > CHUNKS_MAX) {',
      },
    ],
    test: {
      file: 'test/engine/recording.test.ts',
      name: 'keeps to its bytes: the oldest history goes',
    },
  },
  {
    id: 'age-retry-waits',
    defect: 'a retry for age that was refused is due again at once',
    edits: [
      {
        file: 'engine/maintenance/pass.ts',
        find: 'now + Math.max(waitMs, PAUSE_MIN_MS)',
        replace: 'now + Math.min(1, waitMs)',
      },
    ],
    test: {
      file: 'test/engine/maintenance/upstream-staging.test.ts',
      name: 'whose retry comes to no plan do not wake it again at once (after ',
    },
  },
  {
    id: 'first-checkpoint',
    defect: 'making the folder counts as a checkpoint',
    edits: [{ file: 'engine/engine.ts', find: 'store.isNew ? 0 : 1', replace: '1' }],
    test: {
      file: 'test/engine/maintenance/upstream-foreground.test.ts',
      name: 'before the first checkpoint of a store without a journal',
    },
  },
  {
    id: 'pages-between-readers',
    defect: 'a page that came and went after an open reader began waits for it',
    edits: [
      {
        file: 'engine/index/page-store.ts',
        find: 'return read.some((reads) => bornAt <= reads && reads < version)',
        replace: 'return read.some((reads) => bornAt >= 0 && reads < version)',
      },
    ],
    test: {
      file: 'test/engine/tree.test.ts',
      name: 'holds two trees under a held snapshot, however many checkpoints it lives through',
    },
  },
  {
    id: 'pages-of-readers',
    defect: 'a page that an open reader may walk is given out again',
    edits: [
      {
        file: 'engine/index/page-store.ts',
        find: 'return read.some((reads) => bornAt <= reads && reads < version)',
        replace: 'return read.some((reads) => bornAt < reads && reads < version)',
      },
    ],
    test: {
      file: 'test/engine/tree.test.ts',
      name: 'holds two trees under a held snapshot, however many checkpoints it lives through',
    },
  },
]
