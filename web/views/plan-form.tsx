// Planning by hand: look at what would be chosen, change a filter, look again, then stage it.
// Empty fields take the store's own options, shown as placeholders.
import { useState, type ReactNode } from 'react'
import type { PlanFilters } from '../../server/protocol.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'

type FilterName = 'minStaleRatio' | 'minStaleBytes' | 'minAgeMs' | 'maxSegments'

const fields: { name: FilterName; label: string }[] = [
  { name: 'minStaleRatio', label: 'min stale ratio, 0 to 1' },
  { name: 'minStaleBytes', label: 'min stale bytes' },
  { name: 'minAgeMs', label: 'min age, ms' },
  { name: 'maxSegments', label: 'max segments, 0 = no cap' },
]

export function PlanForm(): ReactNode {
  const options = useApp((state) => state.store?.engine?.options ?? null)
  const [values, setValues] = useState<Partial<Record<FilterName, string>>>({})
  const { filters, problem } = readFilters(values)
  const placeholders: Record<FilterName, number | null> = {
    minStaleRatio: options?.triggerStaleRatio ?? null,
    minStaleBytes: options?.minSegmentStaleBytes ?? null,
    minAgeMs: options?.minSegmentAgeMs ?? null,
    maxSegments: options?.maxPlanSegments ?? null,
  }
  const body = Object.keys(filters).length === 0 ? {} : { filters }
  return (
    <fieldset className="group">
      <legend>Plan</legend>
      <div className="buttons">
        <ActionButton
          name="plan"
          disabledWhy={problem}
          about="Shows what would be chosen and why. Changes nothing."
          onPress={() => void act('plan', body)}
        >
          Plan, dry
        </ActionButton>
        <ActionButton
          name="stage"
          disabledWhy={problem}
          about="Plans and stages what is chosen; it is rewritten after the confirm delay."
          onPress={() => void act('stage', body)}
        >
          Stage plan
        </ActionButton>
      </div>
      <details className="fold">
        <summary>Filters{Object.keys(filters).length > 0 && ' (changed)'}</summary>
        <div className="fields">
          {fields.map(({ name, label }) => (
            <label key={name} className="field">
              <span>{label}</span>
              <input
                type="number"
                min="0"
                step="any"
                data-testid={`plan-${name}`}
                value={values[name] ?? ''}
                placeholder={String(placeholders[name] ?? '')}
                onChange={(event) => setValues({ ...values, [name]: event.target.value })}
              />
            </label>
          ))}
        </div>
      </details>
      {problem !== null && <p className="bad">{problem}</p>}
    </fieldset>
  )
}

function readFilters(values: Partial<Record<FilterName, string>>): {
  filters: Partial<PlanFilters>
  problem: string | null
} {
  const filters: Partial<PlanFilters> = {}
  for (const { name, label } of fields) {
    const text = values[name]?.trim() ?? ''
    if (text === '') continue
    const value = Number(text)
    if (!Number.isFinite(value) || value < 0 || (name === 'minStaleRatio' && value > 1)) {
      return { filters, problem: `“${label}” is out of range.` }
    }
    filters[name] = value
  }
  return { filters, problem: null }
}
