// The views in the order of the rail: name, key after "g", and the question each of them answers.
import type { ViewName } from './route.ts'

export interface ViewFacts {
  name: string
  key: string
  question: string
  /** Shown for an attached folder, too: it has nothing that runs. */
  attached: boolean
}

export const viewFacts: Record<ViewName, ViewFacts> = {
  overview: {
    name: 'Overview',
    key: 'o',
    question: 'how much debt, in what state, what happens next',
    attached: true,
  },
  segments: {
    name: 'Segments',
    key: 's',
    question: 'which segments hold it, and who keeps the dead ones',
    attached: true,
  },
  queue: {
    name: 'Queue',
    key: 'q',
    question: 'what is queued, at what price, staged until when',
    attached: true,
  },
  passes: {
    name: 'Passes',
    key: 'p',
    question: 'what each pass did, why, and what it cost',
    attached: false,
  },
  step: {
    name: 'Step',
    key: 'e',
    question: 'run one pass or one phase by hand',
    attached: false,
  },
  trace: { name: 'Trace', key: 't', question: 'every event, in order', attached: true },
  history: {
    name: 'History',
    key: 'h',
    question: 'what was recorded, moment by moment',
    attached: true,
  },
  pins: {
    name: 'Pins',
    key: 'i',
    question: 'which readers keep dead segments on disk',
    attached: false,
  },
  workload: {
    name: 'Workload',
    key: 'w',
    question: 'what writes, how fast, and what debt it makes',
    attached: false,
  },
  stores: {
    name: 'Stores',
    key: 'r',
    question: 'which stores the server has open',
    attached: true,
  },
}
