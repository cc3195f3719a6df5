/**
 * The file-system calls the engine uses, as an interface, and Node's version of it. The only engine
 * module that touches `node:fs`. Synchronous calls where a cached call costs a microsecond;
 * asynchronous ones where the disk makes us wait (sync, unlink, rename: a change of names waits for the
 * commit of the file system's journal that another file's sync began).
 */
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import * as path from 'node:path'
import { promisify } from 'node:util'
import { EngineError, ioError } from './errors.ts'
import { flockHolder, takeFlock } from './flock.ts'

export interface FileStat {
  size: number
  mtimeMs: number
  isDirectory: boolean
  isFile: boolean
  isSymbolicLink: boolean
}

/** An open file. Positions are explicit; there is no cursor. */
export interface OpenFile {
  readonly path: string
  /** Returns the bytes read, fewer only at the end of the file. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): number
  /** Writes all or throws. */
  write(buffer: Uint8Array, offset: number, length: number, position: number): void
  /**
   * The same two beside the thread, for large pieces. The buffer's part is not to be touched until then.
   * Absent: only `read` and `write` are there.
   */
  readAside?(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  writeAside?(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void>
  size(): number
  truncate(length: number): void
  /** fdatasync. After a rejection nothing about the file's unsynced bytes may be assumed. */
  sync(): Promise<void>
  close(): void
  /**
   * The same beside the thread, for a file that was deleted: its space is given back in steps, which
   * takes tens of milliseconds for a large one. Never rejects. Absent: only `close` is there.
   */
  closeAside?(): Promise<void>
}

/** An exclusive lock that the kernel drops when the process dies. */
export interface FolderLock {
  release(): void
}

export type OpenMode = 'read' | 'append' | 'create'

export interface FileSystem {
  /**
   * 'read' opens O_RDONLY; 'append' creates when absent; 'create' refuses an existing file. A link, a
   * folder, a pipe or a device is refused without waiting for anything: only regular files open.
   */
  open(file: string, mode: OpenMode): OpenFile
  /** The same beside the thread. Absent: only `open` is there. */
  openAside?(file: string, mode: OpenMode): Promise<OpenFile>
  /** lstat: a link is reported as a link. undefined when absent. */
  stat(file: string): FileStat | undefined
  /** Names, unsorted; undefined when the folder is absent. */
  list(folder: string): string[] | undefined
  makeFolder(folder: string): void
  rename(from: string, to: string): Promise<void>
  unlink(file: string): Promise<void>
  /** fsync of the folder, so that its entries survive a crash. */
  syncFolder(folder: string): Promise<void>
  /** undefined when absent; only regular files, like `open`. */
  readFile(file: string): Uint8Array | undefined
  /**
   * ENGINE_LOCKED, naming the holder, when someone else has it, this engine or another one of the format; the
   * file's text is for people only.
   */
  lock(file: string): FolderLock
  /**
   * Somebody has the lock; false when the file is absent. Asked by a shared lock of a moment that no other
   * engine sees, without writing. Absent: nobody can tell.
   */
  isLocked?(file: string): boolean
}

/** Write beside, sync, rename over, sync the folder: a crash leaves the old file or the new one. */
export async function replaceFile(
  fileSystem: FileSystem,
  file: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = `${file}.tmp`
  await removeIfPresent(fileSystem, temporary)
  const handle =
    (await fileSystem.openAside?.(temporary, 'create')) ?? fileSystem.open(temporary, 'create')
  try {
    handle.write(bytes, 0, bytes.length, 0)
    await handle.sync()
  } finally {
    handle.close()
  }
  await fileSystem.rename(temporary, file)
  await fileSystem.syncFolder(path.dirname(file))
}

export async function removeIfPresent(fileSystem: FileSystem, file: string): Promise<boolean> {
  if (fileSystem.stat(file) === undefined) return false
  await fileSystem.unlink(file)
  return true
}

/** The whole of a small file; undefined when absent. Above `bytesMax` it is refused unread: ENGINE_CORRUPT. */
export function readSmallFile(
  fileSystem: FileSystem,
  file: string,
  bytesMax: number,
): Uint8Array | undefined {
  const stat = fileSystem.stat(file)
  if (stat === undefined) return undefined
  if (stat.size > bytesMax) {
    throw new EngineError(
      'ENGINE_CORRUPT',
      `${file} has ${stat.size} bytes, more than the ${bytesMax} of any honest one`,
    )
  }
  return fileSystem.readFile(file)
}

interface NativeLocks {
  tryLock(fd: number, offset?: number, length?: number, how?: { shared: boolean }): boolean
  unlock(fd: number): void
}

const requireNative = createRequire(import.meta.url)

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code
}

class NodeFile implements OpenFile {
  readonly path: string
  #fd: number | null
  /** Calls that another thread is in. */
  #aside = 0
  #closing = false

  constructor(file: string, fd: number) {
    this.path = file
    this.#fd = fd
  }

