// What the last action did: its pass explained, or its own small report; or why it failed, in our
// words first and the server's after.
import { useEffect, useRef, type ReactNode } from 'react'
import type { Actions } from '../../server/protocol.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  plural,
  segmentList,
} from '../lib/format.ts'
import { errorSentences, workloadWords } from '../lib/words.ts'
import { CandidateTable } from '../parts/candidate-table.tsx'
import { PassList } from '../parts/pass-list.tsx'
import { GcFlow, PassReportView, VacuumFlow } from '../parts/pass-report.tsx'
import { SegmentChip } from '../parts/segment-chip.tsx'
import { Bytes } from '../parts/value.tsx'
import { phaseWords } from '../state/held-back.ts'
import {
  uiStore,
  useUi,
  type ActionFailure,
  type ActionResult,
  type Deed,
} from '../state/ui-store.ts'

export const actionWords: Record<Deed, string> = {
  'open-store': 'Open store',
  'close-store': 'Close store',
  'reopen-store': 'Open store again',
  checkpoint: 'Checkpoint',
  'periodic-pass': 'Periodic pass',
  'stage-confirm': 'Stage confirm',
  'run-pass': 'Pass',
  'run-until': 'Run until',
  'set-options': 'Options',
  'step-phase': 'Step',
  'resume-pass': 'Continue',
  'cancel-pass': 'Cancel',
  'stopped-pass': 'Stopped pass',
  'set-breakpoints': 'Breakpoints',
  gc: 'GC',
  plan: 'Plan',
  stage: 'Stage plan',
  rewrite: 'Rewrite',
  pause: 'Pause',
  resume: 'Resume',
  mode: 'Mode',
  'set-phase': 'Phase',
  'set-pause-file': 'Pause file',
  vacuum: 'Index vacuum',
  'advance-clock': 'Clock',
  'hold-snapshot': 'Hold snapshot',
  'release-snapshot': 'Release snapshot',
  'hold-iterator': 'Hold iterator',
  'release-pin': 'Release pin',
  'workload-start': 'Workload',
  'workload-stop': 'Workload',
  verify: 'Verify',
  reread: 'Read again',
}

export function ResultPanel({ placeholder = false }: { placeholder?: boolean }): ReactNode {
  const result = useUi((state) => state.result)
  const failure = useUi((state) => state.failure)
  const busy = useUi((state) => state.busy)
  const box = useRef<HTMLElement>(null)
  useEffect(() => {
    const element = box.current
    if (element === null || (failure === null && !(result !== null && hasBody(result)))) return
    const column = element.closest('.debugger-effect')
    if (column !== null) column.scrollTop = 0
    // Scrolls only when the answer would otherwise go unseen, as on a phone; where to, the stylesheet says.
    if (!isInSight(element)) element.scrollIntoView({ block: 'start' })
  }, [result, failure])
  if (result === null && failure === null && busy === null) {
    return placeholder ? (
      <section className="panel panel-result" aria-label="What the last action did">
        <p className="muted">
          What an action does is shown here: its gates, its bytes, what left the queue.
        </p>
      </section>
    ) : null
  }
  return (
    <section
      ref={box}
      className={failure === null ? 'panel panel-result' : 'panel panel-result panel-failed'}
      aria-label="What the last action did"
      data-testid="action-result"
      data-action={busy ?? failure?.name ?? result?.name}
      data-busy={busy !== null}
    >
      {busy !== null ? (
        <p className="muted" role="status">
          {actionWords[busy]} is running.
        </p>
      ) : failure !== null ? (
        <FailureView failure={failure} />
      ) : (
        result !== null && <ResultView result={result} />
      )}
    </section>
  )
}

/** Room below its top that an answer needs to be noticed. */
const NOTICED = 200

/** Below the strip, which covers what is under it, and far enough above the end of the window. */
function isInSight(element: HTMLElement): boolean {
  const { top } = element.getBoundingClientRect()
  const strip = document.querySelector('.strip')?.getBoundingClientRect().bottom ?? 0
  return top >= strip && top <= innerHeight - NOTICED
}

