// A button for one action. When it cannot be pressed it says why, in its title and to a screen
// reader; panels repeat the reason in text where it is not obvious. While an action runs it only does
// nothing: a button that is disabled under somebody's finger loses the focus.
import { useId, type ReactNode } from 'react'
import { whyNoActions } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { movesStoppedPass, useUi } from '../state/ui-store.ts'

interface ActionButtonProps {
  /** Becomes the test hook `action-<name>`. */
  name: string
  onPress: () => void
  children: ReactNode
  /** Why it cannot be pressed; null when it can. */
  disabledWhy?: string | null
  /** What it does, for the title. */
  about?: string
  kind?: 'plain' | 'primary' | 'danger'
  pressed?: boolean
  /** The key "." presses it. */
  nextStep?: boolean
}

export function ActionButton({
  name,
  onPress,
  children,
  disabledWhy = null,
  about,
  kind = 'plain',
  pressed,
  nextStep = false,
}: ActionButtonProps): ReactNode {
  const id = useId()
  const session = useUi((state) => state.session)
  const noActions = useApp((state) => whyNoActions(state, session))
  const busy = useUi((state) => state.busy)
  const waits = busy !== null && (busy === name || !movesStoppedPass(name))
  const never = noActions ?? disabledWhy
  const why = never ?? (waits ? 'Another action is running.' : null)
  return (
    <>
      <button
        type="button"
        className={`button-${kind}`}
        data-testid={`action-${name}`}
        data-busy={busy === name}
        data-key={nextStep ? 'step' : undefined}
        disabled={never !== null}
        aria-disabled={waits}
        title={why ?? about}
        aria-pressed={pressed}
        aria-describedby={why === null ? undefined : id}
        onClick={waits ? undefined : onPress}
      >
        {children}
      </button>
      {why !== null && (
        <span id={id} className="sr-only">
          {why}
        </span>
      )}
    </>
  )
}
