// The strip that never leaves: which store, in which mode, connected or not, what the scheduler and
// the clock do, and the sentence that answers "how much debt, in what state, when next".
import { useLayoutEffect, useRef, type ReactNode, type RefObject } from 'react'
import type { StoreInfo } from '../../server/protocol.ts'
import { formatCount, formatDuration, formatTime, exactTime, formatAge } from '../lib/format.ts'
import { useEngineNow, usePageNow, useThrottled } from '../parts/hooks.ts'
import { heldBackBy } from '../state/held-back.ts'
import { connectionView, theSentence } from '../state/selectors.ts'
import { retryNow, switchStore } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { setTheme, uiStore, useUi, type Theme } from '../state/ui-store.ts'

export function Strip(): ReactNode {
  const box = useRef<HTMLElement>(null)
  useStripHeight(box)
  return (
    <header ref={box} className="strip" data-testid="strip">
      <div className="strip-facts">
        <h1 className="brand strip-brand">Restage</h1>
        <StoreName />
        <Connection />
        <SchedulerFact />
        <ClockFact />
        <span className="spacer" />
        <div className="row tight">
          <ThemeChoice />
          <button
            type="button"
            className="button-quiet"
            onClick={() => uiStore.setState({ helpOpen: true })}
            title="Keys and words (?)"
            aria-label="Help"
          >
            ?
          </button>
        </div>
      </div>
      <SentenceLine />
    </header>
  )
}

/** Tells the stylesheet how much of the window the strip covers: what scrolls into sight stops below it. */
function useStripHeight(box: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    const root = document.documentElement.style
    const measure = () => root.setProperty('--strip-height', `${String(element.offsetHeight)}px`)
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => {
      observer.disconnect()
      root.removeProperty('--strip-height')
    }
  }, [box])
}

function StoreName(): ReactNode {
  const store = useApp((state) => state.store)
  const stores = useApp((state) => state.stores)
  const mode = useApp((state) => state.engine?.scheduler.mode ?? null)
  if (store === null) return null
  return (
    <div className="fact fact-store">
      {stores.length > 1 ? (
        <select
          aria-label="Store"
          value={store.storeId}
          onChange={(event) => {
            const next = stores.find((one) => one.storeId === event.target.value)
            if (next !== undefined) switchStore(next)
          }}
        >
          {stores.map((one) => (
            <option key={one.storeId} value={one.storeId}>
              {one.name}
            </option>
          ))}
        </select>
      ) : (
        <strong className="store-name" title={store.engine?.dir ?? store.name}>
          {store.name}
        </strong>
      )}
      <span className="badge" data-testid="store-mode" data-mode={store.mode}>
        {modeText(store, mode)}
      </span>
    </div>
  )
}

function modeText(store: StoreInfo, mode: 'auto' | 'step' | null): string {
  if (store.status === 'failed') return 'failed'
  if (store.mode === 'attached') return 'attached, read-only'
  return mode === null ? 'hosted' : `hosted, ${mode}`
}

function Connection(): ReactNode {
  const pageNow = usePageNow(500)
  const link = useApp((state) => state.link)
  const store = useApp((state) => state.store)
  const { state: phase, text } = connectionView({ link, store }, pageNow)
  const why = link.phase === 'reconnecting' ? link.why : undefined
  return (
    <div className="fact" data-testid="connection-state" data-state={phase} title={why}>
      <span className={`dot dot-${phase}`} aria-hidden="true" />
      {text}
      {phase === 'reconnecting' && (
        <button type="button" className="button-link" onClick={retryNow}>
          try now
        </button>
      )}
    </div>
  )
}

function SchedulerFact(): ReactNode {
  const scheduler = useApp((state) => state.engine?.scheduler ?? null)
  const attached = useApp((state) => state.store?.mode === 'attached')
  if (scheduler === null || attached) return null
  return (
    <div className="fact" data-testid="scheduler-state" data-state={scheduler.state}>
      <span className="fact-name">scheduler</span>
      <span className={scheduler.state === 'error' ? 'bad' : undefined}>
        {scheduler.state === 'error' ? '✕ error' : scheduler.state}
      </span>
      {heldBackBy(scheduler).map(({ by, short, why, until }) => (
        <strong
          key={by}
          className="warn held-back"
          data-testid="held-back"
          data-by={by}
          title={`Nothing runs by itself: ${why}. ${until}`}
        >
          {short}
        </strong>
      ))}
    </div>
  )
}

