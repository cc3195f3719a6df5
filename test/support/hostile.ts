/**
 * Makes folders hostile: seeded mutation of the files of a data folder, from single bytes to links, pipes,
 * sparse files and lengths that lie, with checksums repaired half of the time so that the lies get past
 * them.
 */
import * as path from 'node:path'
import { checksum, type ChecksumKind } from '../../engine/checksum.ts'
import { PAGE_BYTES, makePage, pageChecksum } from '../../engine/index/page.ts'
import { RECORD_HEADER_BYTES } from '../../engine/value-log/record.ts'
import {
  memoryFile,
  newFolder,
  type MemoryFile,
  type MemoryFolder,
  type MemoryNode,
} from './memory-file-system.ts'
import type { Random } from './random.ts'

const EXTENSION_BYTES_MAX = 256 * 1024
const HUGE = [0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1_000_000, 0x0400_0000]
const SPARSE_BYTES = [2 ** 22, 2 ** 31, 2 ** 40]

interface Place {
  /** From the folder's root. */
  file: string
  name: string
  folder: MemoryFolder
  node: MemoryFile
}

function placesOf(folder: MemoryFolder, prefix = ''): Place[] {
  const places: Place[] = []
  for (const [name, node] of [...folder.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (node.kind === 'folder') places.push(...placesOf(node, `${prefix}${name}/`))
    else if (node.kind === 'file') places.push({ file: prefix + name, name, folder, node })
  }
  return places
}

/** What was done, in words, and the first kind of it. */
export interface Hostility {
  kind: string
  text: string
}

/** Changes some things about the folder. */
export function makeHostile(root: MemoryFolder, kind: ChecksumKind, random: Random): Hostility {
  const done: string[] = []
  let first = 'nothing'
  const repair = random.chance(0.5)
  for (let i = random.between(1, 4); i > 0; i--) {
    const places = placesOf(root)
    if (places.length === 0) break
    // Half of the time where most structure is.
    const index = places.find(({ name }) => name === 'index.db')
    const place = index !== undefined && random.chance(0.5) ? index : random.pick(places)
    const isIndex = place === index
    const mutations = isIndex
      ? [...ANY, ...PAGES, ...PAGES, ...PAGES, link]
      : [...ANY, ...ANY, ...FILES]
    const mutate = random.pick(mutations)
    const starts = repair && !isIndex ? recordStarts(place) : []
    try {
      mutate(place, random, { places, root })
    } catch (error) {
      // No room for it in a file cut short before.
      if (!(error instanceof RangeError)) throw error
    }
    if (repair && isIndex) repairPages(place.node, kind)
    if (starts.length > 0) repairRecords(place.node, starts, kind)
    if (done.length === 0) first = mutate.name
    done.push(`${mutate.name} ${place.file}`)
  }
  return { kind: first, text: `${done.join(', ')}${repair ? ', checksums repaired' : ''}` }
}

interface Around {
  places: readonly Place[]
  root: MemoryFolder
}

type Mutation = (place: Place, random: Random, around: Around) => void

/** Of the bytes, one piece is changed in place; an index is mostly unused space behind its pages. */
function edit(place: Place, random: Random, change: (bytes: Buffer, at: number) => void): void {
  const { bytes } = place.node
  if (bytes.length === 0) return
  let used = bytes.length
  while (used > 1 && bytes[used - 1] === 0) used--
  change(bytes, random.between(0, used - 1))
}

function setBytes(place: Place, bytes: Uint8Array): void {
  place.node.bytes = Buffer.from(bytes)
  place.node.length = bytes.length
}

function put(place: Place, node: MemoryNode): void {
  place.folder.entries.set(place.name, node)
}

function flipBytes(place: Place, random: Random): void {
  for (let i = random.between(1, 6); i > 0; i--) {
    edit(place, random, (bytes, at) => (bytes[at] = random.between(0, 255)))
  }
}

function zeroRange(place: Place, random: Random): void {
  edit(place, random, (bytes, at) =>
    bytes.fill(0, at, Math.min(bytes.length, at + random.between(1, 5000))),
  )
}

function lieAboutLength(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(HUGE), at)
  })
}

function truncate(place: Place, random: Random): void {
  setBytes(place, place.node.bytes.subarray(0, random.between(0, place.node.bytes.length)))
}

function extend(place: Place, random: Random): void {
  const more = Buffer.alloc(random.between(1, EXTENSION_BYTES_MAX))
  const head = place.node.bytes.subarray(0, 4096)
  if (head.length > 0 && random.chance(0.5)) more.fill(head)
  setBytes(place, Buffer.concat([place.node.bytes, more]))
}

/** Terabytes of zeros behind what is there. */
function growSparse(place: Place, random: Random): void {
  place.node.length = Math.max(place.node.length, random.pick(SPARSE_BYTES))
}

function swapHalves(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    Buffer.concat([bytes.subarray(at), bytes.subarray(0, at)]).copy(bytes)
  })
}

function swapFiles(place: Place, random: Random, { places }: Around): void {
  const other = random.pick(places)
  const bytes = place.node.bytes
  setBytes(place, other.node.bytes)
  setBytes(other, bytes)
}