  get #open(): number {
    if (this.#fd === null) throw new EngineError('ENGINE_IO', `${this.path} is closed`)
    return this.#fd
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    // Not by `#call`: a function made for each read is a tenth of what one costs.
    try {
      const fd = this.#open
      let done = fs.readSync(fd, buffer, offset, length, position)
      while (done > 0 && done < length) {
        const n = fs.readSync(fd, buffer, offset + done, length - done, position + done)
        if (n === 0) break
        done += n
      }
      return done
    } catch (error) {
      throw ioError(`cannot read ${this.path}`, error)
    }
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#call('write', (fd) => {
      let done = 0
      while (done < length) {
        done += fs.writeSync(fd, buffer, offset + done, length - done, position + done)
      }
    })
  }

  size(): number {
    return this.#call('look at', (fd) => fs.fstatSync(fd).size)
  }

  truncate(length: number): void {
    this.#call('resize', (fd) => fs.ftruncateSync(fd, length))
  }

  #call<T>(what: string, work: (fd: number) => T): T {
    try {
      return work(this.#open)
    } catch (error) {
      throw ioError(`cannot ${what} ${this.path}`, error)
    }
  }

  async readAside(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    let done = 0
    while (done < length) {
      const [from, left, at] = [offset + done, length - done, position + done]
      const n = await this.#beside('read', (fd, end) => {
        fs.read(fd, buffer, from, left, at, end)
      })
      if (n === 0) break
      done += n
    }
    return done
  }

  async writeAside(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<void> {
    let done = 0
    while (done < length) {
      const [from, left, at] = [offset + done, length - done, position + done]
      done += await this.#beside('write', (fd, end) => {
        fs.write(fd, buffer, from, left, at, end)
      })
    }
  }

  async sync(): Promise<void> {
    await this.#beside('sync', (fd, end) => {
      fs.fdatasync(fd, (error) => {
        end(error, 0)
      })
    })
  }

  #beside(
    what: string,
    call: (fd: number, end: (error: Error | null, result: number) => void) => void,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const fd = this.#open
      this.#aside++
      call(fd, (error, result) => {
        this.#aside--
        if (this.#closing && this.#aside === 0) fs.closeSync(fd)
        if (error) reject(ioError(`cannot ${what} ${this.path}`, error))
        else resolve(result)
      })
    })
  }

  async closeAside(): Promise<void> {
    const fd = this.#fd
    if (fd === null || this.#aside > 0) {
      this.close()
      return
    }
    this.#fd = null
    await shrinkNameless(fd)
    await new Promise<void>((resolve) => {
      fs.close(fd, () => {
        resolve()
      })
    })
  }

  close(): void {
    if (this.#fd === null) return
    // A descriptor closed under a running call could be another file's by the time it is used.
    this.#closing = true
    if (this.#aside === 0) fs.closeSync(this.#fd)
    this.#fd = null
  }
}

/** Given back at once: syncs of other files wait for one of these at most. */
const GIVEN_BACK_BYTES = 4 * 1024 * 1024

/**
 * Gives a deleted file's space back in steps. The last close would free all of it in one commit of the
 * file system's journal, and every sync of a foreground writer would wait for that: 15 to 25 ms for 64 MiB
 * instead of 5. A file that has another name, as in a copy made of links, is left alone. Never rejects.
 */
async function shrinkNameless(fd: number): Promise<void> {
  try {
    const { nlink, size } = fs.fstatSync(fd)
    if (nlink > 0 || size <= GIVEN_BACK_BYTES) return
    // Sealed segments are open for reading only, and without a name this is the one way to open it again.
    const file = await fs.promises.open(`/proc/self/fd/${fd}`, 'r+')
    try {
      for (let left = size - GIVEN_BACK_BYTES; left > 0; left -= GIVEN_BACK_BYTES) {
        await file.truncate(left)
      }
    } finally {
      await file.close()
    }
  } catch {
    // Not Linux, or refused: closing gives back what is left.
  }
}

/** 0600 like upstream: values may be anybody's secrets. */
const FILE_MODE = 0o600

/** A descriptor, where those of `fs.promises` close themselves when nobody holds them. */
const openBeside = promisify(fs.open)

// Opening a pipe would wait for its other end without O_NONBLOCK, which means nothing to a file.
const NOT_AROUND = fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK
const OPEN_FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY | NOT_AROUND,
  append: fs.constants.O_RDWR | fs.constants.O_CREAT | NOT_AROUND,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
}

/** A descriptor of a regular file; throws an errno for anything else. */
function openRegular(file: string, mode: OpenMode): number {
  return regular(fs.openSync(file, OPEN_FLAGS[mode], FILE_MODE))
}

function regular(fd: number): number {
  if (fs.fstatSync(fd).isFile()) return fd
  fs.closeSync(fd)
  throw new Error('not a regular file')
}

const HAS_TWO_LOCKS = process.platform === 'linux'
/** A lock that is held for a moment only is no writer's. */
const LOCK_TRIES = 3
const LOCK_WAIT_MS = 2

