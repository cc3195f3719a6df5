/** Node's file system: opening beside the thread is as careful as opening in it, and files are replaced whole. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../engine/errors.ts'
import { nodeFileSystem, replaceFile, type OpenFile } from '../../engine/file-system.ts'
import { memoryFolder } from '../support/engine-fixture.ts'

type Mode = 'read' | 'append' | 'create'

const WAYS: Record<string, (file: string, mode: Mode) => Promise<OpenFile>> = {
  'in the thread': async (file, mode) =>
    Promise.resolve().then(() => nodeFileSystem.open(file, mode)),
  'beside it': (file, mode) =>
    nodeFileSystem.openAside?.(file, mode) ?? Promise.reject(new Error('there is no such way')),
}

describe.each(Object.entries(WAYS))('opening %s', (_way, open) => {
  test('creates a file for its owner alone, and refuses one that is there', async () => {
    const file = path.join(memoryFolder(), 'new')
    const opened = await open(file, 'create')
    opened.write(Buffer.from('whole'), 0, 5, 0)
    await opened.sync()
    opened.close()
    expect(fs.readFileSync(file, 'utf8')).toBe('whole')
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    const again = open(file, 'create')
    await expect(again).rejects.toThrow(EngineError)
    await expect(again).rejects.toThrow(`cannot open ${file}`)
  })

  test.each(['folder', 'pipe', 'link', 'link to nowhere'])(
    'refuses a %s, and waits for nothing',
    async (what) => {
      const folder = memoryFolder()
      const file = path.join(folder, 'stranger')
      if (what === 'folder') fs.mkdirSync(file)
      else if (what === 'pipe') execFileSync('mkfifo', [file])
      else fs.symlinkSync(what === 'link' ? '/etc/hostname' : path.join(folder, 'nowhere'), file)
      const descriptors = fs.readdirSync('/proc/self/fd').length
      for (const mode of ['read', 'append', 'create'] as const) {
        await expect(open(file, mode), mode).rejects.toThrow('cannot open')
      }
      expect(fs.readdirSync('/proc/self/fd').length).toBe(descriptors)
    },
  )
})

test('a file is replaced by a new one, whatever stood where it is written first', async () => {
  const folder = memoryFolder()
  const file = path.join(folder, 'state.json')
  fs.writeFileSync(file, 'old')
  fs.writeFileSync(`${file}.tmp`, 'half of something that a crash cut off')
  await replaceFile(nodeFileSystem, file, Buffer.from('new'))
  expect(fs.readFileSync(file, 'utf8')).toBe('new')
  expect(fs.readdirSync(folder)).toEqual(['state.json'])
})

test('renaming what is not there says both names', async () => {
  const folder = memoryFolder()
  const [from, to] = [path.join(folder, 'a'), path.join(folder, 'b')]
  await expect(nodeFileSystem.rename(from, to)).rejects.toThrow(`cannot rename ${from} to ${to}`)
})
