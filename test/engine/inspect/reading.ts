/** What the inspect tests share: sample folders, private copies of them, and one way to read. */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { onTestFinished } from 'vitest'
import { nodeFileSystem } from '../../../engine/file-system.ts'
import {
  inspectFolder,
  type FolderReading,
  type InspectReport,
  type InspectRequest,
} from '../../../engine/inspect.ts'

export const DATA = path.join(import.meta.dirname, '../../data')
export const READ_AT_MS = 1_774_000_100_000

export function expectedReading(name: string): InspectReport {
  const text = fs.readFileSync(path.join(DATA, `${name}.expected.json`), 'utf8')
  return JSON.parse(text) as InspectReport
}

export function tempFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-inspect-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A copy that the test may change. */
export function copyOf(name: string): string {
  return copyOfFolder(path.join(DATA, name))
}

/** A copy of any folder, as `cp -r` would make it. */
export function copyOfFolder(source: string): string {
  const folder = path.join(tempFolder(), path.basename(source))
  fs.cpSync(source, folder, { recursive: true })
  return folder
}

export function read(folder: string, request: InspectRequest = {}): Promise<FolderReading> {
  const yieldNow = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return inspectFolder(
    folder,
    { fileSystem: nodeFileSystem, yieldNow, nowMs: READ_AT_MS, monotonic: () => performance.now() },
    request,
  )
}

/** One line an entry below `folder`: kind, name, size, times, content. */
export function fingerprint(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const file = path.join(folder, name)
      const stat = fs.lstatSync(file, { bigint: true })
      const content = stat.isFile()
        ? createHash('sha256').update(fs.readFileSync(file)).digest('hex')
        : stat.isSymbolicLink()
          ? fs.readlinkSync(file)
          : 'folder'
      return [name, stat.ino, stat.mode, stat.size, stat.mtimeNs, stat.ctimeNs, content].join(' ')
    })
}

export function flipByte(file: string, at: number): void {
  const bytes = fs.readFileSync(file)
  const value = bytes[at]
  if (value === undefined) throw new RangeError(`${file} has no byte ${at}`)
  bytes[at] = value ^ 0xff
  fs.writeFileSync(file, bytes)
}
