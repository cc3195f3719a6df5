/** An open store without an engine around it, for rewrites with every option and hooks in between. */
import type { SystemMove } from '../../engine/checkpoint.ts'
import { manualClock } from '../../engine/clock.ts'
import type { EngineOptions } from '../../engine/api.ts'
import type { FileSystem, OpenFile } from '../../engine/file-system.ts'
import type { RewriteRequest } from '../../engine/maintenance/host.ts'
import { rewriteSegments, type RewriteParts } from '../../engine/maintenance/rewrite.ts'
import { resolveOptions } from '../../engine/options.ts'
import { openStore, type Store } from '../../engine/store.ts'
import type { RewriteReport, SegmentId } from '../../engine/types.ts'
import { quickFileSystem, yieldNow } from './engine-fixture.ts'

export interface RewriteStore {
  store: Store
  rewrite: (
    sources: readonly SegmentId[],
    request?: RewriteRequest,
    signal?: AbortSignal,
  ) => Promise<RewriteReport>
  /** Checkpoints and lets go of everything. */
  close: () => Promise<void>
}

export async function openRewriteStore(
  dir: string,
  options: EngineOptions = {},
  fileSystem: FileSystem = quickFileSystem,
  foreground: RewriteParts['foreground'] = {
    commitsAsked: () => 0,
    betweenSyncs: () => Promise.resolve(),
  },
): Promise<RewriteStore> {
  const deps = { clock: manualClock(), fileSystem, yieldNow }
  const resolved = resolveOptions({ checkpointIntervalMs: 0, mode: 'step', ...options })
  const store = await openStore(dir, { deps, options: resolved, emit: () => undefined })
  const durably = async (): Promise<void> => {
    await store.valueLog.sync()
    await store.journal?.sync()
  }
  const parts = {
    keySpace: store.keySpace,
    valueLog: store.valueLog,
    journal: store.journal,
    kind: store.kind,
    slices: store.slices,
    commit: durably,
    syncJournaled: durably,
    syncSwaps: durably,
    foreground,
    publishSystem: async (moves: readonly SystemMove[]) => {
      await store.checkpointer.run('maintenance', moves)
    },
    relieve: () => Promise.resolve(),
  }
  return {
    store,
    rewrite: (sources, request = {}, signal = new AbortController().signal) =>
      rewriteSegments(parts, sources, signal, request),
    close: async () => {
      store.valueLog.sealAll()
      await store.checkpointer.run('close')
      await store.metadata.save(store.valueLog)
      store.journal?.close()
      store.set.closeAll()
      store.pages.file.close()
      store.dictionaries.close()
      store.lock.release()
    },
  }
}

/** Calls `before` when a file whose path has this text is about to be synced. */
export function onSync(text: string, before: (file: OpenFile) => void | Promise<void>): FileSystem {
  return {
    ...quickFileSystem,
    open: (file, mode) => {
      const opened = quickFileSystem.open(file, mode)
      if (!file.includes(text)) return opened
      const sync = opened.sync.bind(opened)
      opened.sync = async () => {
        await before(opened)
        await sync()
      }
      return opened
    },
  }
}
