// Readers that keep dead segments on disk: who, since when, and what it costs.
import { useMemo, useState, type ReactNode } from 'react'
import type { Pin, SegmentInfo } from '../../server/protocol.ts'
import { formatAge, formatBytes, plural } from '../lib/format.ts'
import { holdingWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { PinGlyph } from '../parts/glyphs.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { SegmentChips } from '../parts/segment-chip.tsx'
import { Bytes, Time } from '../parts/value.tsx'
import { keptByPin, otherHoldings, type Holding } from '../state/selectors.ts'
import { act, makePlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'

export function PinsView(): ReactNode {
  const pins = useApp((state) => state.engine?.pins ?? null)
  const segments = useApp((state) => state.engine?.segments ?? null)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const nowMs = useEngineNow(1000)
  if (pins === null || segments === null || attached) return null
  const kept = new Set(
    pins.flatMap((pin) => keptByPin(segments, pin.pinId).map((segment) => segment.segmentId)),
  )
  const keptBytes = segments
    .filter((segment) => kept.has(segment.segmentId))
    .reduce((total, segment) => total + segment.bytesTotal, 0)
  const title =
    pins.length === 0
      ? 'No reader holds anything back'
      : kept.size === 0
        ? `${plural(pins.length, 'reader')} open, no dead segment kept`
        : `${plural(pins.length, 'reader')} ${pins.length === 1 ? 'keeps' : 'keep'} ${plural(kept.size, 'dead segment')}, ${formatBytes(keptBytes)}`
  return (
    <>
      <Panel id="pins" name="Pins" title={title} large>
        <p className="muted">
          A reader sees the store as it was when it began. Segments that died since stay on disk
          until it is released.
        </p>
        {pins.length > 0 && (
          <ul className="pins">
            {pins.map((pin) => {
              const mine = keptByPin(segments, pin.pinId)
              return (
                <li
                  key={pin.pinId}
                  className="pin"
                  data-testid="pin-row"
                  data-pin-id={pin.pinId}
                  data-kind={pin.kind}
                  data-label={pin.label}
                >
                  <div className="pin-head">
                    <span className="kept-text">
                      <PinGlyph />
                    </span>
                    <strong className="pin-label" title={pin.label}>
                      {pin.label}
                    </strong>
                    <span className="spacer" />
                    <ActionButton
                      name="release-pin"
                      about="Shows first what goes with it: dead segments that only it keeps are deleted."
                      onPress={() =>
                        void makePlan({ action: 'release-pin', body: { pinId: pin.pinId } })
                      }
                    >
                      Release…
                    </ActionButton>
                  </div>
                  <PinFacts pin={pin} mine={mine} nowMs={nowMs} />
                </li>
              )
            })}
          </ul>
        )}
        <HoldForm />
      </Panel>
      <OtherHoldings segments={segments} />
    </>
  )
}

/** Retained and in-use files: what is dead and waits for something that is no reader. */
function OtherHoldings({ segments }: { segments: readonly SegmentInfo[] }): ReactNode {
  const holdings = useMemo(() => otherHoldings(segments), [segments])
  const dead = new Set(holdings.flatMap((held) => held.segments.map((one) => one.segmentId)))
  return (
    <Panel
      id="holdings"
      name="Kept by something else"
      title={
        holdings.length === 0
          ? 'No dead segment waits for anything but readers'
          : `${plural(dead.size, 'dead segment')} ${dead.size === 1 ? 'waits' : 'wait'} for something that is no reader`
      }
    >
      {holdings.length > 0 && (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Kept by something else">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Kept by</th>
                <th scope="col">Until</th>
                <th scope="col" className="r">
                  Keeps
                </th>
                <th scope="col" className="r">
                  Alone
                </th>
                <th scope="col">Segments</th>
              </tr>
            </thead>
            <tbody>
              {holdings.map((held) => (
                <HoldingRow key={held.kind} held={held} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

function HoldingRow({ held }: { held: Holding }): ReactNode {
  const { kind } = held
  if (kind === 'snapshot' || kind === 'iterator') return null
  const { what, until } = holdingWords[kind]
  return (
    <tr data-testid="holding-row" data-keeper={kind} data-count={held.segments.length}>
      <th scope="row">{what}</th>
      <td>{until}</td>
      <td className="r">
        <Bytes value={held.bytes} />
      </td>
      <td className="r">
        <Bytes value={held.bytesAlone} />
      </td>
      <td>
        <SegmentChips ids={held.segments.map((one) => one.segmentId)} max={6} />
      </td>
    </tr>
  )
}

interface PinFactsProps {
  pin: Pin
  /** Dead segments that name this pin among their keepers. */
  mine: readonly SegmentInfo[]
  nowMs: number | null
}

/** What it keeps, since when, and what would go if it were released now. */
function PinFacts({ pin, mine, nowMs }: PinFactsProps): ReactNode {
  const alone = mine.filter((segment) => segment.keptBy.length === 1)
  const bytes = (list: readonly SegmentInfo[]) =>
    list.reduce((sum, segment) => sum + segment.bytesTotal, 0)
  return (
    <dl className="facts">
      <dt>kind</dt>
      <dd>{pin.kind}</dd>
      <dt>since</dt>
      <dd>
        <Time value={pin.sinceMs} />
        {nowMs !== null && <span className="muted"> ({formatAge(nowMs - pin.sinceMs)})</span>}
      </dd>
      <dt>keeps</dt>
      <dd data-testid="pin-keeps" data-count={mine.length}>
        {mine.length === 0 ? (
          'no dead segment yet'
        ) : (
          <>
            <SegmentChips ids={mine.map((segment) => segment.segmentId)} max={8} />{' '}
            {formatBytes(bytes(mine))}
          </>
        )}
      </dd>
      <dt>releasing frees</dt>
      <dd data-testid="pin-frees" data-bytes={bytes(alone)}>
        {mine.length === 0 ? (
          'nothing'
        ) : alone.length === mine.length ? (
          `all of it, ${formatBytes(bytes(alone))}`
        ) : (
          <>
            {formatBytes(bytes(alone))} at once; {plural(mine.length - alone.length, 'segment')}{' '}
            {mine.length - alone.length === 1 ? 'has' : 'have'} another keeper, too
          </>
        )}
      </dd>
    </dl>
  )
}

function HoldForm(): ReactNode {
  const [label, setLabel] = useState('')
  const trimmed = label.trim()
  const hold = async () => {
    const answer = await act('hold-snapshot', { label: trimmed })
    if (answer !== null) setLabel('')
  }
  return (
    <form
      className="row"
      onSubmit={(event) => {
        event.preventDefault()
        if (trimmed !== '') void hold()
      }}
    >
      <label className="field grow">
        <span>Label of a new snapshot or iterator</span>
        <input
          type="text"
          data-testid="snapshot-label"
          value={label}
          maxLength={200}
          placeholder="such as: nightly backup"
          onChange={(event) => setLabel(event.target.value)}
        />
      </label>
      <ActionButton
        name="hold-iterator"
        disabledWhy={trimmed === '' ? 'Give the iterator a label first.' : null}
        about="Holds an iterator over all keys; it keeps segments as a snapshot does."
        onPress={() =>
          void act('hold-iterator', { label: trimmed, from: '' }).then(() => setLabel(''))
        }
      >
        Hold an iterator
      </ActionButton>
      <ActionButton
        name="hold-snapshot"
        disabledWhy={trimmed === '' ? 'Give the snapshot a label first.' : null}
        about="Holds a snapshot: segments it can read stay on disk until it is released."
        onPress={() => void hold()}
      >
        Hold a snapshot
      </ActionButton>
    </form>
  )
}
