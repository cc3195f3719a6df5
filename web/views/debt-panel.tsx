// How much debt there is, what happens next and why not sooner: the numbers of the overview.
import { useMemo, type ReactNode } from 'react'
import {
  formatByteRate,
  formatBytes,
  formatCount,
  formatCountdown,
  formatDuration,
  formatRatio,
  plural,
} from '../lib/format.ts'
import { sourceWords } from '../lib/words.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { LiveBytes } from '../parts/live-value.tsx'
import { Panel } from '../parts/panel.tsx'
import { PreviewLine, usePreview } from '../parts/preview-line.tsx'
import { Term } from '../parts/term.tsx'
import { Bytes, Count, Unknown } from '../parts/value.tsx'
import {
  ageBlocked,
  amplification,
  debtByThreshold,
  timeToDrain,
  type Drain,
  type ThresholdBand,
} from '../state/overview.ts'
import { wakeRows, whatIsNext, type WakeRow } from '../state/next.ts'
import { totalsOf } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { goTo } from '../state/ui-store.ts'

export function DebtPanel(): ReactNode {
  const engine = useApp((state) => state.engine)
  const store = useApp((state) => state.store)
  const unknown = useApp((state) => state.liveBytesUnknown)
  const nowMs = useEngineNow()
  const preview = usePreview()
  if (engine === null || store === null || nowMs === null) return null
  const next = whatIsNext({ engine, store, preview: preview.made, nowMs })
  const totals = totalsOf(engine.segments)
  const share =
    unknown !== null || totals.bytesTotal === 0 ? null : totals.bytesStale / totals.bytesTotal
  return (
    <Panel
      id="debt"
      name="What happens next"
      title={<span data-testid="next-headline">{next.headline}</span>}
      large
    >
      {next.reasons.length > 0 && (
        <ul className="reasons" data-testid="next-reasons">
          {next.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      {store.mode === 'hosted' && preview.made !== null && (
        <WakeList wakes={wakeRows(preview.made, nowMs)} />
      )}
      {store.mode === 'hosted' && preview.made === null && (
        <p className="muted" data-testid="preview-why">
          What each pass would do is not known: {preview.why}.
        </p>
      )}
      <dl className={store.mode === 'hosted' ? 'stats' : 'stats stats-few'}>
        <div className="stat">
          <dt>
            <span className="key key-stale" /> <Term name="stale bytes">stale</Term>
          </dt>
          <dd className="stat-main">
            <LiveBytes value={totals.bytesStale} testId="debt-stale" />
          </dd>
          <dd className="stat-note">
            {unknown ?? (share === null ? 'no bytes yet' : `${formatRatio(share)} of all`)}
            {unknown === null && <PinnedNote bytes={totals.pinnedBytes} />}
          </dd>
        </div>
        <div className="stat">
          <dt>
            <span className="key key-live" /> <Term name="live bytes">live</Term>
          </dt>
          <dd className="stat-main">
            <LiveBytes value={totals.bytesLive} testId="debt-live" />
          </dd>
          <dd className="stat-note">{share === null ? '' : `${formatRatio(1 - share)} of all`}</dd>
        </div>
        <div className="stat">
          <dt>
            <Term name="total">total on disk</Term>
          </dt>
          <dd className="stat-main">
            <Bytes value={totals.bytesTotal} testId="debt-total" />
          </dd>
          <dd className="stat-note">
            {plural(totals.segments, 'segment')}
            {totals.zombies > 0 && `, ${formatCount(totals.zombies)} dead`}
          </dd>
        </div>
        <QueueStat />
        {store.mode === 'hosted' && <Amplifications />}
        {store.mode === 'hosted' && <DrainStat />}
        <ThresholdStat />
      </dl>
    </Panel>
  )
}

/** Stale, but waiting for readers: said beside the number that has it in it. */
function PinnedNote({ bytes }: { bytes: number }): ReactNode {
  if (bytes === 0) return null
  return (
    <>
      <br />
      <button type="button" className="button-link" onClick={() => goTo('pins')}>
        {formatBytes(bytes)} pinned
      </button>
    </>
  )
}

/** What may start a pass, soonest first, and what it would come to. */
function WakeList({ wakes }: { wakes: readonly WakeRow[] }): ReactNode {
  return (
    <ol className="wakes" aria-label="What may start a pass next">
      {wakes.map((wake) => (
        <li
          key={wake.key}
          data-testid={wakeTestId(wake)}
          data-source={wake.source}
          data-at-ms={wake.atMs ?? undefined}
        >
          <span className="wake-when num">{wake.when}</span>
          <span className="wake-source">
            {wake.source === 'checkpoint_kick' ? (
              <>
                its <Term name="checkpoint kick">kick</Term>
              </>
            ) : (
              sourceWords[wake.source]
            )}
          </span>
          <PreviewLine pass={wake.pass} name="wake-preview" />
        </li>
      ))}
    </ol>
  )
}

function wakeTestId({ key }: WakeRow): string {
  if (key === 'asked') return 'asked-checkpoint'
  return key === 'checkpoint' ? 'next-checkpoint' : 'next-wake'
}

function QueueStat(): ReactNode {
  const debt = useApp((state) => state.engine?.debt ?? null)
  if (debt === null) return null
  const stale = debt.ledger.reduce((sum, entry) => sum + entry.bytesStale, 0)
  return (
    <div className="stat">
      <dt>
        <Term name="queue" />
      </dt>
      <dd className="stat-main">
        <Count value={debt.queue.length} testId="queue-length" />
      </dd>
      <dd className="stat-note">
        {debt.queue.length === 0
          ? 'nothing to rewrite'
          : debt.ledger.length === 0
            ? 'without economics'
            : `${formatBytes(stale)} to free`}
      </dd>
    </div>
  )
}

function Amplifications(): ReactNode {
  const engine = useApp((state) => state.engine)
  const gauges = useApp((state) => state.gauges)
  if (engine === null || gauges === null) return null
  const { write, space } = amplification(totalsOf(engine.segments), gauges, engine.counters)
  const noLive = 'there is no live byte'
  const notTold = 'of this moment only the clock is known'
  return (
    <div className="stat">
      <dt>amplification</dt>
      <Times
        value={write}
        why={
          gauges.bytesPut === undefined
            ? notTold
            : 'nothing has been written since the store was opened'
        }
        testId="write-amplification"
      >
        <Term name="write amplification">write</Term>
      </Times>
      <Times value={space?.engine ?? null} why={noLive} testId="space-amplification">
        <Term name="space amplification">space</Term>
      </Times>
      <Times
        value={space?.user ?? null}
        why={space === null ? noLive : notTold}
        testId="space-on-disk"
      >
        <Term name="space on disk">on disk</Term>
      </Times>
      {space !== null && space.pinned > 0 && (
        <Times value={space.pinned} why={noLive} testId="pinned-space">
          <Term name="pinned space">pinned</Term>
        </Times>
      )}
    </div>
  )
}

interface TimesProps {
  value: number | null
  why: string
  testId: string
  children: ReactNode
}

function Times({ value, why, testId, children }: TimesProps): ReactNode {
  return (
    <dd className="stat-pair">
      <span className="num" data-testid={testId} data-value={value ?? undefined}>
        {value === null ? <Unknown why={why} /> : `${value.toFixed(2)} ×`}
      </span>{' '}
      {children}
    </dd>
  )
}

function DrainStat(): ReactNode {
  const samples = useApp((state) => state.samples)
  const drain = useMemo(() => timeToDrain(samples), [samples])
  return (
    <div className="stat">
      <dt>
        <Term name="time to drain" />
      </dt>
      <dd className="stat-main num">{drainText(drain)}</dd>
      <dd className="stat-note">{drainNote(drain)}</dd>
    </div>
  )
}

function drainText(drain: Drain): ReactNode {
  switch (drain.kind) {
    case 'empty':
      return '0 s'
    case 'unknown':
      return <Unknown why={drain.why} />
    case 'grows':
      return 'never'
    case 'drains':
      return `≈ ${formatDuration(drain.inMs)}`
  }
}

function drainNote(drain: Drain): string {
  switch (drain.kind) {
    case 'empty':
      return 'nothing is stale'
    case 'unknown':
      return drain.why
    case 'grows':
      return drain.bytesPerSecond === 0
        ? `stale bytes unchanged over ${formatDuration(drain.overMs)}`
        : `grows by ${formatByteRate(drain.bytesPerSecond)} over ${formatDuration(drain.overMs)}`
    case 'drains':
      return `estimate: falls by ${formatByteRate(drain.bytesPerSecond)}`
  }
}

/** Cumulative: what each floor would let a plan take, and what is only too young. */
function ThresholdStat(): ReactNode {
  const segments = useApp((state) => state.engine?.segments ?? null)
  const options = useApp((state) => state.store?.engine?.options ?? null)
  const nowMs = useEngineNow(1000)
  const unknown = useApp((state) => state.liveBytesUnknown)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const bands = useMemo(() => debtByThreshold(segments ?? []), [segments])
  if (segments === null) return null
  if (unknown !== null) {
    return (
      <div className="stat stat-bands">
        <dt>
          <Term name="debt by threshold" />
        </dt>
        <dd className="stat-main">
          <Unknown why={unknown} />
        </dd>
      </div>
    )
  }
  const young = options === null || nowMs === null ? null : ageBlocked(segments, options, nowMs)
  return (
    <div className="stat stat-bands">
      <dt>
        <Term name="debt by threshold" />
      </dt>
      <dd>
        <Bands bands={bands} />
      </dd>
      <dd className="stat-note" data-testid="age-blocked" data-count={young?.segments}>
        {young !== null && young.segments > 0 && young.nextInMs !== null && (
          <>
            <Term name="age-blocked" />: {plural(young.segments, 'segment')},{' '}
            {formatBytes(young.bytesStale)} stale
            {/* In a folder that is only read no time passes and nothing comes next. */}
            {!attached && `, next in ${formatCountdown(young.nextInMs)}`}
          </>
        )}
      </dd>
    </div>
  )
}

function Bands({ bands }: { bands: readonly ThresholdBand[] }): ReactNode {
  const most = Math.max(1, ...bands.map((band) => band.bytesStale))
  return (
    <table className="bands">
      <thead>
        <tr>
          <td />
          <td />
          <th scope="col">stale</th>
          <th scope="col">segments</th>
        </tr>
      </thead>
      <tbody>
        {bands.map((band) => (
          <tr key={band.minStaleRatio}>
            <th scope="row" className="num">
              {band.minStaleRatio === 1
                ? 'all of it'
                : `≥ ${String(Math.round(band.minStaleRatio * 100))} %`}
            </th>
            <td aria-hidden="true">
              <div className="band-track">
                <div style={{ width: `${String((band.bytesStale / most) * 100)}%` }} />
              </div>
            </td>
            <td className="r">
              <Bytes value={band.bytesStale} />
            </td>
            <td className="r num">{formatCount(band.segments)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
