/**
 * Makes folders hostile: seeded mutation of the files of a data folder, from single bytes to links and
 * lengths that lie, with checksums repaired half of the time so that the lies get past them.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { checksum, type ChecksumKind } from '../../engine/checksum.ts'
import { PAGE_BYTES, makePage, pageChecksum } from '../../engine/index/page.ts'
import { RECORD_HEADER_BYTES } from '../../engine/value-log/record.ts'
import type { Random } from './random.ts'

const EXTENSION_BYTES_MAX = 256 * 1024
const HUGE = [0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1_000_000, 0x0400_0000]

function filesOf(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
}

/** Changes some things about the folder; what they were, for a failure's message. */
export function makeHostile(dir: string, kind: ChecksumKind, random: Random): string {
  const done: string[] = []
  const repair = random.chance(0.5)
  for (let i = random.between(1, 4); i > 0; i--) {
    const files = filesOf(dir)
    if (files.length === 0) break
    // Half of the time where most structure is.
    const index = files.find((file) => file.endsWith('index.db'))
    const file = index !== undefined && random.chance(0.5) ? index : random.pick(files)
    const mutations =
      file === index ? [...ANY, ...PAGES, ...PAGES, ...PAGES, link] : [...ANY, ...ANY, ...FILES]
    const mutate = random.pick(mutations)
    const starts = repair && file !== index ? recordStarts(file) : []
    try {
      mutate(file, random, files)
    } catch (error) {
      // No room for it in a file cut short before.
      if (!(error instanceof RangeError)) throw error
    }
    if (repair && file === index) repairPages(file, kind)
    if (starts.length > 0) repairRecords(file, starts, kind)
    done.push(`${mutate.name} ${path.relative(dir, file)}`)
  }
  return `${done.join(', ')}${repair ? ', checksums repaired' : ''}`
}

type Mutation = (file: string, random: Random, files: readonly string[]) => void

/** Of the bytes, one piece is changed in place; an index is mostly unused space behind its pages. */
function edit(file: string, random: Random, change: (bytes: Buffer, at: number) => void): void {
  const bytes = fs.readFileSync(file)
  if (bytes.length === 0) return
  let used = bytes.length
  while (used > 1 && bytes[used - 1] === 0) used--
  change(bytes, random.between(0, used - 1))
  fs.writeFileSync(file, bytes)
}

function flipBytes(file: string, random: Random): void {
  for (let i = random.between(1, 6); i > 0; i--) {
    edit(file, random, (bytes, at) => (bytes[at] = random.between(0, 255)))
  }
}

function zeroRange(file: string, random: Random): void {
  edit(file, random, (bytes, at) =>
    bytes.fill(0, at, Math.min(bytes.length, at + random.between(1, 5000))),
  )
}

function lieAboutLength(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(HUGE), at)
  })
}

function truncate(file: string, random: Random): void {
  edit(file, random, () => undefined)
  fs.truncateSync(file, random.between(0, fs.statSync(file).size))
}

function extend(file: string, random: Random): void {
  const more = Buffer.alloc(random.between(1, EXTENSION_BYTES_MAX))
  const head = fs.readFileSync(file).subarray(0, 4096)
  if (head.length > 0 && random.chance(0.5)) more.fill(head)
  fs.appendFileSync(file, more)
}

function swapHalves(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    const cut = Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)])
    cut.copy(bytes)
  })
}

function swapFiles(file: string, random: Random, files: readonly string[]): void {
  const other = random.pick(files)
  const [a, b] = [fs.readFileSync(file), fs.readFileSync(other)]
  fs.writeFileSync(file, b)
  fs.writeFileSync(other, a)
}

function rename(file: string, random: Random, files: readonly string[]): void {
  const names = [path.basename(random.pick(files)), 'value-l3-999999.log', 'commit-l0-000009.log']
  fs.renameSync(file, path.join(path.dirname(file), random.pick(names)))
}

function link(file: string, random: Random, files: readonly string[]): void {
  const target = random.pick(['/dev/zero', path.basename(file), path.dirname(file), ...files])
  fs.rmSync(file)
  fs.symlinkSync(target, file)
}

function makeFolder(file: string): void {
  fs.rmSync(file)
  fs.mkdirSync(file)
}

function remove(file: string): void {
  fs.rmSync(file)
}

// ---------------------------------------------------------------- pages

/** Of the pages in use, about: ids beyond them are zeros. */
function pageAt(at: number): number {
  return Math.floor(at / PAGE_BYTES) * PAGE_BYTES
}

/** As a child or a root it makes cycles, and trees that share pages. */
function namePage(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    const page = pageAt(at)
    const place = page + 16 + 2 * random.between(0, 60)
    const id = random.between(0, 24)
    if (random.chance(0.5)) bytes.writeUInt32LE(id, place)
    else bytes.writeBigUInt64LE(BigInt(id), place)
  })
}

function lieAboutCount(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    bytes.writeUInt16LE(random.pick([0, 1, 2000, 0xffff]), pageAt(at) + 14)
  })
}

function changeEncoding(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    const flags = pageAt(at) + 12
    bytes.writeUInt16LE(bytes.readUInt16LE(flags) ^ (1 << random.between(0, 15)), flags)
  })
}

function copyPage(file: string, random: Random): void {
  edit(file, random, (bytes, at) => {
    const from = PAGE_BYTES * random.between(0, 15)
    const id = bytes.readBigUInt64LE(pageAt(at))
    bytes.copyWithin(pageAt(at), from, from + PAGE_BYTES)
    // With its own id it passes for a page of this place.
    if (random.chance(0.7)) bytes.writeBigUInt64LE(id, pageAt(at))
  })
}

const ANY: Mutation[] = [flipBytes, zeroRange, lieAboutLength, truncate, extend]
const PAGES: Mutation[] = [namePage, lieAboutCount, changeEncoding, copyPage]
const FILES: Mutation[] = [swapHalves, swapFiles, rename, link, makeFolder, remove]

// ---------------------------------------------------------------- checksums

function repairPages(file: string, kind: ChecksumKind): void {
  if (fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() !== true) return
  const bytes = fs.readFileSync(file)
  for (let at = 0; at + PAGE_BYTES <= bytes.length && at < 64 * PAGE_BYTES; at += PAGE_BYTES) {
    const page = makePage(bytes.subarray(at, at + PAGE_BYTES))
    page.view.setUint32(8, pageChecksum(page, kind), true)
  }
  fs.writeFileSync(file, bytes)
}

/** Places of the first records of a value-log file. */
function recordStarts(file: string): number[] {
  if (!path.basename(file).startsWith('value-')) return []
  const bytes = fs.readFileSync(file)
  const starts: number[] = []
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length && starts.length < 200;) {
    starts.push(at)
    at += RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 16)
  }
  return starts
}

function repairRecords(file: string, starts: readonly number[], kind: ChecksumKind): void {
  if (fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() !== true) return
  const bytes = fs.readFileSync(file)
  for (const at of starts) {
    if (at + RECORD_HEADER_BYTES > bytes.length) break
    const end = at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 16)
    if (end <= bytes.length) bytes.writeUInt32LE(checksum(kind, bytes, at + 4, end), at)
  }
  fs.writeFileSync(file, bytes)
}
