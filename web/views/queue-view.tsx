// The rewrite queue and its ledger: in which order, at what price when planned and now, staged until
// when, and what each change of the debt moved, so that restaging is seen and not inferred.
import { useRef, type ReactNode } from 'react'
import type { EngineState } from '../../server/protocol.ts'
import { formatCountdown, formatRatio, formatTime, plural, segmentList } from '../lib/format.ts'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { LiveBytes, LiveRatio } from '../parts/live-value.tsx'
import { Panel } from '../parts/panel.tsx'
import { useLeaving, useRowMotion, type Shown } from '../parts/row-motion.ts'
import { SegmentChip } from '../parts/segment-chip.tsx'
import { Term } from '../parts/term.tsx'
import { Bytes, Ratio, Time, Unknown } from '../parts/value.tsx'
import type { DebtMove } from '../state/app-state.ts'
import { queueRows, stageOf, stageText, staleRatio, type QueueRow } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { openDrawer } from '../state/ui-store.ts'

/** A queue of thousands is read by its head. */
const ROWS_MAX = 200
const MOVES_SHOWN = 40

export function QueueView(): ReactNode {
  const engine = useApp((state) => state.engine)
  const nowMs = useEngineNow()
  if (engine === null) return null
  const rows = queueRows(engine)
  return <Queue engine={engine} rows={rows} nowMs={nowMs} />
}

interface QueueProps {
  engine: EngineState
  rows: QueueRow[]
  nowMs: number | null
}

const rowKey = (row: QueueRow): string => String(row.segmentId)

function Queue({ engine, rows, nowMs }: QueueProps): ReactNode {
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  const shown = useLeaving(rows.length > ROWS_MAX ? rows.slice(0, ROWS_MAX) : rows, rowKey)
  const stage = stageOf(engine.debt, nowMs)
  const missing = rows.filter((row) => row.current === null).length
  const title =
    rows.length === 0
      ? 'The queue is empty'
      : `${plural(rows.length, 'segment')} queued, ${stageText(stage)}`
  return (
    <>
      <Panel
        id="queue"
        name="Queue and ledger"
        title={title}
        large
        aside={
          rows.length > 0 && (
            <ExportButtons
              name="queue"
              rows={() => rows.map((row) => exportRow(row, bytesKnown))}
            />
          )
        }
      >
        <StageLine />
        {shown.length === 0 ? (
          <p className="muted">
            A plan puts segments here with their price, the <Term name="ledger" />; after the
            confirm delay a hot pass takes them one at a time and stages the rest again.
          </p>
        ) : (
          <>
            {rows.length > 0 && engine.debt.ledger.length === 0 && (
              <p className="note">
                Queue-only debt: the ids were saved without economics. They are rewritten all the
                same.
              </p>
            )}
            {missing > 0 && (
              <p className="note note-bad" data-testid="queue-missing">
                ✕ {plural(missing, 'queued segment')} missing on disk; the next pass prunes them.
              </p>
            )}
            <QueueTable rows={rows} shown={shown} staged={engine.debt.stage !== null} />
          </>
        )}
      </Panel>
      <Moves />
    </>
  )
}

function StageLine(): ReactNode {
  const debt = useApp((state) => state.engine?.debt ?? null)
  const nowMs = useEngineNow()
  if (debt?.stage == null) return null
  const { observedAtMs, dueAtMs, minStaleRatio } = debt.stage
  const leftMs = nowMs === null ? null : dueAtMs - nowMs
  const share =
    leftMs === null ? 0 : Math.max(0, Math.min(1, 1 - leftMs / (dueAtMs - observedAtMs)))
  return (
    <div className="stage-line" data-testid="stage-line">
      <div className="progress" aria-hidden="true">
        <div style={{ width: `${String(share * 100)}%` }} />
      </div>
      <p>
        <Term name="staged" /> at <Time value={observedAtMs} />, confirm due at{' '}
        <Time value={dueAtMs} />
        {leftMs !== null && (leftMs > 0 ? `, in ${formatCountdown(leftMs)}` : ', due now')}. It is
        confirmed with the floor that staged it:{' '}
        {minStaleRatio === null ? (
          <Unknown why="the state file does not tell" />
        ) : (
          `${formatRatio(minStaleRatio)} stale`
        )}
        .
      </p>
    </div>
  )
}

interface QueueTableProps {
  rows: QueueRow[]
  /** The first of them, and those that have just left. */
  shown: Shown<QueueRow>[]
  staged: boolean
}

function QueueTable({ rows, shown, staged }: QueueTableProps): ReactNode {
  const body = useRef<HTMLTableSectionElement>(null)
  const why = useApp((state) => state.moves.at(-1)?.cause ?? null)
  useRowMotion(body, shown.map(({ row }) => row.segmentId).join(' '))
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
              Gained since
            </th>
            <th scope="col" className="r">
              Live when planned
            </th>
            <th scope="col" className="r">
              Live to copy
            </th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody ref={body}>
          {shown.map(({ row, leaving }) => (
            <QueueTableRow
              key={row.segmentId}
              row={row}
              staged={staged}
              left={leaving ? (why ?? 'consumed') : null}
            />
          ))}
        </tbody>
        {rows.length > 1 && <QueueSums rows={rows} />}
      </table>
      {rows.length > ROWS_MAX && (
        <p className="muted">and {rows.length - ROWS_MAX} more; the CSV has them all</p>
      )}
    </div>
  )
}

