// What a pass would do if it ran, in the engine's own words, with the gates it would meet; shown where it
// would be started.
import { useEffect, type ReactNode } from 'react'
import type { MaintenancePreview, PassPreview } from '../../server/protocol.ts'
import { formatAge, plural, shortNames } from '../lib/format.ts'
import { gateWords } from '../lib/words.ts'
import { followPreview } from '../state/preview.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { GateTree } from './gate-tree.tsx'
import { useEngineNow } from './hooks.ts'

/** Asks the engine while it is on screen; null: not known, with the reason beside it. */
export function usePreview(): { made: MaintenancePreview | null; why: string | null } {
  const known = useApp((state) => state.preview)
  const live = useApp((state) => state.link.phase === 'live')
  // A recorded moment has no next pass.
  const present = useIsLive()
  useEffect(() => (present ? followPreview() : undefined), [present])
  if (known === null) return { made: null, why: live ? 'asking the engine' : 'not connected' }
  return { made: known.made, why: known.failure }
}

const kinds = {
  rewrote: 'acts',
  reclaimed: 'acts',
  staged: 'stages',
  planned: 'stages',
  blocked: 'blocked',
  nothing_to_do: 'nothing',
} as const

interface PreviewLineProps {
  pass: PassPreview
  name: string
  /** An old answer says its age; absent where a list says it once. */
  aged?: boolean
}

export function PreviewLine({ pass, name, aged = false }: PreviewLineProps): ReactNode {
  const kind = pass.outcome === null ? 'refused' : kinds[pass.outcome]
  const glyph = { blocked: '✕', refused: '✕', nothing: '·', acts: '✓', stages: '◇' }[kind]
  return (
    <div
      className={`preview preview-${kind}`}
      data-testid={name}
      data-kind={kind}
      data-outcome={pass.outcome ?? 'none'}
      data-blocked-by={pass.blockedBy ?? undefined}
    >
      <p>
        <span aria-hidden="true">{glyph} </span>
        {shortNames(pass.sentence)}
        {aged && <PreviewAge atMs={pass.atMs} />}
      </p>
      {pass.gates.length > 0 && (
        <details className="preview-gates" data-testid={`${name}-gates`}>
          <summary>
            {plural(pass.gates.length, 'gate')}
            {pass.blockedBy === null
              ? ', none stops it'
              : `, stops at “${gateWords[pass.blockedBy].toLowerCase()}”`}
          </summary>
          <GateTree
            pass={{
              source: pass.source,
              gates: pass.gates,
              outcome: pass.outcome ?? 'blocked',
              blockedBy: pass.blockedBy,
              staged: pass.staged.length > 0,
              rewrote: pass.rewritten.length > 0,
              collected: pass.deleted.length > 0,
              ahead: true,
            }}
          />
        </details>
      )}
    </div>
  )
}

interface AttemptProps {
  /** undefined: what it would do is not known. */
  pass: PassPreview | undefined
  name: string
  /** What starts it. */
  children: ReactNode
}

/** What starts a pass, and beside it what that would do. */
export function Attempt({ pass, name, children }: AttemptProps): ReactNode {
  return (
    <div className="attempt">
      <div className="attempt-start">{children}</div>
      {pass !== undefined && <PreviewLine pass={pass} name={name} aged />}
    </div>
  )
}

const OLD_MS = 5000

function PreviewAge({ atMs }: { atMs: number }): ReactNode {
  const nowMs = useEngineNow(1000)
  if (nowMs === null || nowMs - atMs < OLD_MS) return null
  return <span className="muted"> (as of {formatAge(nowMs - atMs)} ago)</span>
}
