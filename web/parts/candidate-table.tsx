// Every segment a plan looked at: selected first, then the dropped ones by the filter that dropped
// them, each with its distance and the one option that would flip it.
import { useState, type ReactNode } from 'react'
import type { CandidateVerdict, RewritePlan } from '../../server/protocol.ts'
import { formatAge, formatBytes, formatDistance, plural } from '../lib/format.ts'
import { filterWords } from '../lib/words.ts'
import { SegmentChip } from './segment-chip.tsx'
import { Bytes, Ratio } from './value.tsx'

/** A plan over thousands of segments is read by its groups, not by its rows. */
const ROWS_AT_FIRST = 20

interface Group {
  verdict: CandidateVerdict['verdict']
  candidates: CandidateVerdict[]
}

/** Selected first, then one group a filter in the order given; within a group the nearest to passing first. */
function groupsOf(candidates: readonly CandidateVerdict[]): Group[] {
  const groups = new Map<CandidateVerdict['verdict'], CandidateVerdict[]>()
  for (const candidate of candidates) {
    const group = groups.get(candidate.verdict)
    if (group === undefined) groups.set(candidate.verdict, [candidate])
    else group.push(candidate)
  }
  const near = (one: CandidateVerdict) => Math.abs(one.distance ?? 0)
  return [...groups]
    .map(([verdict, list]) => ({
      verdict,
      candidates: list.sort((a, b) =>
        verdict === 'selected' ? (a.rank ?? 0) - (b.rank ?? 0) : near(a) - near(b),
      ),
    }))
    .sort((a, b) => Number(b.verdict === 'selected') - Number(a.verdict === 'selected'))
}

export function CandidateTable({ plan }: { plan: RewritePlan }): ReactNode {
  if (plan.candidates.length === 0) {
    return <p className="muted">There was no segment to look at.</p>
  }
  return (
    <div className="candidates">
      <p className="muted">{planSummary(plan)}</p>
      {groupsOf(plan.candidates).map((group) => (
        <CandidateGroup key={group.verdict} group={group} />
      ))}
    </div>
  )
}

function CandidateGroup({ group }: { group: Group }): ReactNode {
  const { verdict, candidates } = group
  const [all, setAll] = useState(false)
  const shown = all ? candidates : candidates.slice(0, ROWS_AT_FIRST)
  const selected = verdict === 'selected'
  const name = selected ? 'selected' : filterWords[verdict]
  return (
    <details className="candidate-group" open={selected}>
      <summary>
        <span className={selected ? 'good' : undefined}>
          {selected && <span aria-hidden="true">✓ </span>}
          {name}
        </span>{' '}
        <span className="muted num">{plural(candidates.length, 'segment')}</span>
      </summary>
      <div className="scroll-x" tabIndex={0} role="region" aria-label={`Candidates: ${name}`}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Segment</th>
              <th scope="col" className="r">
                Stale
              </th>
              <th scope="col" className="r">
                Live
              </th>
              <th scope="col" className="r">
                Age
              </th>
              <th scope="col">{selected ? 'Order' : 'Missed by'}</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((candidate) => (
              <CandidateRow key={candidate.segmentId} candidate={candidate} />
            ))}
          </tbody>
        </table>
      </div>
      {candidates.length > shown.length && (
        <button type="button" className="button-link" onClick={() => setAll(true)}>
          Show the other {candidates.length - shown.length}
        </button>
      )}
    </details>
  )
}

function CandidateRow({ candidate }: { candidate: CandidateVerdict }): ReactNode {
  const { verdict, distance, unit, flip } = candidate
  return (
    <tr data-testid="candidate-row" data-segment-id={candidate.segmentId} data-verdict={verdict}>
      <th scope="row">
        <SegmentChip segmentId={candidate.segmentId} />
      </th>
      <td className="r">
        <Bytes value={candidate.bytesStale} />
        <br />
        <span className="muted">
          <Ratio value={candidate.staleRatio} />
        </span>
      </td>
      <td className="r">
        <Bytes value={candidate.bytesLive} />
      </td>
      <td className="r num">{formatAge(candidate.ageMs)}</td>
      <td className="wrap">
        {verdict === 'selected' ? (
          ordinal(candidate.rank)
        ) : (
          <>
            {distance !== null && unit !== null && (
              <span className="num">{formatDistance(distance, unit)}</span>
            )}
            {flip !== null && <div className="muted">{flip.text}</div>}
            {distance === null && flip === null && (
              <span className="muted">no option selects it</span>
            )}
          </>
        )}
      </td>
    </tr>
  )
}

function ordinal(rank: number | null): string {
  return rank === null ? 'order unknown' : `number ${String(rank + 1)}`
}

function planSummary(plan: RewritePlan): string {
  const dropped = plan.candidates.length - plan.selected.length
  const selected = `${plural(plan.selected.length, 'segment')} selected: ${formatBytes(plan.selectedBytesLive)} live to copy, ${formatBytes(plan.selectedBytesStale)} stale to free.`
  const rest = `${plural(dropped, 'segment')} dropped.`
  const missing =
    plan.missing.length === 0 ? '' : ` ${plural(plan.missing.length, 'segment')} missing on disk.`
  return `${selected} ${rest}${missing}`
}