/** An answer of one line is seen where it acts: in the pins, the workload, the clock. */
function hasBody(result: ActionResult): boolean {
  switch (result.name) {
    case 'checkpoint':
    case 'periodic-pass':
    case 'stage-confirm':
    case 'run-pass':
    case 'stage':
    case 'rewrite':
    case 'gc':
    case 'vacuum':
    case 'plan':
    case 'verify':
    case 'run-until':
      return true
    // A stop is shown where its phases are; a pass that has ended is explained.
    case 'step-phase':
    case 'resume-pass':
      return result.answer.report !== null
    case 'cancel-pass':
      return result.answer.pass !== null
    default:
      return false
  }
}

function ResultView({ result }: { result: ActionResult }): ReactNode {
  return (
    <>
      <div className="result-head">
        <p role="status">
          <strong>{actionWords[result.name]}</strong>: {summary(result)}
        </p>
        <CloseResult />
      </div>
      <ResultBody result={result} />
    </>
  )
}

function CloseResult(): ReactNode {
  return (
    <button
      type="button"
      className="button-link"
      onClick={() => uiStore.setState({ result: null, failure: null })}
    >
      close
    </button>
  )
}

function FailureView({ failure }: { failure: ActionFailure }): ReactNode {
  const sentence =
    failure.code === 'UNREACHABLE' ? 'The server did not answer.' : errorSentences[failure.code]
  return (
    <div role="alert" data-testid="action-error" data-code={failure.code}>
      <div className="result-head">
        <p>
          <strong className="bad">✕ {actionWords[failure.name]} failed.</strong> {sentence}
        </p>
        <CloseResult />
      </div>
      <p className="muted">
        <code>{failure.code}</code> {failure.message}
      </p>
      <FailureDetails details={failure.details} />
    </div>
  )
}

/** What was wrong with which field; other details are for programs. */
function FailureDetails({ details }: { details: unknown }): ReactNode {
  const problems = Array.isArray(details) ? details.filter(isProblem) : []
  // The message has the first already.
  if (problems.length < 2) return null
  return (
    <ul className="muted" data-testid="failure-details">
      {problems.map(({ at, message }) => (
        <li key={`${at} ${message}`}>
          <code>{at === '' ? 'the body' : at}</code> {message}
        </li>
      ))}
    </ul>
  )
}

function isProblem(one: unknown): one is { at: string; message: string } {
  return (
    typeof one === 'object' &&
    one !== null &&
    'at' in one &&
    typeof one.at === 'string' &&
    'message' in one &&
    typeof one.message === 'string'
  )
}

