/** Findings B1-B18 and X1-X6: planning, rewrite, GC, pins, record ids, formats. */
import type { PutBack } from './put-back.ts'

const REWRITE = 'test/engine/maintenance/rewrite.test.ts'
const SYSTEM = 'test/engine/maintenance/system-tree.test.ts'
const PLANNER = 'test/engine/maintenance/planner.test.ts'
const UPSTREAM = 'test/engine/maintenance/planner-upstream.test.ts'
const GC = 'test/engine/gc-report.test.ts'
const PINS = 'test/engine/pins-and-gc.test.ts'
const LEAVES = 'test/engine/format/logged-leaves.test.ts'

const RECLAIM = 'this.#guard(() => reclaim(this.#reclaimParts(), options))'
const RECLAIMS = `reclaim: (options) => ${RECLAIM},`
const STILL_REFERENCED = [
  'const unreferenced = this.#sources.filter((s) => s.bytesLive === 0)',
  'const referenced = this.#sources.filter((s) => s.bytesLive > 0)',
] as const

export const BACKEND: readonly PutBack[] = [
  {
    id: 'B1',
    defect: 'caps bound a named set of segments',
    edits: [
      {
        file: 'engine/maintenance/plan-caps.ts',
        find: 'if (segmentIds !== null) return { maxSegments: 0, maxLiveBytes: 0, maxCopiedBytes }',
        replace: '',
      },
    ],
    test: { file: UPSTREAM, name: '[15] B1, F3: explicit ids ignore the sparse caps' },
  },
  {
    id: 'B2',
    defect: 'a named active segment is dropped from the plan without a word',
    edits: [
      {
        file: 'engine/maintenance/plan-candidates.ts',
        find: "if (state === 'zombie') return 'zombie'",
        replace:
          "if (state === 'zombie') return 'zombie'\n  if (state === 'active') return 'active'",
      },
    ],
    test: {
      file: PLANNER,
      name: 'B2: an explicit active segment is taken, and still obeys age and staleness',
    },
  },
  {
    id: 'B2',
    defect: 'a rewrite does not take the writer away from its source',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: 'for (const id of ids) parts.valueLog.sealActive(id)',
        replace: '',
      },
    ],
    test: {
      file: PINS,
      name: 'B2: an explicit active segment is sealed first, and the writer goes on in a new one',
    },
  },
  {
    id: 'B3',
    defect: 'a rewrite walks the whole tree for one segment',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: 'if (listed === undefined) unlisted.push(source)',
        replace: 'if (listed !== null) unlisted.push(source)',
      },
    ],
    test: {
      file: REWRITE,
      name: 'B3, F14: four passes over four queued segments walk no tree, and cleaning up',
    },
  },
  {
    id: 'B3',
    defect: 'cleaning up after a rewrite walks the whole tree',
    edits: [
      {
        file: 'engine/engine.ts',
        find: RECLAIMS,
        replace: `reclaim: (options) => this.verify().then(() => ${RECLAIM}),`,
      },
    ],
    test: {
      file: REWRITE,
      name: 'B3, F14: four passes over four queued segments walk no tree, and cleaning up',
    },
  },
  {
    id: 'B4',
    defect: 'a segment that a snapshot reads is deleted',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: 'if (reader.openedSeq >= segment.firstSeq && reader.openedSeq < segment.deadSinceSeq) {',
        replace: 'if (reader.openedSeq < segment.firstSeq) {',
      },
    ],
    test: { file: PINS, name: 'B4, F11: a snapshot keeps the rewritten segment as a zombie' },
  },
  {
    id: 'B5',
    defect: 'a release takes away the newest acquisition instead of its own',
    edits: [
      {
        file: 'engine/value-log/segment-set.ts',
        find: 'this.#readers.delete(pinId)',
        replace: 'this.#readers.delete([...this.#readers.keys()].at(-1) ?? pinId)',
      },
    ],
    test: { file: GC, name: 'B5: in any order of opening and closing' },
    cannotExist:
      'Node maps no files, so there is no budget of mappings; readers are what is released',
  },
  {
    id: 'B6',
    defect: 'only the user tree counts: what the system tree names is as good as dead',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'for (const root of [roots.userRoot, roots.systemRoot]) {',
        replace: 'for (const root of [roots.userRoot]) {',
      },
    ],
    test: { file: SYSTEM, name: 'B6(a): user k1 and system s1 in one segment: both move' },
  },
  {
    id: 'B6',
    defect: 'a rewrite moves what the user tree names, and reports the source as done',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: '    await this.#moveSystem()\n',
        replace: '',
      },
    ],
    test: { file: SYSTEM, name: 'B6(a): a pass of the engine deletes the segment then' },
  },
  {
    id: 'B6',
    defect: 'what a source still holds is derived from the list of sources',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: STILL_REFERENCED.join('\n    '),
        replace: 'const unreferenced = this.#sources\n    const referenced: Segment[] = []',
      },
    ],
    test: {
      file: REWRITE,
      name: 'B6 (b): a key that comes to point into the source after it was looked through keeps it',
    },
  },
  {
    id: 'B6',
    defect: 'what the system tree has in a source is not looked for, and the source counts as done',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: '    await this.#moveSystem()\n',
        replace: '    if (this.#live.walks < 0) await this.#moveSystem()\n',
      },
      {
        file: 'engine/maintenance/rewrite.ts',
        find: STILL_REFERENCED.join('\n    '),
        replace: 'const unreferenced = this.#sources\n    const referenced: Segment[] = []',
      },
    ],
    test: {
      file: 'test/engine/maintenance/system-tree.test.ts',
      name: 'B6(a): user k1 and system s1 in one segment',
    },
  },
  {
    id: 'B6',
    defect: 'a source that was copied in part counts as done',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: STILL_REFERENCED.join('\n    '),
        replace: 'const unreferenced = this.#sources\n    const referenced: Segment[] = []',
      },
    ],
    test: {
      file: REWRITE,
      name: 'B6 (c): a partial rewrite leaves its source referenced and on disk',
    },
  },
  {
    id: 'B6',
    defect: 'a swap does not ask whether the key still holds the old pointer',
    edits: [
      {
        file: 'engine/maintenance/rewrite.ts',
        find: 'const isQuiet = this.#isQuiet\n',
        replace: 'const isQuiet = true\n',
      },
    ],
    test: { file: REWRITE, name: 'B6: an overwrite between copy and swap wins' },
  },
  {
    id: 'B7',
    defect: 'only the newest segment is looked through for the highest record id',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'for (const segment of segments) {\n    const visit',
        replace: 'for (const segment of segments.slice(-1)) {\n    const visit',
      },
    ],
    test: { file: REWRITE, name: '33, B7: without a high-water mark the first id is above those' },
  },
  {
    id: 'B7',
    defect: 'the newest segment that is not empty is taken to hold the highest record id',
    edits: [
      {
        file: 'engine/rid-recovery.ts',
        find: 'for (const segment of segments) {\n    const visit',
        replace:
          'for (const segment of segments.filter((s) => s.bytesTotal > 0).slice(-1)) {\n    const visit',
      },
    ],
    test: {
      file: REWRITE,
      name: 'B7: a newer segment with lower ids does not hide the highest one',
    },
  },
  {
    id: 'B8',
    defect: 'planning makes a checkpoint',
    edits: [
      {
        file: 'engine/maintenance/scheduler.ts',
        find: "const plan = planRewrite(request)\n    this.#host.emit(planEvent('dry_run'",
        replace:
          "void this.#host.checkpoint('maintenance')\n    const plan = planRewrite(request)\n    this.#host.emit(planEvent('dry_run'",
      },
    ],
    test: { file: UPSTREAM, name: 'B8, B17, F17: no checkpoint, no look at the disk or the tree' },
  },
  {
    id: 'B9',
    defect: 'a leaf ref loses its sub-index: all pages of a frame are its first',
    edits: [
      {
        file: 'engine/index/leaf-ref.ts',
        find: 'subIndex: low >>> SUB_INDEX_SHIFT, offset',
        replace: 'subIndex: 0, offset',
      },
    ],
    test: { file: LEAVES, name: 'B9: are told apart by the sub-index of their refs' },
    cannotExist: 'the store writes its leaves to index.db; the test reads those of foreign folders',
  },
  {
    id: 'B9',
    defect: 'a sub-index that does not fit a leaf ref is written all the same',
    edits: [
      {
        file: 'engine/index/leaf-ref.ts',
        find: 'if (!isWithin(ref.subIndex, MAX_LEAF_REF_SUB_INDEX)) {',
        replace: 'if (ref.subIndex < 0) {',
      },
    ],
    test: { file: LEAVES, name: 'B9: a place that a ref cannot hold is refused' },
    cannotExist:
      'the store writes its leaves to index.db; the codec is shared with tests and tools',
  },
  {
    id: 'B11',
    defect: 'a plain record is read as if it were a frame',
    edits: [
      {
        file: 'engine/value-log/read-record.ts',
        find: 'if (header.grouped !== isGrouped(pointer)) {',
        replace: 'if (header.grouped && !isGrouped(pointer)) {',
      },
    ],
    test: { file: LEAVES, name: 'B11: as a plain record is damage by name' },
    cannotExist: 'the store writes its leaves to index.db; the test reads those of foreign folders',
  },
  {
    id: 'B11',
    defect: 'what is written alone is a plain record under the pointer of a frame',
    edits: [
      {
        file: 'engine/maintenance/rewrite-output.ts',
        find: 'const moves = this.#needMoves()\n    const key',
        replace:
          'copy.to = { ...copy.to, length: groupedLength(copy.to.length, 0) }\n    const moves = this.#needMoves()\n    const key',
      },
    ],
    test: {
      file: REWRITE,
      name: 'B11: the form of a record follows its pointer, compressed or alone',
    },
    cannotExist:
      'no leaf page is written to the log; the same holds for the values that a rewrite writes',
  },
  {
    id: 'B10',
    defect: 'a rewrite rotates its output after it has outgrown the segment size',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: 'if (this.#rewrite !== null && !this.#takes(this.#rewrite, bytes)) {',
        replace:
          'if (this.#rewrite !== null && this.#rewrite.bytesTotal > this.#options.segmentBytes) {',
      },
    ],
    test: { file: REWRITE, name: 'B10: output rotates before it outgrows the segment size' },
  },
  {
    id: 'B12',
    defect: 'the record ids of a frame are not looked at',
    edits: [
      {
        file: 'engine/value-log/record.ts',
        find: 'if (rid.low === 0 && rid.high === 0) throw corrupt(where, `frame RID ${i} is 0`)',
        replace: '',
      },
    ],
    test: { file: REWRITE, name: 'B12: a frame with a record id 0 is not copied' },
  },
  {
    id: 'B13',
    defect: 'no referenced segment counts as not knowing, and the tree is walked',
    edits: [
      {
        file: 'engine/engine.ts',
        find: RECLAIMS,
        replace: `reclaim: async (options) => (store.set.infos().length === 0 && (await this.verify()), ${RECLAIM}),`,
      },
    ],
    test: { file: GC, name: 'B13: a store without pointers is no special case' },
    cannotExist:
      'there is no cached set of referenced segments; live bytes are counted as they change',
  },
  {
    id: 'B14',
    defect: 'each read of a rewrite takes memory of its own',
    edits: [
      {
        file: 'engine/value-log/source-reader.ts',
        find: 'const isLarge = length > CHUNK_BYTES',
        replace: 'const isLarge = length > 0',
      },
    ],
    test: { file: REWRITE, name: 'B14: what a rewrite reads with is allocated once' },
  },
  {
    id: 'B15',
    defect: 'a plan without economics is staged as nothing',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'if (plan.selected.length > 0) return mergePlan(debt, plan.selected, lookup)',
        replace: 'if (plan !== null) return mergePlan(debt, plan.selected, lookup)',
      },
    ],
    test: { file: UPSTREAM, name: 'B15: a consumer queues the ids of such a plan (' },
  },
  {
    id: 'B15',
    defect: 'a plan without economics is executed as nothing',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: 'return plan.selected.length > 0 ? debtOf(plan.selected) : queueOnlyDebt(plan.sourceSegmentIds)',
        replace: 'return debtOf(plan.selected)',
      },
    ],
    test: { file: UPSTREAM, name: 'B15: a plan without economics that is executed at once' },
  },
  {
    id: 'B16',
    defect: 'a zombie counts as present',
    edits: [
      {
        file: 'engine/maintenance/ledger.ts',
        find: "return segment !== undefined && segment.state !== 'zombie'",
        replace: 'return segment !== undefined',
      },
    ],
    test: { file: GC, name: 'B16: a zombie is gone for maintenance though its file is there' },
  },
  {
    id: 'B17',
    defect: 'a plan of named segments walks the tree for their live bytes',
    edits: [
      {
        file: 'engine/engine.ts',
        find: 'segments: () => store.set.infos(),',
        replace:
          'segments: () => {\n        const view = store.keySpace.openView()\n        for (const _ of store.keySpace.entries(view, {})) void _\n        store.keySpace.closeView(view)\n        return store.set.infos()\n      },',
      },
    ],
    test: { file: UPSTREAM, name: 'B8, B17, F17: no checkpoint, no look at the disk or the tree' },
  },
  {
    id: 'B18',
    defect: 'pages of splits stay in memory',
    edits: [
      {
        file: 'engine/index/page-store.ts',
        find: 'this.#cachedPages -= pagesOf(this.#cache[id])\n    this.#cache[id] = undefined',
        replace: 'this.#cachedPages -= pagesOf(this.#cache[id])',
      },
    ],
    test: { file: 'test/engine/tree.test.ts', name: 'B18: those that splits made are let go' },
    cannotExist: 'page buffers are not pooled; they live as long as something names them',
  },
  {
    id: 'X1',
    defect: 'the CRC of a record is not counted as live',
    edits: [
      {
        file: 'engine/value-log/segment.ts',
        find: 'const bytes = this.recordBytes(pointer)\n      if (isGrouped',
        replace: 'const bytes = this.recordBytes(pointer) - CRC_BYTES\n      if (isGrouped',
      },
    ],
    test: {
      file: 'test/engine/live-bytes.test.ts',
      name: 'X1: a fully live segment has no stale bytes, its CRCs counted',
    },
  },
  {
    id: 'X2',
    defect: 'a segment that nothing ever referenced never counts as dead',
    edits: [
      {
        file: 'engine/value-log/segment.ts',
        find: 'this.deadSinceSeq = input.firstSeq\n',
        replace: 'this.deadSinceSeq = null\n',
      },
    ],
    test: { file: PINS, name: 'X2: output of a rewrite that a crash cut in the copy is reclaimed' },
  },
  {
    id: 'X3',
    defect: 'rewrite output goes into the lane of the foreground',
    edits: [
      {
        file: 'engine/value-log/value-log.ts',
        find: "this.#createSegment(REWRITE_LANE, 'rewrite')",
        replace: "this.#createSegment(FOREGROUND_LANE, 'rewrite')",
      },
    ],
    test: { file: PINS, name: 'X3: output never shares the foreground segment' },
  },
  {
    id: 'X3',
    defect: 'numbers of deleted segments are handed out again after an opening',
    edits: [
      {
        file: 'engine/store.ts',
        find: 'const nextSeq = Math.max(highestSeq + 1, metadata?.nextSeq ?? 1)',
        replace: 'const nextSeq = highestSeq + 1',
      },
    ],
    test: { file: PINS, name: 'X3: output never shares the foreground segment' },
  },
  {
    id: 'X4',
    defect: 'the last holder of a zombie goes and the file stays',
    edits: [
      {
        file: 'engine/maintenance/reclaim.ts',
        find: 'const free = zombies.filter((segment) => parts.set.isFree(segment))',
        replace: 'const free: Segment[] = []',
      },
    ],
    test: { file: PINS, name: 'X4: of several holders only the last one lets the zombie go' },
  },
  {
    id: 'X5',
    defect: 'the age of a segment is the time of its file',
    edits: [
      {
        file: 'engine/recovery.ts',
        find: '...sealTimeOf(known, ',
        replace: '...sealTimeOf(undefined, ',
      },
    ],
    test: { file: PINS, name: 'X5: a copied folder, whose file times are of now' },
  },
  {
    id: 'X5',
    defect: 'the time of a file is given out as one that the metadata kept',
    edits: [
      {
        file: 'engine/metadata.ts',
        find: "nowMs), ageSource: 'mtime' }",
        replace: "nowMs), ageSource: 'metadata' }",
      },
    ],
    test: { file: PINS, name: 'X5: what was still written at a kill has the age of its file' },
  },
  {
    id: 'X5',
    defect: 'a file of the year 2031 keeps its segment young until then',
    edits: [
      {
        file: 'engine/metadata.ts',
        find: 'Math.min(Math.floor(mtimeMs), nowMs)',
        replace: 'Math.floor(mtimeMs)',
      },
    ],
    test: { file: PINS, name: 'X5: a time of sealing that is yet to come' },
  },
  {
    id: 'X5',
    defect: 'an inspection takes the age from the time of the file',
    edits: [
      {
        file: 'engine/inspect/state.ts',
        find: 'sealTimeOf(facts, file',
        replace: 'sealTimeOf(undefined, file',
      },
    ],
    test: {
      file: 'test/engine/inspect/damage.test.ts',
      name: 'age comes from our own metadata, which copying does not reset (X5)',
    },
  },
  {
    id: 'X6',
    defect: 'young segments that are dead are left out of the age-blocked total',
    edits: [
      {
        file: 'engine/maintenance/plan-candidates.ts',
        find: "if (!isOldEnough(candidate, filters.minAgeMs)) return 'age'\n  return economicsFilter(candidate, filters, rules)",
        replace:
          "return economicsFilter(candidate, filters, rules) ?? (isOldEnough(candidate, filters.minAgeMs) ? null : 'age')",
      },
    ],
    test: { file: PLANNER, name: 'X6: with age as the only filter the young one is blocked' },
  },
]