function wait(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function tookLock(locks: NativeLocks, fd: number): boolean {
  for (let tries = 1; !locks.tryLock(fd); tries++) {
    if (tries === LOCK_TRIES) return false
    // Whoever asks `isLocked` has it for some microseconds.
    wait(LOCK_WAIT_MS)
  }
  return true
}

/** Takes the lock that other engines take, too; or says who has it. Those of Restage are excluded already. */
function otherEngine(fd: number): string | undefined {
  let answer = takeFlock(fd)
  // Whoever gives it up may have left a copy to a child that is only just starting a program.
  for (let tries = 1; answer === 'held' && tries < LOCK_TRIES; tries++) {
    wait(LOCK_WAIT_MS)
    answer = takeFlock(fd)
  }
  if (answer === 'taken') return undefined
  const holder = holderByFlock(fd)
  // Without the tool one that runs is seen at least; it does not see this one then.
  if (answer === 'unknown' && holder === undefined) return undefined
  return holder === undefined || holder === 0 ? 'another program' : `process ${holder}`
}

/** 0: a process without a number here. */
function holderByFlock(fd: number): number | undefined {
  try {
    const { ino } = fs.fstatSync(fd, { bigint: true })
    return flockHolder(fs.readFileSync('/proc/locks', 'latin1'), ino)
  } catch {
    return undefined
  }
}

function lockedBy(file: string, holder: string): EngineError {
  return new EngineError('ENGINE_LOCKED', `${path.dirname(file)} is open for writing by ${holder}`)
}

export const nodeFileSystem: FileSystem = {
  open(file, mode) {
    try {
      return new NodeFile(file, openRegular(file, mode))
    } catch (error) {
      throw ioError(`cannot open ${file}`, error)
    }
  },

  async openAside(file, mode) {
    try {
      return new NodeFile(file, regular(await openBeside(file, OPEN_FLAGS[mode], FILE_MODE)))
    } catch (error) {
      throw ioError(`cannot open ${file}`, error)
    }
  },

  stat(file) {
    let stat: fs.Stats | undefined
    try {
      stat = fs.lstatSync(file, { throwIfNoEntry: false })
    } catch (error) {
      throw ioError(`cannot look at ${file}`, error)
    }
    if (stat === undefined) return undefined
    return {
      size: stat.size,
      mtimeMs: stat.mtimeMs,
      isDirectory: stat.isDirectory(),
      isFile: stat.isFile(),
      isSymbolicLink: stat.isSymbolicLink(),
    }
  },

  list(folder) {
    try {
      return fs.readdirSync(folder)
    } catch (error) {
      if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined
      throw ioError(`cannot list ${folder}`, error)
    }
  },

  makeFolder(folder) {
    try {
      fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw ioError(`cannot make folder ${folder}`, error)
    }
  },

  async rename(from, to) {
    try {
      await fs.promises.rename(from, to)
    } catch (error) {
      throw ioError(`cannot rename ${from} to ${to}`, error)
    }
  },

  async unlink(file) {
    try {
      await fs.promises.unlink(file)
    } catch (error) {
      // Already gone is what the caller wanted.
      if (!isErrno(error, 'ENOENT')) throw ioError(`cannot delete ${file}`, error)
    }
  },

  async syncFolder(folder) {
    try {
      const handle = await fs.promises.open(folder, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw ioError(`cannot sync folder ${folder}`, error)
    }
  },

  readFile(file) {
    let fd: number | undefined
    try {
      fd = openRegular(file, 'read')
      return fs.readFileSync(fd)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw ioError(`cannot read ${file}`, error)
    } finally {
      if (fd !== undefined) fs.closeSync(fd)
    }
  },

  lock(file) {
    const locks = requireNative('fs-native-extensions') as NativeLocks
    let fd: number
    try {
      fd = openRegular(file, 'append')
    } catch (error) {
      throw ioError(`cannot open the lock ${file}`, error)
    }
    if (!tookLock(locks, fd)) {
      const text = fs.readFileSync(fd, 'utf8').trim()
      fs.closeSync(fd)
      throw lockedBy(file, text === '' ? 'another process' : text)
    }
    const other = HAS_TWO_LOCKS ? otherEngine(fd) : undefined
    if (other !== undefined) {
      fs.closeSync(fd)
      throw lockedBy(file, other)
    }
    try {
      fs.ftruncateSync(fd)
      fs.writeSync(fd, `process ${process.pid}\n`, 0)
    } catch (error) {
      fs.closeSync(fd)
      throw ioError(`cannot write the lock ${file}`, error)
    }
    let held = true
    return {
      release() {
        if (!held) return
        held = false
        locks.unlock(fd)
        fs.closeSync(fd)
      },
    }
  },

  isLocked(file) {
    const locks = requireNative('fs-native-extensions') as NativeLocks
    let fd: number | undefined
    try {
      fd = openRegular(file, 'read')
      if (!locks.tryLock(fd, 0, 0, { shared: true })) return true
      locks.unlock(fd)
      // The other lock is not asked for by taking it: its holder-to-be tries once.
      return HAS_TWO_LOCKS && holderByFlock(fd) !== undefined
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false
      throw ioError(`cannot look at the lock ${file}`, error)
    } finally {
      if (fd !== undefined) fs.closeSync(fd)
    }
  },
}
