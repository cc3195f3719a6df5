// Drawn marks, because fonts do not agree on which of them they have.
import type { ReactNode } from 'react'

export function PinGlyph(): ReactNode {
  return (
    <svg className="glyph" viewBox="0 0 10 12" width="10" height="12" aria-hidden="true">
      <circle cx="5" cy="4" r="3" fill="none" stroke="currentColor" strokeWidth="1.6" />
      <path d="M5 7v5" stroke="currentColor" strokeWidth="1.6" />
    </svg>
  )
}
