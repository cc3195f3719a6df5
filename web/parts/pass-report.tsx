// One pass, explained: the sentence, the gates, what it did with bytes and durations, and the queue
// before and after.
import type { ReactNode } from 'react'
import type {
  GcReport,
  PassReport,
  PassStep,
  RewriteDebt,
  VacuumReport,
} from '../../server/protocol.ts'
import { describeDebt } from '../lib/describe-event.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  plural,
  segmentList,
  shortNames,
} from '../lib/format.ts'
import { outcomeGlyphs, outcomeWords, reasonWords, sourceWords } from '../lib/words.ts'
import { ByteFlow } from './byte-flow.tsx'
import { CandidateTable } from './candidate-table.tsx'
import { GateTree } from './gate-tree.tsx'
import { toldBy } from '../state/gate-tree.ts'
import { SegmentChip } from './segment-chip.tsx'
import { Bytes, Duration, Time } from './value.tsx'

interface PassReportProps {
  report: PassReport
  /** This page once held the verdicts of its plans and let them go. */
  candidatesDropped?: boolean
}

export function PassReportView({ report, candidatesDropped = false }: PassReportProps): ReactNode {
  const plans = report.steps.filter((step) => step.kind === 'plan')
  return (
    <article
      className="pass-report"
      data-testid="pass-report"
      data-pass-id={report.passId}
      data-source={report.source}
      data-outcome={report.outcome}
      aria-label={`Pass ${String(report.passId)}`}
    >
      <header className="pass-head">
        <OutcomeBadge report={report} />
        <span>
          {sourceWords[report.source]} <span className="num">#{report.passId}</span>
        </span>
        <span className="muted">
          <Time value={report.startedAtMs} />, took <Duration value={report.elapsedMs} />
        </span>
      </header>
      <p className="pass-sentence">{shortNames(report.sentence)}</p>
      {report.error !== null && (
        <p className="bad">
          {report.error.message} <code>{report.error.code}</code>
        </p>
      )}
      <h3>Gates</h3>
      <GateTree pass={toldBy(report)} />
      {report.steps.length > 0 && (
        <>
          <h3>What it did</h3>
          <ol className="steps">
            {report.steps.map((step, index) => (
              <StepRow key={index} step={step} />
            ))}
          </ol>
        </>
      )}
      {plans.map((step, index) => (
        <details key={index} className="fold">
          <summary>
            {plural(step.plan.candidates.length, 'candidate')}, {step.plan.selected.length} selected
          </summary>
          <CandidateTable plan={step.plan} />
        </details>
      ))}
      {candidatesDropped && (
        <p className="muted">
          The verdicts of its plan are not held by this page any more; the newest passes keep
          theirs.
        </p>
      )}
      <h3>Where the bytes went</h3>
      <ByteFlow report={report} />
      <h3>Queue before and after</h3>
      <QueueDiff before={report.before} after={report.after} />
    </article>
  )
}

export function OutcomeBadge({ report }: { report: PassReport }): ReactNode {
  return (
    <span
      className={`badge outcome-${report.outcome}`}
      data-testid="pass-outcome"
      data-outcome={report.outcome}
    >
      <span aria-hidden="true">{outcomeGlyphs[report.outcome]} </span>
      {outcomeWords[report.outcome]}
    </span>
  )
}

function StepRow({ step }: { step: PassStep }): ReactNode {
  return (
    <li className="step" data-step={step.kind}>
      <span className="step-kind">{step.kind.replaceAll('_', ' ')}</span>
      <span className="step-text">
        <StepText step={step} />
      </span>
    </li>
  )
}

function StepText({ step }: { step: PassStep }): ReactNode {
  switch (step.kind) {
    case 'prune_missing':
      return `${segmentList(step.segmentIds)} dropped: missing on disk; ${formatCount(step.remaining)} remain; saved in ${formatDuration(step.elapsedMs)}`
    case 'prune_quality':
      return `${segmentList(step.segmentIds)} dropped: below the stale ratio that queued them; ${formatCount(step.remaining)} remain; saved in ${formatDuration(step.elapsedMs)}`
    case 'plan':
      return `${segmentList(step.plan.selected.map((entry) => entry.segmentId))} selected out of ${plural(step.plan.candidates.length, 'candidate')} in ${formatDuration(step.elapsedMs)}`
    case 'stage':
      return `${segmentList(step.segmentIds)} staged; confirm due at ${formatTime(step.dueAtMs)}`
    case 'confirm':
      return `${segmentList(step.segmentIds)}: ${confirmWords[step.result]}`
    case 'rewrite':
      return <RewriteFlow step={step} />
    case 'consume':
      return `${segmentList(step.segmentIds)} left the queue; ${formatCount(step.remaining)} remain`
    case 'gc':
      return <GcFlow report={step.report} />
    case 'checkpoint':
      return step.report.noop
        ? 'nothing was waiting'
        : `commit ${formatCount(step.report.commitSeq)}: ${plural(step.report.entriesMerged, 'entry', 'entries')}, ${plural(step.report.pagesWritten, 'page')} in ${formatDuration(step.report.elapsedMs)}`
    case 'refresh':
      return step.segmentIds.length === 0
        ? `the ledger follows the segments: ${formatBytes(step.bytesLive)} live, ${formatBytes(step.bytesStale)} stale`
        : `${segmentList(step.segmentIds)} dropped by the refresh; ${formatCount(step.remaining)} remain`
    case 'plan_canceled':
      return `dropped after ${formatDuration(step.elapsedMs)}: ${planCanceledWords[step.why]}`
    case 'penalty':
      return `${segmentList(step.segmentIds)} did not pay (${formatBytes(step.growthBytes)} grown): left alone until ${formatTime(step.cooldownUntilMs)}`
    case 'age_block':
      return `${plural(step.segments, 'segment')} too young; retry at ${formatTime(step.untilMs)}`
    case 'vacuum':
      return <VacuumFlow report={step.report} />
    case 'restage':
      return `${plural(step.remaining, 'segment')} staged again; confirm due at ${formatTime(step.dueAtMs)}`
  }
}