function rename(place: Place, random: Random, { places }: Around): void {
  const names = [
    random.pick(places).name,
    'value-l3-999999.log',
    'value-12345.log',
    'commit-l0-000009.log',
    'index.db.new',
    'index.db.bak',
  ]
  place.folder.entries.delete(place.name)
  place.folder.entries.set(random.pick(names), place.node)
}

function link(place: Place, random: Random, { places }: Around): void {
  const other = `/store/${random.pick(places).file}`
  const targets = ['/dev/zero', place.name, '.', '..', other]
  put(place, { kind: 'link', target: random.pick(targets) })
}

/** A whole folder of the store is a link: outside, to itself, or to another one of the store. */
function linkFolder(_: Place, random: Random, { root }: Around): void {
  const main = root.entries.get('maindb')
  const parent = main?.kind === 'folder' && random.chance(0.8) ? main : root
  const names = [...parent.entries].filter(([, node]) => node.kind === 'folder')
  if (names.length === 0) return
  const [name] = random.pick(names)
  const target = random.pick(['/elsewhere', name, '/store', 'value_vlog', 'wal'])
  parent.entries.set(name, { kind: 'link', target })
}

function pipe(place: Place): void {
  put(place, { kind: 'pipe' })
}

function makeFolder(place: Place): void {
  put(place, newFolder())
}

function remove(place: Place): void {
  place.folder.entries.delete(place.name)
}

function duplicate(place: Place, random: Random, { places }: Around): void {
  const target = random.pick(places).folder
  const name = place.name.replace(/\d+/, (digits) => String(Number(digits) + random.between(0, 2)))
  target.entries.set(name, memoryFile(place.node.bytes))
}

// ---------------------------------------------------------------- pages

/** Of the pages in use, about: ids beyond them are zeros. */
function pageAt(at: number): number {
  return Math.floor(at / PAGE_BYTES) * PAGE_BYTES
}

/** As a child or a root it makes cycles, and trees that share pages. */
function namePage(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    const target = pageAt(at) + 16 + 2 * random.between(0, 60)
    const id = random.between(0, 24)
    if (random.chance(0.5)) bytes.writeUInt32LE(id, target)
    else bytes.writeBigUInt64LE(BigInt(id), target)
  })
}

function lieAboutCount(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    bytes.writeUInt16LE(random.pick([0, 1, 2000, 0xffff]), pageAt(at) + 14)
  })
}

function changeEncoding(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    const flags = pageAt(at) + 12
    bytes.writeUInt16LE(bytes.readUInt16LE(flags) ^ (1 << random.between(0, 15)), flags)
  })
}

function copyPage(place: Place, random: Random): void {
  edit(place, random, (bytes, at) => {
    const from = PAGE_BYTES * random.between(0, 15)
    const id = bytes.readBigUInt64LE(pageAt(at))
    bytes.copyWithin(pageAt(at), from, from + PAGE_BYTES)
    // With its own id it passes for a page of this place.
    if (random.chance(0.7)) bytes.writeBigUInt64LE(id, pageAt(at))
  })
}

/** Roots, freelist head and the count of pages, up to what a u64 says. */
function lieInMeta(place: Place, random: Random): void {
  const { bytes } = place.node
  const values = [0n, 1n, 2n, 5n, 1n << 20n, 1n << 40n, (1n << 53n) - 1n, (1n << 64n) - 1n]
  for (const page of random.chance(0.5) ? [0, 1] : [random.between(0, 1)]) {
    bytes.writeBigUInt64LE(random.pick(values), page * PAGE_BYTES + 16 + 8 * random.between(0, 4))
  }
}

const ANY: Mutation[] = [flipBytes, zeroRange, lieAboutLength, truncate, extend, growSparse]
const PAGES: Mutation[] = [namePage, lieAboutCount, changeEncoding, copyPage, lieInMeta]
const FILES: Mutation[] = [
  swapHalves,
  swapFiles,
  rename,
  link,
  linkFolder,
  pipe,
  makeFolder,
  remove,
  duplicate,
]

// ---------------------------------------------------------------- checksums

function repairPages({ bytes }: MemoryFile, kind: ChecksumKind): void {
  for (let at = 0; at + PAGE_BYTES <= bytes.length && at < 64 * PAGE_BYTES; at += PAGE_BYTES) {
    const page = makePage(bytes.subarray(at, at + PAGE_BYTES))
    page.view.setUint32(8, pageChecksum(page, kind), true)
  }
}

/** Places of the first records of a value-log file. */
function recordStarts(place: Place): number[] {
  if (!path.basename(place.file).startsWith('value-')) return []
  const { bytes } = place.node
  const starts: number[] = []
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length && starts.length < 200;) {
    starts.push(at)
    at += RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 16)
  }
  return starts
}

function repairRecords({ bytes }: MemoryFile, starts: readonly number[], kind: ChecksumKind): void {
  for (const at of starts) {
    if (at + RECORD_HEADER_BYTES > bytes.length) break
    const end = at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 16)
    if (end <= bytes.length) bytes.writeUInt32LE(checksum(kind, bytes, at + 4, end), at)
  }
}
