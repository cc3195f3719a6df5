// Every store the server has open, hosted and attached side by side, a dead one with its error; opening
// folders below the allowed roots; and who asked for what.
import { useEffect, useState, type ReactNode } from 'react'
import type { FoldersBody, StoreInfo, StoreMode } from '../../server/protocol.ts'
import { plural } from '../lib/format.ts'
import { errorSentences } from '../lib/words.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Panel } from '../parts/panel.tsx'
import { FormatText } from '../parts/value.tsx'
import {
  closeStore,
  listFolders,
  openFolder,
  refreshStores,
  reopenStore,
  switchStore,
} from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useUi } from '../state/ui-store.ts'
import { AuditPanel } from './audit-panel.tsx'

const LIST_EVERY_MS = 3000

export function StoresView(): ReactNode {
  // While no store is followed the feed tells nothing of the list.
  const absent = useApp((state) => state.absent !== null)
  useEffect(() => {
    if (!absent) return
    const read = () => void refreshStores().catch(() => undefined)
    read()
    const timer = setInterval(read, LIST_EVERY_MS)
    return () => clearInterval(timer)
  }, [absent])
  const stores = useApp((state) => state.stores)
  const failed = stores.filter((store) => store.status === 'failed').length
  const title =
    stores.length === 0
      ? 'The server has no store open'
      : `${plural(stores.length, 'store')} open${failed === 0 ? '' : `, ${String(failed)} of them failed`}`
  return (
    <>
      <Panel id="stores" name="Stores" title={title} large>
        <ul className="stores">
          {stores.map((store) => (
            <StoreRow key={store.storeId} store={store} />
          ))}
        </ul>
      </Panel>
      <OpenPanel />
      <AuditPanel />
    </>
  )
}

/** Why stores cannot be opened or closed from this page; null when they can. */
function useWhyNoOpening(): string | null {
  const session = useUi((state) => state.session)
  const busy = useUi((state) => state.busy)
  if (session === null) return 'The server has not said yet what this page may do.'
  if (session.role === 'viewer') return 'This page’s token may look and not act.'
  return busy === null ? null : 'Another action is running.'
}

const statusWords: Record<StoreInfo['status'], string> = {
  opening: 'opening',
  open: 'open',
  failed: '✕ failed',
}

function StoreRow({ store }: { store: StoreInfo }): ReactNode {
  const current = useApp((state) => state.store?.storeId === store.storeId)
  const why = useWhyNoOpening()
  const [asking, setAsking] = useState(false)
  // An attached folder loses nothing by it, and a failed store does nothing.
  const isWorking = store.mode === 'hosted' && store.status !== 'failed'
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
          {store.status === 'open'
            ? store.mode === 'attached'
              ? 'attached, read-only'
              : 'hosted'
            : statusWords[store.status]}
        </span>
        {current && <span className="muted">shown here</span>}
        <span className="spacer" />
        {!current && (
          <button type="button" data-testid="show-store" onClick={() => switchStore(store)}>
            Show
          </button>
        )}
        {store.status === 'failed' && (
          <button
            type="button"
            data-testid="reopen-store"
            disabled={why !== null}
            title={why ?? 'Opens the folder again with the same options'}
            onClick={() => void reopenStore(store.storeId)}
          >
            Open again
          </button>
        )}
        {store.closable && (
          <button
            type="button"
            data-testid="close-store"
            disabled={why !== null}
            title={why ?? 'Finishes or cancels a pass, writes a checkpoint, lets the folder go'}
            onClick={() => (isWorking ? setAsking(true) : void closeStore(store.storeId))}
          >
            {isWorking ? 'Close…' : 'Close'}
          </button>
        )}
        {asking && <CloseDialog store={store} onClose={() => setAsking(false)} />}
      </div>
      {store.failure !== null && (
        <p role="status">
          <span className="bad">✕ {errorSentences[store.failure.code]}</span>{' '}
          <span className="muted">
            <code>{store.failure.code}</code> {store.failure.message}
          </span>
        </p>
      )}
      <dl className="facts">
        <dt>folder</dt>
        <dd className="path">{store.dir}</dd>
        {store.engine !== null && (
          <>
            <dt>format</dt>
            <dd>
              <FormatText engine={store.engine} />
            </dd>
            {store.mode === 'hosted' && (
              <>
                <dt>profile</dt>
                <dd>
                  <code>{store.engine.profile}</code>: {store.engine.profileLoses}
                </dd>
              </>
            )}
          </>
        )}
      </dl>
    </li>
  )
}

