/**
 * Named points at which a process kills itself, recognised by what it asks of the file system: the
 * engine under test has no idea of them.
 */
import * as path from 'node:path'
import type { FileSystem, OpenFile, OpenMode, Profile } from '../../engine/index.ts'

export const POINTS = [
  /** Any call at all: opening and recovery have the first ones. */
  'any_call',
  'after_output_sync',
  /** Output is on disk, registered and named by nothing. */
  'before_swap',
  'torn_value_write',
  'torn_journal_write',
  'torn_page_write',
  'torn_meta_write',
  'journal_created',
  'mid_checkpoint_pages',
  'before_meta',
  'first_meta_unsynced',
  'between_metas',
  'second_meta_unsynced',
  'after_metas',
  'before_journal_unlink',
  'after_journal_unlink',
  'before_segment_unlink',
  'after_segment_unlink',
  'before_rename',
  'after_rename',
] as const

export type Point = (typeof POINTS)[number]

/** Points that a life of this profile meets. */
export function pointsOf(profile: Profile): readonly Point[] {
  return profile === 'fast' ? POINTS.filter((point) => !point.includes('journal')) : POINTS
}

type FileKind = 'index' | 'foreground' | 'output' | 'journal' | 'other'

function kindOf(file: string): FileKind {
  const name = path.basename(file)
  if (name === 'index.db') return 'index'
  if (name.startsWith('value-l1-')) return 'output'
  if (name.startsWith('value-')) return 'foreground'
  return name.startsWith('commit-') ? 'journal' : 'other'
}

const PAGE_BYTES = 4096

/** Dies with SIGKILL when `point` is met for the `nth` time. */
export function dyingAt(
  inner: FileSystem,
  at: { point: Point; nth: number; die: () => never },
): FileSystem {
  let met = 0
  const meet = (...points: Point[]): void => {
    if (points.includes(at.point) && ++met === at.nth) at.die()
  }
  /** Writes half of it before death. */
  const tear = (point: Point, half: () => void): void => {
    if (at.point !== point || ++met !== at.nth) return
    half()
    at.die()
  }
  /** 0: pages only since the last two; then each of the two meta pages in turn. */
  let metas = 0
  let outputSynced = false
  const call = (): void => meet('any_call')

  const wrap = (file: OpenFile): OpenFile => {
    const kind = kindOf(file.path)
    return {
      path: file.path,
      read: (buffer, offset, length, position) => {
        call()
        return file.read(buffer, offset, length, position)
      },
      size: () => file.size(),
      truncate: (length) => {
        call()
        file.truncate(length)
      },
      close: () => file.close(),
      write: (buffer, offset, length, position) => {
        call()
        const half = (): void => file.write(buffer, offset, length >>> 1, position)
        const isMeta = kind === 'index' && position < 2 * PAGE_BYTES
        if (isMeta && metas === 0) meet('before_meta')
        if (isMeta) tear('torn_meta_write', half)
        else if (kind === 'index') tear('torn_page_write', half)
        else if (kind === 'journal') tear('torn_journal_write', half)
        else if (kind !== 'other') tear('torn_value_write', half)
        file.write(buffer, offset, length, position)
        if (isMeta) meet(metas === 0 ? 'first_meta_unsynced' : 'second_meta_unsynced')
        else if (kind === 'index') meet('mid_checkpoint_pages')
        if (isMeta) metas++
      },
      sync: async () => {
        call()
        await file.sync()
        if (kind === 'output') {
          outputSynced = true
          meet('after_output_sync')
        }
        if (kind !== 'index') return
        if (metas === 1) meet('between_metas')
        if (metas !== 2) return
        metas = 0
        meet('after_metas')
      },
    }
  }

  const open = (file: string, mode: OpenMode): OpenFile => {
    call()
    const opened = wrap(inner.open(file, mode))
    if (mode === 'create' && kindOf(file) === 'journal') meet('journal_created')
    return opened
  }

  return {
    ...inner,
    open,
    openAside: (file, mode) => Promise.resolve(open(file, mode)),
    rename: async (from, to) => {
      call()
      meet('before_rename')
      await inner.rename(from, to)
      meet('after_rename')
    },
    unlink: async (file) => {
      call()
      const kind = kindOf(file)
      const isSegment = kind === 'foreground' || kind === 'output'
      if (kind === 'journal') meet('before_journal_unlink')
      if (isSegment) meet('before_segment_unlink')
      await inner.unlink(file)
      if (kind === 'journal') meet('after_journal_unlink')
      if (isSegment) meet('after_segment_unlink')
    },
    syncFolder: async (folder) => {
      call()
      await inner.syncFolder(folder)
      if (outputSynced) meet('before_swap')
      outputSynced = false
    },
  }
}
