// Every store the server has open, hosted and attached side by side; a dead one with its error.
import { type ReactNode } from 'react'
import type { StoreInfo } from '../../server/protocol.ts'
import { plural } from '../lib/format.ts'
import { errorSentences } from '../lib/words.ts'
import { Panel } from '../parts/panel.tsx'
import { switchStore } from '../state/session.ts'
import { useApp } from '../state/store.ts'

export function StoresView(): ReactNode {
  const stores = useApp((state) => state.stores)
  const failed = stores.filter((store) => store.status === 'failed').length
  const title =
    stores.length === 0
      ? 'The server has no store open'
      : `${plural(stores.length, 'store')}${failed === 0 ? '' : `, ${String(failed)} failed`}`
  return (
    <Panel id="stores" name="Stores" title={title} large>
      <ul className="stores">
        {stores.map((store) => (
          <StoreRow key={store.storeId} store={store} />
        ))}
      </ul>
    </Panel>
  )
}

function StoreRow({ store }: { store: StoreInfo }): ReactNode {
  const current = useApp((state) => state.store?.storeId === store.storeId)
  return (
    <li
      className={current ? 'store store-current' : 'store'}
      data-testid="store-row"
      data-store-id={store.storeId}
      data-status={store.status}
      data-mode={store.mode}
    >
      <div className="row">
        <strong className="store-name" title={store.name}>
          {store.name}
        </strong>
        <span className="badge">
          {store.status === 'failed'
            ? '✕ failed'
            : store.mode === 'attached'
              ? 'attached, read-only'
              : 'hosted'}
        </span>
        <span className="spacer" />
        {current ? (
          <span className="muted">shown here</span>
        ) : (
          <button type="button" data-testid="show-store" onClick={() => switchStore(store)}>
            Show
          </button>
        )}
      </div>
      {store.failure !== null && (
        <p role="status">
          <span className="bad">✕ {errorSentences[store.failure.code]}</span>{' '}
          <span className="muted">
            <code>{store.failure.code}</code> {store.failure.message}
          </span>
        </p>
      )}
      {store.engine !== null && (
        <dl className="facts">
          <dt>folder</dt>
          <dd className="path">{store.engine.dir}</dd>
          <dt>format</dt>
          <dd>
            {store.engine.layout} layout, {store.engine.checksum} checksum
          </dd>
          {store.mode === 'hosted' && (
            <>
              <dt>profile</dt>
              <dd>
                <code>{store.engine.profile}</code>: {store.engine.profileLoses}
              </dd>
            </>
          )}
        </dl>
      )}
    </li>
  )
}
