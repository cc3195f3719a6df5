// Whole-page states in which there are no numbers to show: not authorised, connecting, failed.
import type { ReactNode } from 'react'
import { formatCountdown } from '../lib/format.ts'
import { errorSentences } from '../lib/words.ts'
import { usePageNow } from '../parts/hooks.ts'
import { retryNow } from '../state/session.ts'
import { useApp } from '../state/store.ts'

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
  const stores = useApp((state) => state.stores)
  const access = useApp((state) => state.access)
  const feedError = useApp((state) => state.feedError)
  const pageNow = usePageNow()
  const noStore = access === 'granted' && stores.length === 0
  return (
    <main className="screen" data-testid="connecting">
      <h1 className="brand">Restage</h1>
      {noStore ? (
        <>
          <h2>The server has no store open</h2>
          <p>Start it with a folder: restage serve DIR.</p>
        </>
      ) : link.phase === 'reconnecting' ? (
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

/** A store that could not be opened at all; one that fails later keeps its last numbers. */
export function FailedStore(): ReactNode {
  const store = useApp((state) => state.store)
  if (store?.failure == null) return null
  return (
    <main className="screen" data-testid="store-failed">
      <h2>
        <span className="bad">✕</span> {store.name} could not be opened
      </h2>
      <p>{errorSentences[store.failure.code]}</p>
      <p className="muted">
        <code>{store.failure.code}</code> {store.failure.message}
      </p>
    </main>
  )
}

/** The store died while the page was open: said above the numbers that are left. */
export function FailureBanner(): ReactNode {
  const store = useApp((state) => state.store)
  const feedError = useApp((state) => state.feedError)
  if (store?.failure != null) {
    return (
      <div className="banner" role="alert" data-testid="store-failed">
        <strong>✕ The store has failed.</strong> {errorSentences[store.failure.code]}{' '}
        <span className="muted">{store.failure.message}</span> The numbers below are the last known.
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
