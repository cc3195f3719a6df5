/**
 * Which folders may be opened from outside: those below an allowed root, after every link on the way
 * is resolved, and without a link inside that leads out again. Asked before each opening; the answer
 * is the resolved path, and only that one is opened.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { findIndex, nodeFileSystem, storeRoot } from './engine-door.ts'
import { Refusal } from './refusal.ts'

/** A data folder has a few levels and, with 10,000 segments, a few ten thousand files. */
const DEPTH_MAX = 4
const ENTRIES_MAX = 200_000
const FOLDERS_SHOWN_MAX = 1_000

export interface FolderEntry {
  dir: string
  name: string
  dataFolder: boolean
}

export class AllowedRoots {
  /** Absolute, without links. */
  readonly roots: readonly string[]
  readonly #hint: (root: string) => string

  /** `hint`: what to write where, to allow a folder. A root that does not exist is refused by throwing, at the start rather than at every opening. */
  constructor(
    roots: readonly string[],
    hint = (root: string): string => `start with --allow-root ${root}`,
  ) {
    this.roots = roots.map((root) => fs.realpathSync(root))
    this.#hint = hint
  }

  /** The folder without links. `mayCreate`: it need not exist, what it lies in must. Throws Refusal. */
  resolve(dir: string, mayCreate = false): string {
    if (!path.isAbsolute(dir)) throw forbidden(dir, 'the path is not absolute')
    if (dir.includes('\0')) throw new Refusal('BAD_REQUEST', 'a path has no zero byte')
    if (dir.split(/[\\/]/).includes('..')) throw forbidden(dir, 'the path contains ".."')
    const real = realPath(dir, mayCreate)
    if (real === undefined) {
      // A path outside is not told whether it exists.
      if (this.#isBelow(path.resolve(dir))) throw new Refusal('NOT_FOUND', `no folder ${dir}`)
      throw this.#outside(dir)
    }
    if (!this.#isBelow(real)) throw this.#outside(dir)
    return real
  }

  /**
   * The root of the store that the folder names, which is around it when it is a maindb. Also looks at
   * the links inside. Throws Refusal.
   */
  resolveForOpening(dir: string, mayCreate: boolean): string {
    const real = storeRoot(nodeFileSystem, this.resolve(dir, mayCreate))
    if (!this.#isBelow(real)) {
      throw forbidden(dir, `its store is ${real}, which is not below an allowed folder`)
    }
    const escaping = this.#escapingLink(real)
    if (escaping !== undefined) {
      throw forbidden(dir, `${escaping} is a link that leads out of the allowed folders`)
    }
    return real
  }

  /** Folders directly below; data folders are told by what is in them. */
  list(dir: string): { folders: FolderEntry[]; parent: string | null; truncated: boolean } {
    const real = this.resolve(dir)
    const folders: FolderEntry[] = []
    let truncated = false
    for (const entry of readFolder(real)) {
      if (!entry.isDirectory()) continue
      if (folders.length === FOLDERS_SHOWN_MAX) {
        truncated = true
        break
      }
      folders.push(folderEntry(path.join(real, entry.name)))
    }
    const parent = this.roots.includes(real) ? null : path.dirname(real)
    return { folders, parent, truncated }
  }

  rootEntries(): FolderEntry[] {
    return this.roots.map(folderEntry)
  }

  #isBelow(real: string): boolean {
    return this.roots.some((root) => {
      const rest = path.relative(root, real)
      return rest === '' || (!rest.startsWith('..') && !path.isAbsolute(rest))
    })
  }

  #escapingLink(dir: string, depth = 0, budget = { left: ENTRIES_MAX }): string | undefined {
    for (const entry of readFolder(dir)) {
      budget.left -= 1
      if (budget.left < 0) throw new Refusal('TOO_LARGE', `${dir} has too many entries to check`)
      const name = path.join(dir, entry.name)
      if (entry.isSymbolicLink()) {
        const target = realPath(name, false)
        if (target === undefined || !this.#isBelow(target)) return name
      } else if (entry.isDirectory() && depth < DEPTH_MAX) {
        const found = this.#escapingLink(name, depth + 1, budget)
        if (found !== undefined) return found
      }
    }
    return undefined
  }

  #outside(dir: string): Refusal {
    const below = this.roots.length === 0 ? 'none' : this.roots.join(', ')
    return forbidden(
      dir,
      `it is not below an allowed folder (${below}); ${this.#hint(path.dirname(dir))} to allow it`,
    )
  }
}

/** What opening would find: the engine makes a new store in anything that is not one. */
export function folderContent(dir: string): 'data' | 'empty' | 'absent' | 'other' {
  const stat = fs.statSync(dir, { throwIfNoEntry: false })
  if (stat === undefined) return 'absent'
  if (!stat.isDirectory()) return 'other'
  if (folderEntry(dir).dataFolder) return 'data'
  return readFolder(dir).length === 0 ? 'empty' : 'other'
}

function forbidden(dir: string, why: string): Refusal {
  return new Refusal('FORBIDDEN_FOLDER', `${dir} may not be opened: ${why}`)
}

/** undefined: it does not exist, or with `mayCreate` neither does what it would lie in. */
function realPath(name: string, mayCreate: boolean): string | undefined {
  try {
    return fs.realpathSync(name)
  } catch {
    if (!mayCreate || isLink(name)) return undefined
    const parent = path.dirname(name)
    const realParent = parent === name ? undefined : realPath(parent, false)
    return realParent === undefined ? undefined : path.join(realParent, path.basename(name))
  }
}

/** A link into nothing: creating through it would create somewhere else. */
function isLink(name: string): boolean {
  return fs.lstatSync(name, { throwIfNoEntry: false })?.isSymbolicLink() === true
}

function folderEntry(dir: string): FolderEntry {
  const dataFolder = fs.existsSync(path.join(dir, 'maindb')) || hasIndex(dir)
  return { dir, name: path.basename(dir), dataFolder }
}

/** What cannot be looked at is no folder to offer. */
function hasIndex(dir: string): boolean {
  try {
    return findIndex(nodeFileSystem, dir) !== undefined
  } catch {
    return false
  }
}

function readFolder(dir: string): fs.Dirent[] {
  try {
    return fs.readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
}
