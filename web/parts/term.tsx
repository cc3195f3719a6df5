// A word with its definition one hover or one focus away.
import { useId, type ReactNode } from 'react'
import { glossary, type Term as TermName } from '../lib/glossary.ts'

export function Term({ name, children }: { name: TermName; children?: ReactNode }): ReactNode {
  const id = useId()
  return (
    <span className="term" tabIndex={0} aria-describedby={id}>
      {children ?? name}
      <span className="term-tip" role="tooltip" id={id}>
        {glossary[name]}
      </span>
    </span>
  )
}
