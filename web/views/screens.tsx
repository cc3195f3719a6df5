// Whole-page states in which there are no numbers to show: not authorised, connecting, failed.
import { useEffect, type ReactNode } from 'react'
import { formatCountdown } from '../lib/format.ts'
import { errorSentences } from '../lib/words.ts'
import { usePageNow } from '../parts/hooks.ts'
import type { AbsentStore } from '../state/app-state.ts'
import { lookAgain, retryNow, switchStore } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { goTo, useUi } from '../state/ui-store.ts'

export function NoAccess({ known }: { known: boolean }): ReactNode {
  return (
    <main className="screen" data-testid="not-authorised">
      <h1 className="brand">Restage</h1>
      <h2>
        {known ? 'This page’s token is not valid any more' : 'This page was opened without a token'}
      </h2>
      <p>
        {known
          ? 'The server makes a new token at every start, so it has most likely been restarted. Open the address that it printed this time.'
          : 'Open the address that the server printed. It ends in the token:'}
      </p>
      <pre className="sample">
        $ npm start{'\n'}…{'\n'}http://127.0.0.1:4810/#token=<em>…</em>
      </pre>
      <p className="muted">
        The token is asked for so that no other page in this browser can reach your store. It is
        kept for this tab only and never sent in a query string.
      </p>
    </main>
  )
}

export function Connecting(): ReactNode {
  const link = useApp((state) => state.link)
  const feedError = useApp((state) => state.feedError)
  const pageNow = usePageNow()
  return (
    <main className="screen" data-testid="connecting">
      <h1 className="brand">Restage</h1>
      {link.phase === 'reconnecting' ? (
        <>
          <h2>The server does not answer</h2>
          <p>
            Attempt {link.attempt} failed: {link.why}. Next try in{' '}
            {formatCountdown(link.retryAtMs - pageNow)}.{' '}
            <button type="button" className="button-link" onClick={retryNow}>
              try now
            </button>
          </p>
        </>
      ) : (
        <>
          <h2>Connecting</h2>
          <p className="muted">Waiting for the first snapshot of the store.</p>
        </>
      )}
      {feedError !== null && (
        <p className="bad" role="alert">
          {feedError.message} <code>{feedError.code}</code>
        </p>
      )}
    </main>
  )
}

const LOOK_EVERY_MS = 3000

/** Nothing is shown under the name of a store that is not open; it comes by itself when it is. */
export function AbsentStoreScreen(): ReactNode {
  const absent = useApp((state) => state.absent)
  const stores = useApp((state) => state.stores)
  const roots = useUi((state) => state.session?.allowRoots.length ?? 0)
  const isAbsent = absent !== null
  useEffect(() => {
    if (!isAbsent) return
    const timer = setInterval(() => void lookAgain(), LOOK_EVERY_MS)
    return () => clearInterval(timer)
  }, [isAbsent])
  if (absent === null) return null
  return (
    <div className="screen" data-testid="absent-store" data-why={absent.why}>
      <h2>{absentTitle(absent)}</h2>
      {stores.length > 0 && (
        <>
          <p>Open here:</p>
          <ul className="absent-stores">
            {stores.map((store) => (
              <li key={store.storeId}>
                <button type="button" className="button-link" onClick={() => switchStore(store)}>
                  {store.name}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
      <p>
        {roots === 0 && stores.length === 0
          ? 'This server opens no folders from here: start it with one, restage serve DIR.'
          : 'Folders are opened, and opened again, under Stores.'}
      </p>
      <p>
        <button type="button" data-testid="go-to-stores" onClick={() => goTo('stores')}>
          Go to Stores
        </button>
      </p>
    </div>
  )
}

function absentTitle({ name, why }: AbsentStore): string {
  switch (why) {
    case 'not_open':
      return `Store ${name} is not open here`
    case 'closed':
      return `Store ${name} was closed`
    case 'none':
      return 'The server has no store open'
  }
}

/** A store that could not be opened at all; one that fails later keeps its last numbers. */
export function FailedStore(): ReactNode {
  const store = useApp((state) => state.store)
  if (store?.failure == null) return null
  return (
    <section className="screen" data-testid="store-failed">
      <h2>
        <span className="bad">✕</span> {store.name} could not be opened
      </h2>
      <p>{errorSentences[store.failure.code]}</p>
      <p className="muted">
        <code>{store.failure.code}</code> {store.failure.message}
      </p>
    </section>
  )
}

/** The store died while the page was open: said above the numbers that are left. */
export function FailureBanner(): ReactNode {
  const store = useApp((state) => state.store)
  const hasNumbers = useApp((state) => state.engine !== null)
  const feedError = useApp((state) => state.feedError)
  if (store?.failure != null) {
    return (
      <div className="banner" role="alert" data-testid="store-failed">
        <strong>✕ The store has failed.</strong> {errorSentences[store.failure.code]}{' '}
        <span className="muted">{store.failure.message}</span>
        {hasNumbers && ' The numbers below are the last known.'}
      </div>
    )
  }
  if (feedError === null) return null
  return (
    <div className="banner" role="alert">
      <strong>✕ The feed reports an error.</strong> {feedError.message}{' '}
      <code>{feedError.code}</code>
    </div>
  )
}
