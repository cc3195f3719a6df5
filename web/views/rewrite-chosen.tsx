// A manual pass over the segments chosen; its stored plan says what it would copy and free.
import type { ReactNode } from 'react'
import { formatBytes, formatCount, plural } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { rewritable } from '../state/selectors.ts'
import { makePlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useRoute } from '../state/ui-store.ts'

export function RewriteChosen(): ReactNode {
  const ids = useRoute((route) => route.chosen)
  const segments = useApp((state) => state.engine?.segments ?? null)
  const { chosen, dead, absent } = rewritable(segments ?? [], ids)
  const live = chosen.reduce((sum, segment) => sum + segment.bytesLive, 0)
  const stale = chosen.reduce((sum, segment) => sum + segment.bytesStale, 0)
  const why =
    chosen.length > 0
      ? null
      : ids.length === 0
        ? 'Choose segments in the map or the table first.'
        : `Nothing to rewrite: ${leftOut(dead, absent)}.`
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
        {why ??
          `${formatBytes(live)} to copy, ${formatBytes(stale)} to gain${dead + absent === 0 ? '' : `; ${leftOut(dead, absent)}`}`}
      </span>
    </div>
  )
}

function leftOut(dead: number, absent: number): string {
  return [
    dead === 0 ? '' : `${formatCount(dead)} dead already, left to GC`,
    absent === 0 ? '' : `${formatCount(absent)} not on disk`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}
