/** Meets hostile folders one after the other and tells of each: before it, so that a hang has a name, and after it. */
import { parentPort, workerData } from 'node:worker_threads'
import { meetFolder, type Outcome } from './folders.ts'
import { makeSamples, sampleFor } from './samples.ts'

export interface FolderWork {
  data: string
  firstSeed: number
  folders: number
}

export type FolderNews = { met: number; sample: string } | { outcome: Outcome; rssBytes: number }

const { data, firstSeed, folders } = workerData as FolderWork
const port = parentPort
if (port === null) throw new Error('this is a worker')
const samples = await makeSamples(data)
for (let i = 0; i < folders; i++) {
  const seed = (firstSeed + i) >>> 0
  const sample = sampleFor(samples, seed)
  port.postMessage({ met: seed, sample: sample.name } satisfies FolderNews)
  const outcome = await meetFolder(sample, seed)
  port.postMessage({ outcome, rssBytes: process.memoryUsage.rss() } satisfies FolderNews)
}
