// A manual pass over the segments chosen; its stored plan says what it would copy and free.
import type { ReactNode } from 'react'
import { formatBytes, plural } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { segmentById } from '../state/selectors.ts'
import { makePlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useRoute } from '../state/ui-store.ts'

export function RewriteChosen(): ReactNode {
  const ids = useRoute((route) => route.chosen)
  const segments = useApp((state) => state.engine?.segments ?? null)
  const chosen = ids.flatMap((id) => segmentById(segments ?? [], id) ?? [])
  const live = chosen.reduce((sum, segment) => sum + segment.bytesLive, 0)
  const stale = chosen.reduce((sum, segment) => sum + segment.bytesStale, 0)
  const why = chosen.length === 0 ? 'Choose segments in the map or the table first.' : null
  return (
    <div className="buttons">
      <ActionButton
        name="rewrite"
        disabledWhy={why}
        about="Shows first what a manual pass over them would do."
        onPress={() =>
          void makePlan({
            action: 'rewrite',
            body: { segmentIds: chosen.map((segment) => segment.segmentId) },
          })
        }
      >
        {chosen.length === 0 ? 'Rewrite…' : `Rewrite ${plural(chosen.length, 'segment')}…`}
      </ActionButton>
      <span className="muted">
        {why ?? `${formatBytes(live)} to copy, ${formatBytes(stale)} to gain`}
      </span>
    </div>
  )
}
