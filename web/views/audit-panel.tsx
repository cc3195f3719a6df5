// Who asked for what, of which store, and what came of it; the newest first.
import { useEffect, useState, type ReactNode } from 'react'
import { API_BASE, type AuditEntry } from '../../server/protocol.ts'
import { formatDuration, formatTime, plural, shortBytes } from '../lib/format.ts'
import { Panel } from '../parts/panel.tsx'
import { readAudit } from '../state/session.ts'
import type { Deed } from '../state/ui-store.ts'
import { actionWords } from './action-result.tsx'

const AUDIT_EVERY_MS = 3000
const ROWS_MAX = 200

export function AuditPanel(): ReactNode {
  const [entries, setEntries] = useState<AuditEntry[] | null>(null)
  useEffect(() => {
    let stale = false
    const read = () =>
      void readAudit().then((answer) => {
        if (!stale && answer !== null) setEntries(answer)
      })
    read()
    const timer = setInterval(read, AUDIT_EVERY_MS)
    return () => {
      stale = true
      clearInterval(timer)
    }
  }, [])
  const refused = entries?.filter((entry) => entry.outcome === 'refused').length ?? 0
  return (
    <Panel
      id="audit"
      name="Audit"
      title={
        entries === null
          ? 'Who asked for what'
          : entries.length === 0
            ? 'Nobody has asked for anything that changes or costs'
            : `${plural(entries.length, 'entry', 'entries')}${refused === 0 ? ', nothing refused' : `, ${String(refused)} refused`}`
      }
    >
      {entries !== null && entries.length > 0 && (
        <div className="table-box" tabIndex={0} role="region" aria-label="Audit list, newest first">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">Role</th>
                <th scope="col">Store</th>
                <th scope="col">Asked for</th>
                <th scope="col">Outcome</th>
                <th scope="col" className="r">
                  Took
                </th>
                <th scope="col">What came of it</th>
              </tr>
            </thead>
            <tbody>
              {entries.slice(0, ROWS_MAX).map((entry) => (
                <AuditRow key={entry.auditId} entry={entry} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

function AuditRow({ entry }: { entry: AuditEntry }): ReactNode {
  const { outcome, code, text, result, repeats } = entry
  return (
    <tr data-testid="audit-row" data-outcome={outcome} data-code={code ?? undefined}>
      <td className="num">{formatTime(entry.atMs)}</td>
      <td>{entry.role ?? 'no valid token'}</td>
      <td>{entry.storeId ?? ''}</td>
      <td title={entry.what}>
        {auditWords(entry.what)}
        {outcome === 'done' && isTelling(text) && <span className="muted"> {text}</span>}
      </td>
      <td className={outcome === 'done' ? undefined : 'bad'}>
        {outcome === 'done' ? 'done' : `✕ ${outcome}`}
        {repeats > 1 && ` × ${String(repeats)}`}
      </td>
      <td className="r num">{formatDuration(entry.elapsedMs)}</td>
      <td className="wrap">
        {code !== null && (
          <>
            <code>{code}</code>{' '}
          </>
        )}
        {outcome === 'done' ? shortBytes(result) : text}
      </td>
    </tr>
  )
}

/** Long bodies, and those that only repeat what the result says, are in the title of the API, not here. */
function isTelling(text: string): boolean {
  return text !== '' && text !== '{}' && text.length <= 60 && !text.startsWith('{"confirm"')
}

const routes: Record<string, string> = {
  'POST /stores': 'Open store',
  'DELETE /stores/:storeId': 'Close store',
  'POST /stores/:storeId/reopen': 'Open store again',
  'POST /stores/:storeId/plans': 'Make a plan',
  'POST /stores/:storeId/plans/:planId/apply': 'Apply a plan',
  'DELETE /stores/:storeId/plans/:planId': 'Let a plan go',
  'POST /stores/:storeId/batch': 'Write a batch',
  'GET /folders': 'List folders',
}

/** "Pause" for `POST /api/v1/stores/:storeId/actions/pause`; what has no words of its own as it came. */
export function auditWords(what: string): string {
  const at = what.indexOf(API_BASE)
  const route = at === -1 ? what : `${what.slice(0, at)}${what.slice(at + API_BASE.length)}`
  const action = /^POST \/stores\/:storeId\/actions\/(.+)$/.exec(route)?.[1]
  if (action !== undefined && action in actionWords) return actionWords[action as Deed]
  return routes[route] ?? what
}