interface QueueTableRowProps {
  row: QueueRow
  staged: boolean
  /** Why it left, of one that fades; null: it is in the queue. */
  left: DebtMove['cause'] | null
}

function QueueTableRow({ row, staged, left }: QueueTableRowProps): ReactNode {
  const { planned, current } = row
  const gained =
    planned === null || current === null ? null : current.bytesStale - planned.bytesStale
  return (
    <tr
      className={left === null ? undefined : 'row-leaving'}
      aria-hidden={left !== null}
      data-testid={left === null ? 'queue-row' : 'queue-row-leaving'}
      data-segment-id={row.segmentId}
      data-position={row.position}
      data-missing={current === null}
    >
      <td className="r">
        <span className={staged ? 'place place-staged' : 'place'}>{row.position}</span>
      </td>
      <th scope="row">
        <SegmentChip segmentId={row.segmentId} />
      </th>
      <td className="r">
        {planned === null ? (
          <Unknown why="queued without economics" />
        ) : (
          <>
            <Bytes value={planned.bytesStale} />{' '}
            <span className="muted">
              <Ratio value={planned.staleRatio} />
            </span>
          </>
        )}
      </td>
      <td className="r">
        <LiveBytes value={current?.bytesStale} unknown="missing on disk" />{' '}
        {current !== null && current.bytesTotal > 0 && (
          <span className="muted">
            <LiveRatio value={staleRatio(current)} />
          </span>
        )}
      </td>
      <td className="r">
        <LiveBytes value={gained} unknown="nothing to compare with" />
      </td>
      <td className="r">
        <Bytes value={planned?.bytesLive} unknown="queued without economics" />
      </td>
      <td className="r">
        <LiveBytes value={current?.bytesLive} unknown="missing on disk" />
      </td>
      <td>
        {left ??
          (current === null ? (
            <strong className="bad">✕ missing on disk</strong>
          ) : staged ? (
            'staged'
          ) : (
            'ready'
          ))}
      </td>
    </tr>
  )
}

/** The price of all of it, when planned and now; what is not known is in neither sum. */
function QueueSums({ rows }: { rows: readonly QueueRow[] }): ReactNode {
  const known = rows.flatMap(({ planned, current }) =>
    planned === null || current === null ? [] : [{ planned, current }],
  )
  const sum = (of: (row: (typeof known)[number]) => number) =>
    known.reduce((total, row) => total + of(row), 0)
  return (
    <tfoot>
      <tr data-testid="queue-sums">
        <td />
        <th scope="row">{known.length === rows.length ? 'in all' : 'of those known'}</th>
        <td className="r">
          <Bytes value={sum(({ planned }) => planned.bytesStale)} />
        </td>
        <td className="r">
          <LiveBytes value={sum(({ current }) => current.bytesStale)} />
        </td>
        <td className="r">
          <LiveBytes
            value={sum(({ planned, current }) => current.bytesStale - planned.bytesStale)}
          />
        </td>
        <td className="r">
          <Bytes value={sum(({ planned }) => planned.bytesLive)} />
        </td>
        <td className="r">
          <LiveBytes value={sum(({ current }) => current.bytesLive)} />
        </td>
        <td />
      </tr>
    </tfoot>
  )
}

/** Live bytes that are not known leave their columns empty. */
function exportRow(row: QueueRow, bytesKnown: boolean): Record<string, string | number | null> {
  return {
    position: row.position,
    segment_id: row.segmentId,
    planned_bytes_total: row.planned?.bytesTotal ?? null,
    planned_bytes_live: row.planned?.bytesLive ?? null,
    planned_bytes_stale: row.planned?.bytesStale ?? null,
    planned_stale_ratio: row.planned?.staleRatio ?? null,
    bytes_total: row.current?.bytesTotal ?? null,
    bytes_live: (bytesKnown ? row.current?.bytesLive : null) ?? null,
    bytes_stale: (bytesKnown ? row.current?.bytesStale : null) ?? null,
  }
}

function Moves(): ReactNode {
  const moves = useApp((state) => state.moves)
  const newest = moves.slice(-MOVES_SHOWN).reverse()
  const last = newest[0]
  return (
    <Panel
      id="moves"
      name="How the queue moved"
      title={
        last === undefined ? 'It has not moved yet' : `${causeWords[last.cause]} ${moveText(last)}`
      }
    >
      {newest.length === 0 ? (
        <p className="muted">
          Each plan, rewrite and restage that changes the queue is a line here, with its pass.
        </p>
      ) : (
        <ol className="moves" aria-label="How the queue moved, newest first">
          {newest.map((move) => (
            <Move key={move.seq} move={move} />
          ))}
        </ol>
      )}
    </Panel>
  )
}

function Move({ move }: { move: DebtMove }): ReactNode {
  const { passId } = move
  return (
    <li className={`move move-${move.cause}`} data-testid="debt-move" data-cause={move.cause}>
      <button
        type="button"
        className="button-link num"
        title="Show the event"
        onClick={() => openDrawer({ kind: 'event', seq: move.seq })}
      >
        {formatTime(move.atMs)}
      </button>
      <span>
        <strong>{causeWords[move.cause]}</strong> {moveText(move)}
        {passId !== null && (
          <>
            {' '}
            <button
              type="button"
              className="button-link num"
              onClick={() => openDrawer({ kind: 'pass', id: passId })}
            >
              pass {passId}
            </button>
          </>
        )}
      </span>
    </li>
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
