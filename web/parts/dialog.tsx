// A modal on the native dialog element: focus, Escape and the backdrop come with it.
import { useEffect, useLayoutEffect, useRef, type ReactNode } from 'react'
import { useFocusReturn } from './hooks.ts'

interface DialogProps {
  title: string
  onClose: () => void
  children: ReactNode
  /** Buttons; a Close button is added in front when there are none. */
  actions?: ReactNode
}

export function Dialog({ title, onClose, children, actions }: DialogProps): ReactNode {
  const ref = useRef<HTMLDialogElement>(null)
  const heading = useRef<HTMLHeadingElement>(null)
  // Closed before it goes: as long as it is modal, nothing outside of it can take the focus.
  useLayoutEffect(() => {
    const dialog = ref.current
    return () => dialog?.close()
  }, [])
  useFocusReturn(ref)
  useEffect(() => {
    const dialog = ref.current
    if (dialog === null || dialog.open) return
    dialog.showModal()
    // The browser takes the first button, which may stand below a page of text: one reads from the top.
    heading.current?.focus()
  }, [])
  return (
    <dialog
      ref={ref}
      className="dialog"
      aria-label={title}
      onClose={() => {
        if (ref.current?.open === false) onClose()
      }}
      onClick={(event) => {
        // A click on the dialog itself is a click on its backdrop; the content lies in a child.
        if (event.target === ref.current) onClose()
      }}
    >
      <div className="dialog-body">
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        {children}
        <div className="row end dialog-actions">
          {actions ?? (
            <button type="button" onClick={onClose}>
              Close
            </button>
          )}
        </div>
      </div>
    </dialog>
  )
}
