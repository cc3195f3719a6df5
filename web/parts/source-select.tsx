// Which source a pass is to have; every one that a person may start.
import type { ReactNode } from 'react'
import type { PassSource } from '../../server/protocol.ts'
import { sourceWords } from '../lib/words.ts'

export type RunnableSource = Exclude<PassSource, 'manual'>

const sources = (Object.keys(sourceWords) as PassSource[]).filter(
  (one): one is RunnableSource => one !== 'manual',
)

interface SourceSelectProps {
  /** For tests. */
  name: string
  about: string
  source: RunnableSource
  onChange: (source: RunnableSource) => void
  disabled?: boolean
}

export function SourceSelect(props: SourceSelectProps): ReactNode {
  const { name, about, source, onChange, disabled = false } = props
  return (
    <label className="field-inline">
      <span className="sr-only">{about}</span>
      <select
        data-testid={name}
        value={source}
        disabled={disabled}
        onChange={(event) => {
          const wanted = sources.find((one) => one === event.target.value)
          if (wanted !== undefined) onChange(wanted)
        }}
      >
        {sources.map((one) => (
          <option key={one} value={one}>
            {sourceWords[one]}
          </option>
        ))}
      </select>
    </label>
  )
}
