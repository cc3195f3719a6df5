// Where the bytes of a pass went, as bars on one scale: what was selected, what was copied, what came
// free, what was deleted or kept; ending in a residual that is 0 or red.
import type { ReactNode } from 'react'
import type { PassReport } from '../../server/protocol.ts'
import { exactBytes, formatBytes, formatRatio } from '../lib/format.ts'
import { byteFlow, type ByteFlow as Flow } from '../state/pass-flow.ts'
import { SegmentChips } from './segment-chip.tsx'
import { Term } from './term.tsx'
import { Bytes, Unknown } from './value.tsx'

interface Row {
  name: string
  bytes: number | null
  /** Colour of the bar. */
  token: string
  note?: ReactNode
  unknown?: string
}

function rowsOf(flow: Flow): Row[] {
  const rows: Row[] = []
  if (flow.sources.length > 0) {
    const unknown = 'the queue had no economics for it'
    rows.push(
      { name: 'selected, stale', bytes: flow.plannedBytesStale, token: '--stale', unknown },
      { name: 'selected, live', bytes: flow.plannedBytesLive, token: '--live', unknown },
      { name: 'copied', bytes: flow.bytesCopied, token: '--rewriting' },
      {
        name: 'unreferenced',
        bytes: flow.bytesUnreferenced,
        token: '--gone',
        note: 'sources without a live byte',
      },
    )
    if (flow.bytesStillReferenced > 0) {
      rows.push({
        name: 'still referenced',
        bytes: flow.bytesStillReferenced,
        token: '--blocked',
        note: 'a key still points into them',
      })
    }
  }
  if (flow.bytesPinned !== null && flow.bytesPinned > 0) {
    rows.push({
      name: 'of it pinned',
      bytes: flow.bytesPinned,
      token: '--kept',
      note: 'by a reader',
    })
  }
  if (flow.bytesRetained !== null && flow.bytesRetained > 0) {
    rows.push({
      name: 'of it retained',
      bytes: flow.bytesRetained,
      token: '--kept',
      note: 'by a root, the journal or until the next GC',
    })
  }
  rows.push({
    name: 'deleted',
    bytes: flow.bytesDeleted,
    token: '--gone',
    note: flow.segmentsDeleted.length > 0 && <SegmentChips ids={flow.segmentsDeleted} max={4} />,
  })
  if (flow.bytesKept > 0) {
    rows.push({
      name: 'dead but kept',
      bytes: flow.bytesKept,
      token: '--kept',
      note: <SegmentChips ids={flow.segmentsKept} max={4} />,
    })
  }
  return rows
}

export function ByteFlow({ report }: { report: PassReport }): ReactNode {
  const flow = byteFlow(report)
  if (flow === null) return <p className="muted">It moved no byte.</p>
  const rows = rowsOf(flow)
  const most = Math.max(1, ...rows.map((row) => row.bytes ?? 0))
  return (
    <div className="byte-flow" data-testid="byte-flow">
      <table className="flow">
        <tbody>
          {rows.map((row) => (
            <tr key={row.name} data-flow={row.name} data-bytes={row.bytes ?? undefined}>
              <th scope="row">{row.name}</th>
              <td className="flow-bar" aria-hidden="true">
                <div
                  style={{
                    width: `${String(((row.bytes ?? 0) / most) * 100)}%`,
                    background: `var(${row.token})`,
                  }}
                />
              </td>
              <td className="r">
                <Bytes value={row.bytes} unknown={row.unknown ?? 'not known'} />
              </td>
              <td className="muted">{row.note}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        Won on disk:{' '}
        <strong className="num" title={exactBytes(flow.bytesGained)} data-bytes={flow.bytesGained}>
          {formatBytes(flow.bytesGained)}
        </strong>{' '}
        <span className="muted">(deleted − copied)</span>
      </p>
      {flow.predicted !== null && <Predicted flow={flow} />}
      {flow.sources.length > 0 && <Residual bytes={flow.residualBytes} />}
    </div>
  )
}

function Predicted({ flow }: { flow: Flow }): ReactNode {
  if (flow.predicted === null) return null
  const { bytesLive } = flow.predicted
  const off = flow.bytesCopied - bytesLive
  return (
    <p data-testid="predicted">
      Predicted to copy <Bytes value={bytesLive} />, copied <Bytes value={flow.bytesCopied} />
      {off === 0
        ? ': as predicted.'
        : bytesLive === 0
          ? '.'
          : `: ${formatRatio(Math.abs(off) / bytesLive)} ${off < 0 ? 'less, keys died since' : 'more'}.`}
    </p>
  )
}

function Residual({ bytes }: { bytes: number | null }): ReactNode {
  return (
    <p className={bytes === null || bytes === 0 ? undefined : 'bad'} data-testid="residual">
      <Term name="residual" />:{' '}
      {bytes === null ? (
        <Unknown why="the sources’ bytes were not in the ledger" />
      ) : (
        <strong className="num" data-bytes={bytes}>
          {bytes !== 0 && '✕ '}
          {exactBytes(bytes)}
        </strong>
      )}
    </p>
  )
}
