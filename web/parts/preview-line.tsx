// What a pass would do if it ran, in one line with its glyph; shown where it would be started.
import type { ReactNode } from 'react'
import type { Preview } from '../state/preview.ts'

export function PreviewLine({ preview, name }: { preview: Preview; name: string }): ReactNode {
  const glyph = { blocked: '✕', nothing: '·', acts: '✓', plans: '◇' }[preview.kind]
  return (
    <p className={`preview preview-${preview.kind}`} data-testid={name} data-kind={preview.kind}>
      <span aria-hidden="true">{glyph}</span>
      <span>{preview.text}</span>
    </p>
  )
}
