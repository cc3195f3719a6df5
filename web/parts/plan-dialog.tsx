// The second, informed yes of an action that destroys or costs: the stored dry run with its bytes and
// segments, its expiry, and a confirmation that grows with what is at stake.
import { useState, type ReactNode } from 'react'
import type { PlanEffect, StoredPlan, VacuumPlan } from '../../server/protocol.ts'
import { formatBytes, formatCount, formatCountdown, plural, shortBytes } from '../lib/format.ts'
import { applyPlan, dropPlan } from '../state/session.ts'
import { useUi } from '../state/ui-store.ts'
import { Dialog } from './dialog.tsx'
import { usePageNow } from './hooks.ts'
import { SegmentChip } from './segment-chip.tsx'
import { Bytes } from './value.tsx'

const ROWS_MAX = 12

export function PlanDialog(): ReactNode {
  const plan = useUi((state) => state.stored)
  if (plan === null) return null
  return <Stored key={plan.planId} plan={plan} />
}

const fates = {
  rewritten: 'rewritten',
  deleted: 'deleted',
  kept: 'dead already: left to GC',
} as const

const titles = {
  gc: 'Delete what nothing keeps?',
  rewrite: 'Rewrite these segments?',
  'release-pin': 'Release this reader?',
  vacuum: 'Make the index shorter?',
} as const

function Stored({ plan }: { plan: StoredPlan }): ReactNode {
  const [typed, setTyped] = useState('')
  const [shownAtMs] = useState(() => performance.now())
  const pageNow = usePageNow(500)
  const leftMs = plan.expiresAtMs - plan.createdAtMs - (pageNow - shownAtMs)
  const { effect, confirm, weight } = plan
  const nothing = effect.index === null ? confirm.segments === 0 : effect.bytesFreed === 0
  const wants = weight === 'typed' && !nothing
  const ready = leftMs > 0 && (!wants || typed.trim() === String(confirm.segments))
  const close = () => void dropPlan(plan)
  return (
    <Dialog
      title={titles[plan.request.action]}
      onClose={close}
      actions={
        <>
          <button type="button" onClick={close}>
            Leave it
          </button>
          <button
            type="button"
            className={effect.irreversible ? 'button-danger' : 'button-primary'}
            data-testid="plan-apply"
            disabled={!ready}
            onClick={() => void applyPlan(plan)}
          >
            {nothing ? 'Run it anyway' : applyText(plan)}
          </button>
        </>
      }
    >
      <p className="pass-sentence" data-testid="plan-sentence">
        {shortBytes(plan.sentence)}
      </p>
      <dl className="facts" data-testid="stored-plan" data-plan-id={plan.planId}>
        <dt>{effect.index === null ? 'copies at most' : 'copies about'}</dt>
        <dd>
          <Bytes value={effect.bytesCopied} />
        </dd>
        <Freed effect={effect} />
        {effect.index !== null && <IndexFacts index={effect.index} />}
        <dt>can be undone</dt>
        <dd>{effect.irreversible ? 'no: files go for good' : 'nothing is lost by it'}</dd>
        <dt>valid</dt>
        <dd>
          {leftMs > 0 ? `for ${formatCountdown(leftMs)}, as long as nothing changes` : 'expired'}
        </dd>
      </dl>
      {effect.segments.length > 0 && (
        <ul className="plan-segments">
          {effect.segments.slice(0, ROWS_MAX).map((segment) => (
            <li key={segment.segmentId}>
              <SegmentChip segmentId={segment.segmentId} />
              <span>{fates[segment.fate]}</span>
              <span className="spacer" />
              <span className="num">
                <Bytes value={segment.bytesLive} /> live of <Bytes value={segment.bytesTotal} />
              </span>
            </li>
          ))}
          {effect.segments.length > ROWS_MAX && (
            <li className="muted">and {formatCount(effect.segments.length - ROWS_MAX)} more</li>
          )}
        </ul>
      )}
      {wants && (
        <label className="field">
          <span>This is much. To confirm, write the number of segments: {confirm.segments}</span>
          <input
            type="text"
            inputMode="numeric"
            data-testid="plan-typed"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </label>
      )}
    </Dialog>
  )
}

function applyText({ effect, confirm }: StoredPlan): string {
  const bytes = formatBytes(confirm.bytes)
  if (effect.index !== null) return `Vacuum: give back ${bytes}`
  // With a reader open nothing is deleted yet: the button must not promise it.
  const verb = !effect.irreversible ? 'Apply' : effect.bytesFreedNow === 0 ? 'Rewrite' : 'Delete'
  return `${verb}: ${plural(confirm.segments, 'segment')}, ${bytes}`
}

/** What is free at once, and what only once readers end; gains are what is left after the copies. */
function Freed({ effect }: { effect: PlanEffect }): ReactNode {
  const { bytesFreed, bytesFreedNow, bytesGained, bytesCopied, waitsFor, index } = effect
  const later = bytesFreed - bytesFreedNow
  if (later === 0) {
    return (
      <>
        <dt>frees</dt>
        <dd>
          <Bytes value={bytesFreed} />
        </dd>
        <dt>gains</dt>
        <dd>
          <Bytes value={bytesGained} />
        </dd>
      </>
    )
  }
  return (
    <>
      <dt>frees now</dt>
      <dd data-testid="freed-now">
        <Bytes value={bytesFreedNow} />
        {index === null && bytesCopied > bytesFreedNow && (
          <>
            ; the log grows by up to <Bytes value={bytesCopied - bytesFreedNow} /> until then
          </>
        )}
      </dd>
      <dt>frees later</dt>
      <dd data-testid="freed-later">
        <Bytes value={later} />, after {readersText(waitsFor)}
      </dd>
      <dt>gains then</dt>
      <dd>
        <Bytes value={bytesGained} />
      </dd>
    </>
  )
}

const READERS_NAMED = 2

function readersText(readers: PlanEffect['waitsFor']): string {
  const named = readers
    .slice(0, READERS_NAMED)
    .map(({ kind, label, pinId }) => `${kind} “${label}” (pin ${String(pinId)})`)
  const more = readers.length - named.length
  const ends = readers.length === 1 ? 'ends' : 'end'
  return `${[...named, ...(more > 0 ? [`${formatCount(more)} more`] : [])].join(' and ')} ${ends}`
}

function IndexFacts({ index }: { index: VacuumPlan }): ReactNode {
  const { bytesBefore, bytesAfter, pagesTotal, pagesFree, pagesHeld, readers } = index
  return (
    <>
      <dt>index.db</dt>
      <dd>
        <Bytes value={bytesBefore} /> now, <Bytes value={bytesAfter} /> afterwards
      </dd>
      <dt>its pages</dt>
      <dd>
        {formatCount(pagesFree)} of {formatCount(pagesTotal)} free
        {pagesHeld > 0 && `, ${formatCount(pagesHeld)} more once older roots are gone`}
      </dd>
      {bytesAfter < bytesBefore && (
        <>
          <dt>readers</dt>
          <dd>
            {readers === 0
              ? 'none: the file gets shorter at once'
              : `${plural(readers, 'reader')} open: the file gets shorter once they end`}
          </dd>
        </>
      )}
    </>
  )
}
