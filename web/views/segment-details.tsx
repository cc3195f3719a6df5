// All that is known about the segment chosen last, and why it is still on disk.
import type { ReactNode } from 'react'
import { exactTime, formatAge, formatRatio, segmentLabel } from '../lib/format.ts'
import { keeperText, stateWords } from '../lib/words.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { Bytes, Time } from '../parts/value.tsx'
import { segmentById } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { chooseSegments, useUi } from '../state/ui-store.ts'

const origins = {
  foreground: 'the foreground',
  rewrite: 'a rewrite',
  unknown: 'not known: the folder has no metadata that tells',
} as const

export function SegmentDetails(): ReactNode {
  const id = useUi((state) => state.selected.at(-1) ?? null)
  const segments = useApp((state) => state.engine?.segments ?? null)
  const debt = useApp((state) => state.engine?.debt ?? null)
  const nowMs = useEngineNow(1000)
  if (id === null || segments === null) return null
  const segment = segmentById(segments, id)
  if (segment === undefined) {
    return (
      <aside className="details" aria-label="Chosen segment" data-testid="segment-details">
        <p>
          {segmentLabel(id)} is not on disk any more.{' '}
          <button type="button" className="button-link" onClick={() => chooseSegments([])}>
            close
          </button>
        </p>
      </aside>
    )
  }
  const place = debt === null ? -1 : debt.queue.indexOf(id)
  const sealedAgo =
    segment.sealedAtMs === null || nowMs === null ? null : nowMs - segment.sealedAtMs
  return (
    <aside
      className="details"
      aria-label={`Segment ${segmentLabel(id)}`}
      data-testid="segment-details"
      data-segment-id={id}
    >
      <div className="details-head">
        <h3>
          {segmentLabel(id)} is {stateWords[segment.state]}
          {place >= 0 && `, number ${String(place + 1)} in the queue`}
        </h3>
        <button type="button" className="button-link" onClick={() => chooseSegments([])}>
          close
        </button>
      </div>
      <dl className="facts">
        <dt>file</dt>
        <dd className="path">{segment.file}</dd>
        <dt>segment id</dt>
        <dd className="num">
          {segment.segmentId} (lane {segment.lane}, seq {segment.seq})
        </dd>
        <dt>bytes</dt>
        <dd>
          <Bytes value={segment.bytesLive} /> live + <Bytes value={segment.bytesStale} /> stale ={' '}
          <Bytes value={segment.bytesTotal} />
          {segment.bytesTotal > 0 && (
            <span className="muted">
              {' '}
              ({formatRatio(segment.bytesStale / segment.bytesTotal)} stale)
            </span>
          )}
        </dd>
        <dt>written by</dt>
        <dd>{origins[segment.origin]}</dd>
        <dt>created</dt>
        <dd>
          <Time value={segment.createdAtMs} unknown="the folder does not tell" />
        </dd>
        <dt>sealed</dt>
        <dd title={exactTime(segment.sealedAtMs)}>
          <Time
            value={segment.sealedAtMs}
            unknown={
              segment.state === 'active' ? 'still being written' : 'the folder does not tell'
            }
          />
          {sealedAgo !== null && <span className="muted"> ({formatAge(sealedAgo)} old)</span>}
          {segment.ageSource === 'mtime' && (
            <span className="muted"> from the file’s time, which copying resets</span>
          )}
        </dd>
        <dt>kept by</dt>
        <dd>
          {segment.keptBy.length === 0 ? (
            <span>its live bytes</span>
          ) : (
            <ul className="keepers">
              {segment.keptBy.map((keeper, index) => (
                <li key={index} data-keeper={keeper.kind}>
                  {keeperText(keeper, nowMs)}
                </li>
              ))}
            </ul>
          )}
        </dd>
      </dl>
    </aside>
  )
}