function CloseDialog({ store, onClose }: { store: StoreInfo; onClose: () => void }): ReactNode {
  return (
    <Dialog
      title={`Close ${store.name}?`}
      onClose={onClose}
      actions={
        <>
          <button type="button" onClick={onClose}>
            Leave it open
          </button>
          <button
            type="button"
            className="button-danger"
            data-testid="close-store-yes"
            onClick={() => {
              onClose()
              void closeStore(store.storeId)
            }}
          >
            Close the store
          </button>
        </>
      }
    >
      <p>
        It is hosted here, so what works on it ends: the workload stops, a pass that runs is
        finished or cancelled, snapshots and iterators held from here are released, a checkpoint is
        written, and the folder is let go. Nothing acknowledged is lost.
      </p>
      <p className="path">{store.dir}</p>
    </Dialog>
  )
}

// ---------------------------------------------------------------- opening

function OpenPanel(): ReactNode {
  const session = useUi((state) => state.session)
  const [dir, setDir] = useState<string | null>(null)
  const [listed, setListed] = useState<FoldersBody | string | null>(null)
  const stores = useApp((state) => state.stores)
  const none = session !== null && session.allowRoots.length === 0
  // Names of folders are told to those only who may open them: asking would be refused and listed.
  const mayAsk = session?.role === 'operator'
  useEffect(() => {
    if (!mayAsk || none) return
    let stale = false
    void listFolders(dir).then((answer) => {
      if (!stale) setListed(answer)
    })
    return () => {
      stale = true
    }
    // The list says which store has a folder open, so it is read again when the stores change.
  }, [dir, mayAsk, none, stores])
  return (
    <Panel
      id="open-store"
      name="Open a folder"
      title={
        none
          ? 'This server opens no further folders'
          : (dir ?? 'Folders below which stores may be opened')
      }
    >
      {none ? (
        <p className="muted">
          It was started without allowed roots; start it with <code>--allow-root FOLDER</code> to
          open folders from here.
        </p>
      ) : session !== null && !mayAsk ? (
        <p className="muted" data-testid="may-not-open">
          This page’s token may look and not act, so it is not told which folders there are.
        </p>
      ) : typeof listed === 'string' ? (
        <p className="bad" role="alert">
          ✕ {listed}
        </p>
      ) : listed === null ? (
        <p className="muted">Reading the list.</p>
      ) : (
        <FolderList listed={listed} onGo={setDir} />
      )}
    </Panel>
  )
}

function FolderList({
  listed,
  onGo,
}: {
  listed: FoldersBody
  onGo: (dir: string | null) => void
}): ReactNode {
  const why = useWhyNoOpening()
  const readOnly = useUi((state) => state.session?.readOnly ?? true)
  const open = async (dir: string, mode: StoreMode) => {
    const store = await openFolder({ dir, mode })
    if (store !== null && store.status === 'open') switchStore(store)
  }
  return (
    <>
      {listed.dir !== null && (
        <button type="button" className="button-link" onClick={() => onGo(listed.parent)}>
          up{listed.parent === null ? ' to the roots' : ''}
        </button>
      )}
      <ul className="folders">
        {listed.folders.map((folder) => (
          <li key={folder.dir} data-testid="folder-row" data-dir={folder.dir}>
            <button type="button" className="button-link path" onClick={() => onGo(folder.dir)}>
              {listed.dir === null ? folder.dir : folder.name}
            </button>
            <span className="spacer" />
            {folder.storeId !== null ? (
              <span className="muted">open already</span>
            ) : folder.dataFolder ? (
              <>
                <button
                  type="button"
                  className="button-small"
                  data-testid="attach-folder"
                  disabled={why !== null}
                  title={why ?? 'Reads the folder and never writes in it'}
                  onClick={() => void open(folder.dir, 'attached')}
                >
                  Attach read-only
                </button>
                <button
                  type="button"
                  className="button-small"
                  data-testid="host-folder"
                  disabled={why !== null || readOnly}
                  title={
                    why ??
                    (readOnly
                      ? 'The server is read-only'
                      : 'Takes the folder’s lock and runs maintenance')
                  }
                  onClick={() => void open(folder.dir, 'hosted')}
                >
                  Host
                </button>
              </>
            ) : (
              <span className="muted">no data folder</span>
            )}
          </li>
        ))}
      </ul>
      {listed.folders.length === 0 && <p className="muted">No folder in it.</p>}
      {listed.truncated && <p className="muted">There are more than are listed here.</p>}
    </>
  )
}
