/** A file system of which some syncs and unlinks wait until they are let go. */
import type { FileSystem } from '../../engine/file-system.ts'
import type { FileCall } from './fault-file-system.ts'

export interface HoldingFileSystem {
  fileSystem: FileSystem
  /** From now on. */
  hold: () => void
  /** Resolves when the first such call waits. */
  met: Promise<void>
  release: () => void
}

/** Calls like `isHeld` wait for `release` before they begin, once `hold` was called. */
export function holding(
  fileSystem: FileSystem,
  isHeld: (call: FileCall, file: string) => boolean,
): HoldingFileSystem {
  let meet = (): void => undefined
  let release = (): void => undefined
  const met = new Promise<void>((resolve) => (meet = resolve))
  const released = new Promise<void>((resolve) => (release = resolve))
  let holds = false
  const wait = async (call: FileCall, file: string): Promise<void> => {
    if (!holds || !isHeld(call, file)) return
    meet()
    await released
  }
  const held: FileSystem = {
    ...fileSystem,
    open: (file, mode) => {
      const opened = fileSystem.open(file, mode)
      const sync = opened.sync.bind(opened)
      opened.sync = async () => {
        await wait('sync', file)
        await sync()
      }
      return opened
    },
    unlink: async (file) => {
      await wait('unlink', file)
      await fileSystem.unlink(file)
    },
    syncFolder: async (folder) => {
      await wait('syncFolder', folder)
      await fileSystem.syncFolder(folder)
    },
  }
  return { fileSystem: held, hold: () => (holds = true), met, release: () => release() }
}