function ClockFact(): ReactNode {
  const nowMs = useEngineNow()
  const gauges = useApp((state) => state.gauges)
  const attached = useApp((state) => state.store?.mode === 'attached')
  if (gauges === null || nowMs === null || attached) return null
  const { clockFrozen, clockOffsetMs = 0 } = gauges
  const virtual = clockFrozen || Math.abs(clockOffsetMs) >= 1
  return (
    <div
      className="fact"
      data-testid="clock"
      data-now-ms={Math.round(nowMs)}
      data-virtual={virtual}
      data-frozen={clockFrozen}
      title={`Engine clock ${exactTime(Math.round(nowMs))}`}
    >
      <span className="fact-name">clock</span>
      <span className="num">{formatTime(nowMs)}</span>
      {clockFrozen && <span className="badge badge-virtual">frozen</span>}
      {virtual && Math.abs(clockOffsetMs) >= 1 && (
        <span className="badge badge-virtual num">
          virtual, {clockOffsetMs > 0 ? '+' : ''}
          {formatDuration(clockOffsetMs)}
        </span>
      )}
    </div>
  )
}

const themes: Record<Theme, { next: Theme; label: string; glyph: string }> = {
  auto: { next: 'light', label: 'Theme: as the system', glyph: '◐' },
  light: { next: 'dark', label: 'Theme: light', glyph: '○' },
  dark: { next: 'auto', label: 'Theme: dark', glyph: '●' },
}

function ThemeChoice(): ReactNode {
  const theme = useUi((state) => state.theme)
  const { next, label, glyph } = themes[theme]
  return (
    <button
      type="button"
      className="button-quiet"
      data-testid="theme"
      title={`${label}. Press to change.`}
      aria-label={label}
      onClick={() => setTheme(next)}
    >
      <span aria-hidden="true">{glyph}</span>
    </button>
  )
}

/** Often enough to be of use, seldom enough to be listened to. */
const ANNOUNCE_EVERY_MS = 15_000

/** Long enough to be read; the trace keeps the range for ever. */
const BEHIND_SHOWN_MS = 15_000

function SentenceLine(): ReactNode {
  const nowMs = useEngineNow()
  const pageNow = usePageNow(500)
  const engine = useApp((state) => state.engine)
  const store = useApp((state) => state.store)
  const link = useApp((state) => state.link)
  const receivedAtMs = useApp((state) => state.receivedAtMs)
  const seq = useApp((state) => state.seq)
  const liveBytesUnknown = useApp((state) => state.liveBytesUnknown)
  const absent = useApp((state) => state.absent !== null)
  const sentence =
    store?.status === 'failed'
      ? `${store.name} has failed.`
      : engine === null
        ? absent
          ? 'No store is shown.'
          : 'Waiting for the first numbers.'
        : theSentence(engine, nowMs, liveBytesUnknown === null)
  // Of another store, and its first numbers, without delay: what was said is about another one.
  const about = `${store?.storeId ?? ''} ${engine === null ? 'waits' : 'told'}`
  const announced = useThrottled(sentence, ANNOUNCE_EVERY_MS, about)
  const old = engine !== null && link.phase !== 'live'
  const behind = useApp((state) => state.behind)
  const fellBehind = behind !== null && pageNow - behind.atMs < BEHIND_SHOWN_MS
  return (
    <div className="sentence-line" data-seq={seq} data-testid="applied">
      <p className="sentence" data-testid="the-sentence">
        {sentence}
      </p>
      {old && (
        <p className="stale-note" data-testid="numbers-age">
          Numbers from {formatAge(pageNow - receivedAtMs)} ago
          {link.phase === 'reconnecting' && `: ${link.why}`}
        </p>
      )}
      {fellBehind && (
        <p className="stale-note" data-testid="fell-behind">
          This page fell behind live: events {formatCount(behind.fromSeq)} to{' '}
          {formatCount(behind.toSeq)} were left out of the trace; the numbers are complete.
        </p>
      )}
      <p className="sr-only" aria-live="polite" data-testid="announced">
        {announced}
      </p>
    </div>
  )
}
