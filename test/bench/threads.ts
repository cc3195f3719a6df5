/** CPU time of single threads of this process, by the system's own account of them (Linux). */
import * as fs from 'node:fs'

/** The system's id of the calling thread; `threadId` of Node is another number. */
export function ownThread(): number {
  return Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1))
}

/** Milliseconds that a thread of this process has run so far. */
export function threadCpuMs(thread: number): number {
  const [nanoseconds] = fs.readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ')
  return Number(nanoseconds) / 1e6
}

/** Where a store's worker leaves the id of its thread for the bench. */
export function threadFile(dir: string): string {
  return `${dir}.thread`
}

export function leaveThread(dir: string): void {
  fs.writeFileSync(threadFile(dir), String(ownThread()))
}

export function threadLeftFor(dir: string): number {
  return Number(fs.readFileSync(threadFile(dir), 'latin1'))
}
