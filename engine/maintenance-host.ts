/** The plain parts of what maintenance sees of the engine: those that need no state of the engine's own. */
import { dirname } from 'node:path'
import { EngineError } from './errors.ts'
import { readSmallFile, removeIfPresent, replaceFile, type FileSystem } from './file-system.ts'
import type { FolderPaths } from './folder.ts'
import type { MaintenanceHost } from './maintenance/host.ts'
import { planSteps, type PlanRequest } from './maintenance/planner.ts'
import { Slicer, type SliceSettings } from './slicer.ts'
import type { RewritePlan } from './types.ts'

/** A queue of 100,000 segments needs less. */
const STATE_BYTES_MAX = 2 ** 25

/**
 * The state file, replaced as a whole and durable when it is said to be. One that stands only where the
 * other layout has it, or that alone can be read, is taken from there and moves with the next save; of two
 * the one of this layout counts, and `ignored` hears that the other was removed. `loadState` rejects with
 * what could not be read and what the next save does with it.
 */
export function stateText(
  fileSystem: FileSystem,
  { state, otherState }: Pick<FolderPaths, 'state' | 'otherState'>,
  ignored: (problem: string) => void,
): Pick<MaintenanceHost, 'saveState' | 'loadState'> {
  const isFile = (file: string | null): file is string =>
    file !== null && fileSystem.stat(file)?.isFile === true
  const read = (file: string): string | null => {
    const bytes = readSmallFile(fileSystem, file, STATE_BYTES_MAX)
    return bytes === undefined ? null : Buffer.from(bytes).toString('utf8')
  }
  const unread = (error: unknown, becomes: string): unknown =>
    error instanceof EngineError
      ? new EngineError(error.code, `${error.message}; ${becomes}`, error)
      : error
  const remove = async (file: string): Promise<void> => {
    const removed = await removeIfPresent(fileSystem, file)
    if (removed) await fileSystem.syncFolder(dirname(file))
  }
  return {
    // A crash between the two leaves the newer one, or both: never only the older.
    saveState: async (json) => {
      if (json !== null) await replaceFile(fileSystem, state, Buffer.from(json))
      if (isFile(otherState)) await remove(otherState)
      if (json === null) await remove(state)
    },
    loadState: async () => {
      let text: string | null
      try {
        text = read(state)
      } catch (error) {
        const problem = unread(error, afterSave(fileSystem, state))
        // As for a reading: what stands in this place is no state file, so the other is the only one.
        if (!isFile(otherState) || !(problem instanceof EngineError)) throw problem
        ignored(`${problem.message}; ${otherState} counts`)
        text = null
      }
      if (!isFile(otherState)) return text
      if (text === null) {
        try {
          return read(otherState)
        } catch (error) {
          throw unread(error, 'the next save removes it')
        }
      }
      const two = `there were two state files; ${state} counts, ${otherState}`
      try {
        await remove(otherState)
        ignored(`${two} was removed`)
      } catch (error) {
        // Not worth the debt that was just read: the next save tries again.
        if (!(error instanceof EngineError)) throw error
        ignored(`${two} could not be removed: ${error.message}`)
      }
      return text
    },
  }
}

/** What the next save does with something that stands in the state file's place. */
function afterSave(fileSystem: FileSystem, file: string): string {
  const stat = fileSystem.stat(file)
  if (stat?.isDirectory === true) return 'nothing can be saved until that folder is moved away'
  if (stat?.isSymbolicLink === true) {
    return 'the next save puts a file in the place of this link, and leaves alone what it leads to'
  }
  return 'the next save replaces it'
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

/** Some lines of text; a longer file of this name says nothing to people. */
const PAUSE_FILE_BYTES_MAX = 4096
const PAUSE_REASON_MAX = 200

/** The file whose presence holds maintenance back, and what it says. */
export function pauseFileAt(
  fileSystem: FileSystem,
  file: string,
): Pick<MaintenanceHost, 'lookForPauseFile' | 'writePauseFile'> {
  return {
    // One that cannot be looked at counts as there: whoever set it up wants maintenance held back.
    lookForPauseFile: () => {
      try {
        const bytes = readSmallFile(fileSystem, file, PAUSE_FILE_BYTES_MAX)
        if (bytes === undefined) return { present: false, reason: null }
        const [line = ''] = Buffer.from(bytes).toString('utf8').trim().split(/\r?\n/)
        const reason = line.trim().slice(0, PAUSE_REASON_MAX)
        return { present: true, reason: reason === '' ? null : reason }
      } catch {
        return { present: true, reason: null }
      }
    },
    writePauseFile: async (reason) => {
      if (reason === null) await removeIfPresent(fileSystem, file)
      else await replaceFile(fileSystem, file, Buffer.from(reason === '' ? '' : `${reason}\n`))
    },
  }
}
