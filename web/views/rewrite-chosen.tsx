// A manual pass over the segments chosen, with what it would copy and free said first.
import { useState, type ReactNode } from 'react'
import { formatBytes, plural, segmentList } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { segmentById } from '../state/selectors.ts'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useRoute } from '../state/ui-store.ts'

export function RewriteChosen(): ReactNode {
  const selected = useRoute((route) => route.chosen)
  const segments = useApp((state) => state.engine?.segments ?? null)
  const [asking, setAsking] = useState(false)
  const chosen = selected.flatMap((id) => segmentById(segments ?? [], id) ?? [])
  const live = chosen.reduce((sum, segment) => sum + segment.bytesLive, 0)
  const stale = chosen.reduce((sum, segment) => sum + segment.bytesStale, 0)
  const active = chosen.filter((segment) => segment.state === 'active')
  const why = chosen.length === 0 ? 'Choose segments in the map or the table first.' : null
  return (
    <>
      <div className="buttons">
        <ActionButton name="rewrite" disabledWhy={why} onPress={() => setAsking(true)}>
          {chosen.length === 0 ? 'Rewrite…' : `Rewrite ${plural(chosen.length, 'segment')}…`}
        </ActionButton>
        <span className="muted">
          {why ?? `${formatBytes(live)} to copy, ${formatBytes(stale)} to free`}
        </span>
      </div>
      {asking && (
        <Dialog
          title={`Copy ${formatBytes(live)} out of ${plural(chosen.length, 'segment')}?`}
          onClose={() => setAsking(false)}
          actions={
            <>
              <button type="button" onClick={() => setAsking(false)}>
                Leave it
              </button>
              <ActionButton
                name="rewrite-confirm"
                kind="primary"
                onPress={() => {
                  setAsking(false)
                  void act('rewrite', { segmentIds: chosen.map((segment) => segment.segmentId) })
                }}
              >
                Rewrite
              </ActionButton>
            </>
          }
        >
          <p>
            A manual pass over{' '}
            {segmentList(
              chosen.map((segment) => segment.segmentId),
              8,
            )}
            . It reads their live bytes, writes {formatBytes(live)} into a new segment, and leaves{' '}
            {formatBytes(live + stale)} to be deleted by GC: a gain of {formatBytes(stale)}.
          </p>
          {active.length > 0 && (
            <p className="warn">
              {segmentList(active.map((segment) => segment.segmentId))} is still being written.
            </p>
          )}
        </Dialog>
      )}
    </>
  )
}