const planCanceledWords = {
  foreground: 'the foreground became busy',
  deadline: 'it took too long',
  aborted: 'the pass was cancelled',
} as const

const confirmWords = {
  executes: 'confirmed, executes now',
  cleared: 'the stage was cleared',
  postponed: 'postponed, with a new due time',
} as const

function RewriteFlow({ step }: { step: Extract<PassStep, { kind: 'rewrite' }> }): ReactNode {
  const { report, reason } = step
  // What was read and is neither copied nor still held at its source must be free now.
  const speed = report.elapsedMs > 0 ? (report.bytesWritten / report.elapsedMs) * 1000 : null
  return (
    <>
      {segmentList(report.sourceSegmentsRequested)} ({reasonWords[reason]}): read{' '}
      <Bytes value={report.bytesRead} />, wrote <Bytes value={report.bytesWritten} /> as{' '}
      {plural(report.recordsCopied, 'record')} into {segmentList(report.outputSegments)} in{' '}
      <Duration value={report.elapsedMs} />
      {speed !== null && ` (${formatBytes(speed)}/s)`}.{' '}
      <Bytes value={report.sourceBytesUnreferenced} /> now without a live byte
      {report.sourcesStillReferenced.length > 0 && (
        <>
          , <strong>{segmentList(report.sourcesStillReferenced)} still referenced</strong>
        </>
      )}
      {report.swapsLost > 0 && `, ${plural(report.swapsLost, 'swap')} lost to newer writes`}.
      Longest slice <Duration value={report.longestSliceMs} />
      {report.cancelled && '. Cancelled before the end'}.
    </>
  )
}

export function VacuumFlow({ report }: { report: VacuumReport }): ReactNode {
  const { bytesBefore, bytesAfter, pagesMoved, pagesHeld, cancelled } = report
  return (
    <>
      <Bytes value={bytesBefore - bytesAfter} /> of index.db given back,{' '}
      <Bytes value={bytesAfter} /> left; {plural(pagesMoved, 'page')} copied to the front
      {pagesHeld > 0 && `; readers hold ${plural(pagesHeld, 'old page')} until they end`}
      {cancelled && '; cancelled before its end'}.
    </>
  )
}

export function GcFlow({ report }: { report: GcReport }): ReactNode {
  return (
    <>
      {report.dryRun ? (
        <>
          {plural(report.eligible.length, 'segment')} could go ({segmentList(report.eligible)}),{' '}
          <Bytes value={report.bytesEligible} />
        </>
      ) : report.deleted.length === 0 ? (
        'nothing deleted'
      ) : (
        <>
          {plural(report.deleted.length, 'segment')} deleted ({segmentList(report.deleted)}),{' '}
          <Bytes value={report.bytesDeleted} /> freed
        </>
      )}
      {report.segmentsKept.length > 0 && (
        <>
          ; {segmentList(report.segmentsKept)} dead but kept, <Bytes value={report.bytesKept} />
        </>
      )}
      {report.cancelled && <>; ended early, {plural(report.pending.length, 'segment')} pending</>}
      {report.errors.length > 0 && (
        <strong className="bad">; {plural(report.errors.length, 'deletion')} failed</strong>
      )}
      .
    </>
  )
}

function QueueDiff({ before, after }: { before: RewriteDebt; after: RewriteDebt }): ReactNode {
  if (isSame(before, after)) {
    return (
      <dl className="queue-diff" data-testid="queue-unchanged">
        <dt>same</dt>
        <dd>
          <QueueLine debt={after} marked={() => undefined} />
        </dd>
      </dl>
    )
  }
  const was = new Set(before.queue)
  const is = new Set(after.queue)
  return (
    <dl className="queue-diff">
      <dt>before</dt>
      <dd>
        <QueueLine debt={before} marked={(id) => (is.has(id) ? undefined : 'gone')} />
      </dd>
      <dt>after</dt>
      <dd>
        <QueueLine debt={after} marked={(id) => (was.has(id) ? undefined : 'new')} />
      </dd>
    </dl>
  )
}

/** Order, stage and due time included. */
function isSame(a: RewriteDebt, b: RewriteDebt): boolean {
  return (
    a.queue.length === b.queue.length &&
    a.queue.every((id, index) => id === b.queue[index]) &&
    a.stage?.dueAtMs === b.stage?.dueAtMs
  )
}

function QueueLine({
  debt,
  marked,
}: {
  debt: RewriteDebt
  marked: (id: number) => 'gone' | 'new' | undefined
}): ReactNode {
  return (
    <>
      <span className="chips">
        {debt.queue.slice(0, 16).map((id) => {
          const note = marked(id)
          return <SegmentChip key={id} segmentId={id} {...(note === undefined ? {} : { note })} />
        })}
        {debt.queue.length > 16 && <span className="muted">and {debt.queue.length - 16} more</span>}
      </span>
      <span className="muted"> {describeDebt(debt)}</span>
    </>
  )
}
