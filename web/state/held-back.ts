// What keeps passes from starting by themselves besides their gates: a pause, the pause file, a phase of
// the node. Pure; what a person asks for runs all the same.
import type { MaintenancePhase, SchedulerInfo } from '../../server/protocol.ts'

export interface HeldBack {
  by: 'pause' | 'pause_file' | 'phase'
  /** In some words, for the strip: "paused: a backup runs". */
  short: string
  /** As the end of a sentence: "the scheduler is paused: a backup runs". */
  why: string
  /** What ends it. */
  until: string
}

export const phaseWords: Record<MaintenancePhase, string> = {
  steady: 'steady',
  restore: 'restore',
  catch_up: 'catch-up',
}

/** Most binding first; empty = nothing. */
export function heldBackBy(
  scheduler: Pick<SchedulerInfo, 'paused' | 'pauseReason' | 'pauseFile' | 'phase'>,
): HeldBack[] {
  const { paused, pauseReason, pauseFile, phase } = scheduler
  const found: HeldBack[] = []
  if (paused) {
    const said = saying(pauseReason)
    found.push({
      by: 'pause',
      short: `paused${said}`,
      why: `the scheduler is paused${said}`,
      until: 'Resume it under Step.',
    })
  }
  if (pauseFile?.present === true) {
    const said = saying(pauseFile.reason)
    found.push({
      by: 'pause_file',
      short: `pause file${said}`,
      why: `a pause file is there${said}`,
      until: `It ends when ${pauseFile.file} is taken away, here under Step or on disk.`,
    })
  }
  if (phase !== 'steady') {
    found.push({
      by: 'phase',
      short: `phase ${phaseWords[phase]}`,
      why: `the node is in the phase ${phaseWords[phase]}`,
      until: 'It ends with the phase steady, set under Step or by the program around the store.',
    })
  }
  return found
}

/** Recordings made before there were reasons have none. */
function saying(reason: string | null | undefined): string {
  return reason === null || reason === undefined ? '' : `: ${reason}`
}
