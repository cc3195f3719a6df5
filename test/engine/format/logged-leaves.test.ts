/**
 * Leaf pages in the value log: the store writes none, so what the reviews found in their writing can only
 * come from foreign folders. They are read by the place their ref names, or refused by name.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { encodeSegmentId, segmentFileName } from '../../../engine/ids.ts'
import { encodeLeaf } from '../../../engine/index/leaf-encodings.ts'
import { encodeLeafRef, MAX_LEAF_REF_SUB_INDEX } from '../../../engine/index/leaf-ref.ts'
import { loadZstd } from '../../../engine/value-log/zstd.ts'
import {
  SegmentBytes,
  writeEncodedFolder,
  type FolderShape,
  type Model,
} from '../../support/encoded-folder.ts'
import { entriesOf, memoryFolder, openFixture } from '../../support/engine-fixture.ts'
import { read } from '../inspect/reading.ts'

beforeAll(loadZstd)

const PLAIN: FolderShape = { kind: 'ieee', layout: 'split', leaves: 0, internal: 'plain' }

function textOf(entries: Iterable<[string, Uint8Array]>): string[] {
  return [...entries].map(([k, v]) => `${k}=${Buffer.from(v).toString('base64')}`).sort()
}

/** What the store and the inspector find, twice: the opening writes meta pages of its own. */
async function expectReads(dir: string, model: Model): Promise<void> {
  for (let opening = 0; opening < 2; opening++) {
    const { engine } = await openFixture({}, { dir })
    expect(textOf(entriesOf(engine))).toEqual(textOf(model))
    await engine.close()
    expect((await read(dir, { keys: true })).report.problems).toEqual([])
  }
}

describe('several leaf pages in one frame', () => {
  test('B9: are told apart by the sub-index of their refs, and after a reopening too', async () => {
    const dir = memoryFolder()
    const model = writeEncodedFolder(dir, { ...PLAIN, logged: 'raw' })
    await expectReads(dir, model)
    // Three pages in one frame, under refs of their own.
    const { report } = await read(dir)
    expect(report.index.leaf_pages_in_log).toBe(3)
    expect(
      report.segments.find(({ leaf_refs }) => leaf_refs !== null && leaf_refs > 0),
    ).toMatchObject({ frames: 1 })
  })

  test('B9: a place that a ref cannot hold is refused where the ref is made', () => {
    const view = new DataView(new ArrayBuffer(8))
    const ref = { segmentId: encodeSegmentId(3, 2), offset: 4 }
    encodeLeafRef(view, 0, { ...ref, subIndex: MAX_LEAF_REF_SUB_INDEX })
    const before = view.getBigUint64(0, true)
    expect(() => encodeLeafRef(view, 0, { ...ref, subIndex: 8 })).toThrow('sub-index 8 is outside')
    expect(view.getBigUint64(0, true)).toBe(before)
  })
})

describe('one leaf page alone', () => {
  test('B11: in an uncompressed frame of one reads back, over a reopening too', async () => {
    const dir = memoryFolder()
    const model = writeEncodedFolder(dir, { ...PLAIN, loggedRoot: true })
    const { report } = await read(dir)
    const holder = report.segments.find(({ leaf_refs }) => leaf_refs !== null && leaf_refs > 0)
    expect(holder).toMatchObject({ frames: 1, plain_records: 0 })
    await expectReads(dir, model)
  })

  test('B11: as a plain record is damage by name, and never taken for a frame', async () => {
    const dir = memoryFolder()
    writeEncodedFolder(dir, { ...PLAIN, loggedRoot: true })
    const page = encodeLeaf([], 0, { id: 0, kind: 'ieee' })
    if (page === undefined) throw new Error('an empty page fits')
    const segment = new SegmentBytes(encodeSegmentId(3, 2), 'ieee')
    segment.appendPlain(page.bytes)
    const file = path.join(dir, 'maindb/value_vlog', segmentFileName(segment.id))
    fs.writeFileSync(file, segment.bytes)
    const outcome = await openFixture({}, { dir }).then(
      () => 'opened',
      (error: unknown) => String(error),
    )
    expect(outcome).toContain('pointer and record disagree on grouping')
  })
})
