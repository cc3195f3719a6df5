/** The plain parts of what maintenance sees of the engine: those that need no state of the engine's own. */
import { dirname } from 'node:path'
import { readSmallFile, removeIfPresent, replaceFile, type FileSystem } from './file-system.ts'
import type { MaintenanceHost } from './maintenance/host.ts'
import { planRewrite, type PlanRequest } from './maintenance/planner.ts'
import type { RewritePlan } from './types.ts'

/** A queue of 100,000 segments needs less. */
const STATE_BYTES_MAX = 2 ** 25

/** The state file, replaced as a whole and durable when it is said to be. */
export function stateText(
  fileSystem: FileSystem,
  file: string,
): Pick<MaintenanceHost, 'saveState' | 'loadState'> {
  return {
    saveState: async (json) => {
      if (json === null) {
        const removed = await removeIfPresent(fileSystem, file)
        if (removed) await fileSystem.syncFolder(dirname(file))
      } else await replaceFile(fileSystem, file, Buffer.from(json))
    },
    loadState: () => {
      const bytes = readSmallFile(fileSystem, file, STATE_BYTES_MAX)
      return Promise.resolve(bytes === undefined ? null : Buffer.from(bytes).toString('utf8'))
    },
  }
}

/** A turn of the thread to itself: a plan takes a microsecond or two a segment. */
export async function planAlone(
  request: PlanRequest,
  signal: AbortSignal,
  yieldNow: () => Promise<void>,
): Promise<RewritePlan> {
  await yieldNow()
  signal.throwIfAborted()
  return planRewrite(request)
}

/** One that cannot be looked at counts as there: whoever set it up wants maintenance held back. */
export function isPresent(fileSystem: FileSystem, file: string): boolean {
  try {
    return fileSystem.stat(file) !== undefined
  } catch {
    return true
  }
}
