// One section of the page: a landmark with an answer for a heading, and room for controls beside it.
import type { ReactNode } from 'react'

interface PanelProps {
  id: string
  /** The noun, small: where one is. */
  name: string
  /** The answer, as the heading. */
  title: ReactNode
  aside?: ReactNode
  children?: ReactNode
  /** The answer of the whole view. */
  large?: boolean
}

export function Panel({ id, name, title, aside, children, large = false }: PanelProps): ReactNode {
  return (
    <section
      className={large ? 'panel panel-large' : 'panel'}
      id={id}
      aria-labelledby={`${id}-title`}
    >
      <header className="panel-head">
        <div className="panel-titles">
          <p className="panel-name" aria-hidden="true">
            {name}
          </p>
          <h2 id={`${id}-title`}>
            <span className="sr-only">{name}: </span>
            {title}
          </h2>
        </div>
        {aside !== undefined && <div className="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  )
}
