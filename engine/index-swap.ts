/**
 * Replacing index.db as a whole (backend.md 9.1). The new file is written beside it and named ready
 * once all of it, and all that it names, is on disk:
 *
 *   index.db.new | index.db.new.ready ("ready\n") | index.db -> index.db.bak | index.db.new -> index.db |
 *   remove ready and bak
 *
 * A crash leaves one of four states, and each is whole:
 *
 *   index.db there                    it counts, old or new; what stands beside it goes
 *   no index.db, new and ready        the new one takes its place
 *   no index.db, bak                  the old one comes back
 *   none of them                      no data folder, or a new one
 */
import * as path from 'node:path'
import { EngineError, ioError } from './errors.ts'
import { removeIfPresent, type FileSystem } from './file-system.ts'

export const INDEX_FILE = 'index.db'
export const NEW_INDEX_FILE = 'index.db.new'
const READY_FILE = 'index.db.new.ready'
const OLD_INDEX_FILE = 'index.db.bak'

/** Name of the file in `main` that holds the index, also after a crash in the middle of a swap. */
export function indexFileName(fileSystem: FileSystem, main: string): string | undefined {
  const isFile = (name: string): boolean => fileSystem.stat(path.join(main, name))?.isFile === true
  if (isFile(INDEX_FILE)) return INDEX_FILE
  if (isFile(NEW_INDEX_FILE) && isFile(READY_FILE)) return NEW_INDEX_FILE
  return isFile(OLD_INDEX_FILE) ? OLD_INDEX_FILE : undefined
}

/**
 * Under the lock, before index.db is opened: ends a swap that a crash cut short. An old index beside
 * a living one stays until `removeOldIndex`.
 */
export async function recoverIndexSwap(fileSystem: FileSystem, main: string): Promise<void> {
  const found = indexFileName(fileSystem, main)
  if (found === undefined) return
  if (found !== INDEX_FILE) {
    await fileSystem.rename(path.join(main, found), path.join(main, INDEX_FILE))
    await fileSystem.syncFolder(main)
  }
  await removeNewIndex(fileSystem, main)
}

/** What a swap that did not begin leaves. */
export async function removeNewIndex(fileSystem: FileSystem, main: string): Promise<void> {
  let removed = false
  for (const name of [READY_FILE, NEW_INDEX_FILE]) {
    if (await removeIfPresent(fileSystem, path.join(main, name))) removed = true
  }
  if (removed) await fileSystem.syncFolder(main)
}

/** Once index.db was read and found whole, nobody needs the one before it. */
export async function removeOldIndex(fileSystem: FileSystem, main: string): Promise<void> {
  const removed = await removeIfPresent(fileSystem, path.join(main, OLD_INDEX_FILE))
  if (removed) await fileSystem.syncFolder(main)
}

/**
 * The new index, synced together with all that it names, takes the old one's place; durable when it
 * resolves. After a rejection index.db is the old one, or a crash's state that the next opening ends.
 */
export async function swapIndex(fileSystem: FileSystem, main: string): Promise<void> {
  const [current, fresh, ready, old] = [INDEX_FILE, NEW_INDEX_FILE, READY_FILE, OLD_INDEX_FILE].map(
    (name) => path.join(main, name),
  ) as [string, string, string, string]
  await writeReady(fileSystem, ready)
  await fileSystem.syncFolder(main)
  await removeIfPresent(fileSystem, old)
  await fileSystem.rename(current, old)
  try {
    await fileSystem.rename(fresh, current)
  } catch (error) {
    await bringBack(fileSystem, { old, current }, error)
    throw error
  }
  await fileSystem.syncFolder(main)
}

/** After a swap: only index.db stays. */
export async function endSwap(fileSystem: FileSystem, main: string): Promise<void> {
  for (const name of [READY_FILE, OLD_INDEX_FILE]) {
    await removeIfPresent(fileSystem, path.join(main, name))
  }
  await fileSystem.syncFolder(main)
}

async function writeReady(fileSystem: FileSystem, file: string): Promise<void> {
  const handle = fileSystem.open(file, 'create')
  try {
    const text = Buffer.from('ready\n')
    handle.write(text, 0, text.length, 0)
    await handle.sync()
  } finally {
    handle.close()
  }
}

/** A failure of the rollback joins the error that made it necessary. */
async function bringBack(
  fileSystem: FileSystem,
  files: { old: string; current: string },
  cause: unknown,
): Promise<void> {
  try {
    await fileSystem.rename(files.old, files.current)
  } catch (error) {
    const first = ioError('the new index could not be put in place', cause).message
    const second = ioError('nor could the old one be brought back', error).message
    throw new EngineError('ENGINE_IO', `${first}; ${second}; the next opening does`, error)
  }
}
