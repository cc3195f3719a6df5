/**
 * The other lock of Linux. Upstream holds LOCK by flock(2), Restage by fcntl(2), and there the two do not see
 * each other; elsewhere they are one. Node calls neither: the tool `flock` of util-linux, which busybox
 * has, too, takes it on a descriptor that it is given. The lock belongs to the open file and not to the
 * process that asked for it, so it stays until the descriptor is closed, or with the process that has it.
 */
import { spawnSync } from 'node:child_process'

/** `unknown`: nobody could be asked, as where there is no tool. */
export type FlockAnswer = 'taken' | 'held' | 'unknown'

/** Whole milliseconds of the thread, and more in a process of gigabytes: for an opening, not for a loop. */
export function takeFlock(fd: number): FlockAnswer {
  // What the child gets as its descriptor 3 is this one, the same open file.
  const { status } = spawnSync('flock', ['-n', '-x', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  })
  if (status === 0) return 'taken'
  return status === 1 ? 'held' : 'unknown'
}

/**
 * Who holds a file by flock(2), from the text of /proc/locks: a process id, 0 when the kernel does not say;
 * undefined when nobody is in there. Holders in other containers are not.
 *
 * By the inode alone: the device is not the one that `stat` tells on btrfs and overlays.
 */
export function flockHolder(locks: string, inode: bigint): number | undefined {
  for (const line of locks.split('\n')) {
    // "1: FLOCK  ADVISORY  WRITE 8408 fe:00:2146480 0 EOF"; what waits for one has an arrow after the number.
    const found = /^\d+: FLOCK +\S+ +\S+ +(-?\d+) +\S+:(\d+) /.exec(line)
    if (found !== null && found[2] === `${inode}`) return Math.max(0, Number(found[1]))
  }
  return undefined
}
