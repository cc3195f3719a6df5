/** The plain parts of what maintenance sees of the engine: those that need no state of the engine's own. */
import { dirname } from 'node:path'
import { readSmallFile, removeIfPresent, replaceFile, type FileSystem } from './file-system.ts'
import type { MaintenanceHost } from './maintenance/host.ts'
import { planSteps, type PlanRequest } from './maintenance/planner.ts'
import { Slicer, type SliceSettings } from './slicer.ts'
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

/**
 * A plan in slices, beginning in a turn of its own. Aborted between two of them it rejects, and nothing
 * of it is left; a plan that takes less than a slice is never cut.
 */
export async function planAlone(
  request: PlanRequest,
  signal: AbortSignal,
  slices: SliceSettings,
): Promise<RewritePlan> {
  await slices.yieldNow()
  signal.throwIfAborted()
  const slicer = new Slicer(slices)
  const steps = planSteps(request)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (!slicer.due) continue
    await slicer.pause()
    signal.throwIfAborted()
  }
}

/** One that cannot be looked at counts as there: whoever set it up wants maintenance held back. */
export function isPresent(fileSystem: FileSystem, file: string): boolean {
  try {
    return fileSystem.stat(file) !== undefined
  } catch {
    return true
  }
}
