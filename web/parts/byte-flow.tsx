// Where the bytes of a pass's sources went, as the engine accounts for them: each row is a part of the
// one before, its bar lies under the part it is, and what nothing accounts for is the residual: 0 or red.
import type { ReactNode } from 'react'
import type { ByteFlow as SourceFlow, PassReport, PassYield } from '../../server/protocol.ts'
import { exactBytes, formatBytes, formatRatio } from '../lib/format.ts'
import { byteFlow, type ByteFlow as Flow } from '../state/pass-flow.ts'
import { SegmentChips } from './segment-chip.tsx'
import { Term } from './term.tsx'
import { Bytes } from './value.tsx'

interface Row {
  name: string
  bytes: number
  /** Where its bar begins, bytes from the left. */
  from: number
  /** Domain colour of the bar. */
  token: string
  note: string
  /** Left out while it is 0. */
  optional?: true
}

/** selected = stale + live = unprocessed + still referenced + unreferenced; that = deleted + kept. */
function rowsOf(flow: SourceFlow): Row[] {
  const { selectedBytesTotal: total, selectedBytesStale: stale } = flow
  const kept = flow.deletedBytes + flow.pinnedBytes
  const rows: Row[] = [
    { name: 'selected', bytes: total, from: 0, token: '--queued', note: 'whole sources' },
    { name: 'of it stale', bytes: stale, from: 0, token: '--stale', note: 'when chosen' },
    {
      name: 'processed',
      bytes: flow.processedBytes,
      from: 0,
      token: '--rewriting',
      note: 'their rewrite ended',
    },
    {
      name: 'not processed',
      bytes: flow.unprocessedBytes,
      from: flow.processedBytes,
      token: '--blocked',
      note: 'cancelled, failed or out of time',
      optional: true,
    },
    {
      name: 'unreferenced',
      bytes: flow.unreferencedBytes,
      from: 0,
      token: '--gone',
      note: 'no key points into them',
    },
    {
      name: 'still referenced',
      bytes: flow.stillReferencedBytes,
      from: flow.unreferencedBytes,
      token: '--blocked',
      note: 'a key points into them',
      optional: true,
    },
    { name: 'deleted', bytes: flow.deletedBytes, from: 0, token: '--gone', note: 'off the disk' },
    {
      name: 'pinned',
      bytes: flow.pinnedBytes,
      from: flow.deletedBytes,
      token: '--kept',
      note: 'a reader keeps them',
      optional: true,
    },
    {
      name: 'retained',
      bytes: flow.retainedBytes,
      from: kept,
      token: '--kept',
      note: 'by a root, the journal or until the next GC',
      optional: true,
    },
  ]
  return rows.filter((row) => row.optional !== true || row.bytes > 0)
}

export function ByteFlow({ report }: { report: PassReport }): ReactNode {
  const moved = byteFlow(report)
  if (moved === null) return <p className="muted">It moved no byte.</p>
  return (
    <div className="byte-flow" data-testid="byte-flow">
      {moved.flow !== null && <FlowTable flow={moved.flow} />}
      {moved.flow !== null && <Residual bytes={moved.flow.residualBytes} />}
      <Won moved={moved} />
      {moved.yield !== null && <Predicted promised={moved.yield} />}
    </div>
  )
}

function FlowTable({ flow }: { flow: SourceFlow }): ReactNode {
  const share = (bytes: number) =>
    `${String((bytes / Math.max(1, flow.selectedBytesTotal)) * 100)}%`
  return (
    <table className="flow">
      <tbody>
        {rowsOf(flow).map((row) => (
          <tr key={row.name} data-flow={row.name} data-bytes={row.bytes}>
            <th scope="row">{row.name}</th>
            <td className="flow-bar" aria-hidden="true">
              <div
                style={{
                  marginLeft: share(row.from),
                  width: share(row.bytes),
                  background: `var(${row.token})`,
                }}
              />
            </td>
            <td className="r">
              <Bytes value={row.bytes} />
            </td>
            <td className="muted">{row.note}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Residual({ bytes }: { bytes: number }): ReactNode {
  return (
    <p className={bytes === 0 ? undefined : 'bad'} data-testid="residual">
      <Term name="residual" />:{' '}
      <strong className="num" data-bytes={bytes}>
        {bytes !== 0 && '✕ '}
        {exactBytes(bytes)}
      </strong>
    </p>
  )
}

/** What the disk won, all that was deleted counted, also what had died before this pass. */
function Won({ moved }: { moved: Flow }): ReactNode {
  const { bytesGained, bytesDeleted, bytesCopied, segmentsDeleted, segmentsKept, bytesKept } = moved
  return (
    <>
      <p data-testid="won" data-bytes={bytesGained}>
        Won on disk:{' '}
        <strong className="num" title={exactBytes(bytesGained)}>
          {formatBytes(bytesGained)}
        </strong>{' '}
        <span className="muted">
          = <Bytes value={bytesDeleted} /> deleted − <Bytes value={bytesCopied} /> copied
        </span>{' '}
        {segmentsDeleted.length > 0 && <SegmentChips ids={segmentsDeleted} max={6} />}
      </p>
      {segmentsKept.length > 0 && (
        <p className="muted">
          Dead in the store and kept after it: <Bytes value={bytesKept} />{' '}
          <SegmentChips ids={segmentsKept} max={6} />
        </p>
      )}
    </>
  )
}

/** Fewer bytes copied than predicted is the usual miss: keys died between the plan and the rewrite. */
function Predicted({ promised }: { promised: PassYield }): ReactNode {
  const { predictedCopiedBytes, actualCopiedBytes, predictedFreedBytes, actualFreedBytes } =
    promised
  return (
    <table className="flow" data-testid="predicted">
      <thead>
        <tr>
          <th scope="col">
            <span className="sr-only">Yield</span>
          </th>
          <th scope="col" className="r">
            predicted
          </th>
          <th scope="col" className="r">
            actual
          </th>
          <th scope="col" />
        </tr>
      </thead>
      <tbody>
        <Yield name="copied" predicted={predictedCopiedBytes} actual={actualCopiedBytes} />
        <Yield name="freed" predicted={predictedFreedBytes} actual={actualFreedBytes} />
      </tbody>
    </table>
  )
}

function Yield(props: { name: string; predicted: number; actual: number }): ReactNode {
  const { name, predicted, actual } = props
  const off = actual - predicted
  return (
    <tr data-yield={name} data-predicted={predicted} data-actual={actual}>
      <th scope="row">{name}</th>
      <td className="r">
        <Bytes value={predicted} />
      </td>
      <td className="r">
        <Bytes value={actual} />
      </td>
      <td className="muted">
        {off === 0
          ? 'as predicted'
          : predicted === 0
            ? ''
            : `${formatRatio(Math.abs(off) / predicted)} ${off < 0 ? 'less' : 'more'}`}
      </td>
    </tr>
  )
}
