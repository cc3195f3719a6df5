/**
 * Profiles of a tool's work, in V8's formats, which Chromium's developer tools open: `.cpuprofile` and
 * `.heapprofile`. A profile that cannot be written is an error before any work starts (finding F19).
 */
import * as fs from 'node:fs'
import { Session } from 'node:inspector/promises'
import { EngineError } from './engine-door.ts'

export interface ProfileOptions {
  /** File of the CPU profile of the pass. */
  cpu: string | undefined
  /** The CPU profile goes on until maintenance is idle. */
  cpuUntilIdle: boolean
  /** File of what is on the heap at the end, by the place that allocated it. */
  heap: string | undefined
  /** File of all that was allocated, also what is gone. Excludes `heap`: V8 has one sampler. */
  allocations: string | undefined
}

/** Bytes between two samples of the heap; V8's own default. */
const HEAP_SAMPLE_BYTES = 32 * 1024

/** What the profiles of one run wait for. Each method does nothing when its profile was not asked for. */
export interface Profiles {
  startCpu: () => Promise<void>
  /** The pass is over; the CPU profile ends here or goes on, as asked. */
  passDone: () => Promise<void>
  /** Ends what still runs and writes it. */
  finish: () => Promise<void>
}

/** Opens the files and starts sampling the heap. Throws ENGINE_IO that names the file and the reason. */
export async function openProfiles(options: ProfileOptions): Promise<Profiles> {
  const cpuFile = openFile('CPU profile', options.cpu)
  const heapFile = openFile('heap profile', options.heap ?? options.allocations)
  const session = new Session()
  session.connect()
  let isCpuRunning = false
  if (heapFile !== undefined) {
    const includesGone = options.allocations !== undefined
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: HEAP_SAMPLE_BYTES,
      includeObjectsCollectedByMajorGC: includesGone,
      includeObjectsCollectedByMinorGC: includesGone,
    })
  }

  const endCpu = async (): Promise<void> => {
    if (cpuFile === undefined || !isCpuRunning) return
    isCpuRunning = false
    const { profile } = await session.post('Profiler.stop')
    write('CPU profile', cpuFile, profile)
  }
  return {
    async startCpu() {
      if (cpuFile === undefined) return
      await session.post('Profiler.enable')
      await session.post('Profiler.start')
      isCpuRunning = true
    },
    async passDone() {
      if (!options.cpuUntilIdle) await endCpu()
    },
    async finish() {
      await endCpu()
      if (heapFile !== undefined) {
        const { profile } = await session.post('HeapProfiler.stopSampling')
        write('heap profile', heapFile, profile)
      }
      session.disconnect()
    },
  }
}

interface OpenedFile {
  path: string
  fd: number
}

function openFile(what: string, file: string | undefined): OpenedFile | undefined {
  if (file === undefined) return undefined
  try {
    return { path: file, fd: fs.openSync(file, 'w') }
  } catch (error) {
    throw cannotWrite(what, file, error)
  }
}

function write(what: string, { path, fd }: OpenedFile, profile: object): void {
  try {
    fs.writeFileSync(fd, JSON.stringify(profile))
    fs.closeSync(fd)
  } catch (error) {
    throw cannotWrite(what, path, error)
  }
}

function cannotWrite(what: string, file: string, cause: unknown): EngineError {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('ENGINE_IO', `the ${what} cannot be written to ${file}: ${detail}`, cause)
}