/** One line, also announced. */
function summary(result: ActionResult): string {
  const took = `in ${formatDuration(result.elapsedMs)}`
  switch (result.name) {
    case 'checkpoint': {
      const { checkpoint, pass, kickSkipped } = result.answer
      const done = checkpoint.noop
        ? 'nothing was waiting'
        : `commit ${formatCount(checkpoint.commitSeq)}, ${plural(checkpoint.entriesMerged, 'entry', 'entries')} merged in ${formatDuration(checkpoint.elapsedMs)}`
      const kick =
        pass === null
          ? `no kick: ${withoutStop(kickSkipped ?? 'no reason given')}`
          : 'the kick ran a pass'
      return `${done}; ${kick}.`
    }
    case 'periodic-pass':
    case 'stage-confirm':
    case 'run-pass':
    case 'stage':
    case 'rewrite':
      return `done ${took}.`
    case 'gc':
      return result.answer.gc.dryRun ? 'dry run, nothing was deleted.' : `done ${took}.`
    case 'plan':
      return `dry, nothing was changed; ${plural(result.answer.plan.selected.length, 'segment')} would be chosen.`
    case 'run-until':
      return `after ${plural(result.answer.passes.length, 'pass', 'passes')} and ${formatDuration(result.answer.advancedMs)} of the engine’s clock ${untilWords[result.answer.ended]}.`
    case 'step-phase':
    case 'resume-pass':
      return result.answer.stop === null ? `the pass ended ${took}.` : result.answer.stop.text
    case 'cancel-pass':
      return result.answer.pass === null ? 'no pass ran.' : 'the pass is cancelled.'
    case 'stopped-pass':
      return result.answer.stop?.text ?? 'no pass stands still.'
    case 'set-breakpoints':
      return `${plural(result.answer.breakpoints.length, 'breakpoint')} set.`
    case 'set-options':
      return 'the options are changed.'
    case 'pause':
      return 'no pass starts by itself now.'
    case 'resume':
      return 'passes start by themselves again.'
    case 'mode':
      return `${result.answer.mode} mode.`
    case 'set-phase':
      return `the node is in the phase ${phaseWords[result.answer.phase]}.`
    case 'set-pause-file':
      return result.answer.present
        ? 'it is there: no pass starts by itself now.'
        : 'it is gone, and holds nothing back any more.'
    case 'vacuum':
      return `done ${took}.`
    case 'advance-clock':
      return `the engine’s clock is at ${formatTime(result.answer.nowMs)}.`
    case 'hold-snapshot':
      return `snapshot ${String(result.answer.pinId)} is held.`
    case 'hold-iterator':
      return `iterator ${String(result.answer.pinId)} is held.`
    case 'release-pin':
    case 'release-snapshot':
      return result.answer.deleted.length === 0
        ? 'released; no file could be deleted by that alone.'
        : `released; ${segmentList(result.answer.deleted)} deleted.`
    case 'workload-start':
    case 'workload-stop':
      return `${workloadWords[result.answer.workload.status]}.`
    case 'verify':
      return verifySummary(result.answer, took)
    case 'reread':
      return 'the folder was read again.'
  }
}

/** The engine's reasons are sentences; here they end another one. */
function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, '')
}

const untilWords = {
  held: 'it came true',
  passes_max: 'it ended by the number of passes',
  advance_max: 'it ended by the time allowed',
  nothing_waits: 'nothing waits any more: more time would change nothing',
  failed: 'a pass failed',
} as const

function verifySummary(answer: Actions['verify']['answer'], took: string): string {
  const looked = `${plural(answer.keys, 'key')} in ${plural(answer.segments, 'segment')} scanned ${took}`
  return answer.differences.length === 0
    ? `${looked}; tracked and scanned live bytes agree, difference 0.`
    : `${looked}; ${plural(answer.differences.length, 'segment')} differ.`
}

function ResultBody({ result }: { result: ActionResult }): ReactNode {
  switch (result.name) {
    case 'checkpoint':
      return result.answer.pass === null ? null : <PassReportView report={result.answer.pass} />
    case 'periodic-pass':
    case 'stage-confirm':
    case 'run-pass':
    case 'stage':
    case 'rewrite':
      return <PassReportView report={result.answer.pass} />
    case 'gc':
      return (
        <p>
          <GcFlow report={result.answer.gc} />
        </p>
      )
    case 'vacuum':
      return (
        <p>
          <VacuumFlow report={result.answer.vacuum} />
        </p>
      )
    case 'plan':
      return <CandidateTable plan={result.answer.plan} />
    case 'run-until':
      return <PassList passes={result.answer.passes} />
    case 'step-phase':
    case 'resume-pass':
      return result.answer.report === null ? null : <PassReportView report={result.answer.report} />
    case 'cancel-pass':
      return result.answer.pass === null ? null : <PassReportView report={result.answer.pass} />
    case 'verify':
      return <Differences differences={result.answer.differences} />
    default:
      return null
  }
}

function Differences({
  differences,
}: {
  differences: Actions['verify']['answer']['differences']
}): ReactNode {
  if (differences.length === 0) return null
  return (
    <ul className="differences">
      {differences.map((one) => (
        <li key={one.segmentId} className="bad">
          <SegmentChip segmentId={one.segmentId} /> tracked <Bytes value={one.trackedBytesLive} />,
          scanned <Bytes value={one.scannedBytesLive} />: off by{' '}
          {formatBytes(Math.abs(one.trackedBytesLive - one.scannedBytesLive))}
        </li>
      ))}
    </ul>
  )
}
