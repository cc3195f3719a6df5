// The rewrite queue and its ledger: in which order, at what price when planned and now, and what the
// last change of the debt moved, so that restaging is seen and not inferred.
import type { ReactNode } from 'react'
import { formatTime, plural, segmentList } from '../lib/format.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { SegmentChip } from '../parts/segment-chip.tsx'
import { Bytes, Ratio, Unknown } from '../parts/value.tsx'
import type { DebtMove } from '../state/app-state.ts'
import { queueRows, stageOf, stageText, type QueueRow } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'

/** A queue of thousands is read by its head. */
const ROWS_MAX = 100
const MOVES_SHOWN = 4

export function QueuePanel(): ReactNode {
  const engine = useApp((state) => state.engine)
  const nowMs = useEngineNow()
  if (engine === null) return null
  const rows = queueRows(engine)
  const stage = stageOf(engine.debt, nowMs)
  const missing = rows.filter((row) => row.current === null).length
  const title =
    rows.length === 0
      ? 'The queue is empty'
      : `${plural(rows.length, 'segment')} queued, ${stageText(stage)}`
  return (
    <Panel id="queue" name="Queue and ledger" title={title}>
      <Moves />
      {rows.length === 0 ? (
        <p className="muted">
          A plan puts segments here with their price; after the confirm delay a hot pass takes them
          one at a time and stages the rest again.
        </p>
      ) : (
        <>
          {engine.debt.ledger.length === 0 && (
            <p className="note">
              Queue-only debt: the ids were saved without economics. They are rewritten all the
              same.
            </p>
          )}
          {missing > 0 && (
            <p className="note note-bad">
              ✕ {plural(missing, 'queued segment')} missing on disk; the next pass prunes them.
            </p>
          )}
          <QueueTable rows={rows} staged={engine.debt.stage !== null} />
        </>
      )}
    </Panel>
  )
}

function QueueTable({ rows, staged }: { rows: QueueRow[]; staged: boolean }): ReactNode {
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Rewrite queue">
      <table className="table">
        <thead>
          <tr>
            <th scope="col" className="r">
              #
            </th>
            <th scope="col">Segment</th>
            <th scope="col" className="r">
              Stale when planned
            </th>
            <th scope="col" className="r">
              Stale now
            </th>
            <th scope="col" className="r">
              Live to copy
            </th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map((row) => (
            <tr
              key={row.segmentId}
              data-testid="queue-row"
              data-segment-id={row.segmentId}
              data-position={row.position}
              data-missing={row.current === null}
            >
              <td className="r">
                <span className={staged ? 'place place-staged' : 'place'}>{row.position}</span>
              </td>
              <th scope="row">
                <SegmentChip segmentId={row.segmentId} />
              </th>
              <td className="r">
                {row.planned === null ? (
                  <Unknown why="queued without economics" />
                ) : (
                  <>
                    <Bytes value={row.planned.bytesStale} />{' '}
                    <Ratio value={row.planned.staleRatio} />
                  </>
                )}
              </td>
              <td className="r">
                <Bytes value={row.current?.bytesStale} unknown="missing on disk" />{' '}
                {row.current !== null && row.current.bytesTotal > 0 && (
                  <Ratio value={row.current.bytesStale / row.current.bytesTotal} />
                )}
              </td>
              <td className="r">
                <Bytes value={row.current?.bytesLive} unknown="missing on disk" />
              </td>
              <td>
                {row.current === null ? (
                  <strong className="bad">✕ missing on disk</strong>
                ) : staged ? (
                  'staged'
                ) : (
                  'ready'
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > ROWS_MAX && <p className="muted">and {rows.length - ROWS_MAX} more</p>}
    </div>
  )
}

function Moves(): ReactNode {
  const moves = useApp((state) => state.moves)
  const newest = moves.slice(-MOVES_SHOWN).reverse()
  if (newest.length === 0) return null
  return (
    <ol className="moves" aria-label="How the queue moved, newest first">
      {newest.map((move) => (
        <li
          key={move.seq}
          className={`move move-${move.cause}`}
          data-testid="debt-move"
          data-cause={move.cause}
        >
          <span className="num muted">{formatTime(move.atMs)}</span>
          <span>
            <strong>{causeWords[move.cause]}</strong> {moveText(move)}
          </span>
        </li>
      ))}
    </ol>
  )
}

const causeWords: Record<DebtMove['cause'], string> = {
  loaded: 'Loaded.',
  planned: 'Planned.',
  staged: 'Staged.',
  pruned: 'Pruned.',
  consumed: 'Consumed.',
  restaged: 'Restaged.',
  postponed: 'Postponed.',
  cleared: 'Cleared.',
}

function moveText(move: DebtMove): string {
  const parts: string[] = []
  if (move.left.length > 0) parts.push(`${segmentList(move.left)} left`)
  if (move.joined.length > 0) parts.push(`${segmentList(move.joined)} joined`)
  parts.push(`${plural(move.remaining, 'segment')} ${move.remaining === 1 ? 'remains' : 'remain'}`)
  const before = move.stageBefore?.dueAtMs ?? null
  const after = move.stageAfter?.dueAtMs ?? null
  if (after !== null && before === null) parts.push(`confirm due at ${formatTime(after)}`)
  else if (after !== null && before !== null && after !== before) {
    parts.push(`confirm moved from ${formatTime(before)} to ${formatTime(after)}`)
  } else if (after === null && before !== null) parts.push('no longer staged')
  return `${parts.join(', ')}.`
}
