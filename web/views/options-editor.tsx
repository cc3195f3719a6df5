// The policy numbers of the running store, changed live: the engine validates all of them together and
// refuses the lot when one is out of range. Only what was changed is sent.
import { useState, type ReactNode } from 'react'
import type { MaintenanceOptions } from '../../server/protocol.ts'
import { formatUnit } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { uiStore } from '../state/ui-store.ts'

type OptionName = keyof MaintenanceOptions

const choices: Partial<Record<OptionName, readonly string[]>> = {
  restage: ['on', 'off'],
  policy: ['a_only', 'a_plus_c', 'queue_runner'],
}

/** "triggerStaleRatio" -> "trigger stale ratio" */
function optionWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function unitOf(name: string): string {
  if (name.endsWith('Ratio')) return 'ratio'
  if (name.endsWith('Ms')) return 'ms'
  if (name.includes('Bytes')) return 'bytes'
  return 'count'
}

export function OptionsEditor(): ReactNode {
  const options = useApp((state) => state.store?.engine?.options ?? null)
  const [edits, setEdits] = useState<Partial<Record<OptionName, string>>>({})
  const [find, setFind] = useState('')
  /** What the engine had against the values sent; until one of them is another. */
  const [refused, setRefused] = useState<string | null>(null)
  if (options === null) return null
  const names = (Object.keys(options) as OptionName[]).filter((name) =>
    optionWords(name).includes(find.trim().toLowerCase()),
  )
  const { changes, problem } = readChanges(options, edits)
  const said = problem ?? (refused === null ? null : `Refused, nothing was changed: ${refused}`)
  const count = Object.keys(changes).length
  const apply = async () => {
    const answer = await act('set-options', { options: changes })
    if (answer !== null) setEdits({})
    else setRefused(uiStore.getState().failure?.message ?? null)
  }
  const edit = (next: typeof edits) => {
    setEdits(next)
    setRefused(null)
  }
  return (
    <details className="fold" data-testid="options-editor">
      <summary>Options of the scheduler{count > 0 && ` (${String(count)} changed)`}</summary>
      <div className="toolbar">
        <label className="field-inline">
          <span className="sr-only">Filter options</span>
          <input
            type="search"
            data-key="filter"
            placeholder="Filter, press /"
            value={find}
            onChange={(event) => setFind(event.target.value)}
          />
        </label>
        <ActionButton
          name="set-options"
          kind="primary"
          disabledWhy={problem ?? (count === 0 ? 'Change an option first.' : null)}
          about="The engine checks them all together; this opening only."
          onPress={() => void apply()}
        >
          Apply
        </ActionButton>
        {count > 0 && (
          <button type="button" className="button-link" onClick={() => edit({})}>
            undo
          </button>
        )}
        {said !== null && (
          <span className="bad" role="alert" data-testid="options-problem">
            {said}
          </span>
        )}
      </div>
      <div className="fields">
        {names.map((name) => (
          <OptionField
            key={name}
            name={name}
            value={options[name]}
            edit={edits[name] ?? null}
            bad={said !== null && (said.includes(name) || said.includes(optionWords(name)))}
            onEdit={(text) => edit({ ...edits, [name]: text })}
          />
        ))}
      </div>
    </details>
  )
}

interface OptionFieldProps {
  name: OptionName
  value: MaintenanceOptions[OptionName]
  edit: string | null
  /** What is said is about this one. */
  bad: boolean
  onEdit: (text: string) => void
}

function OptionField({ name, value, edit, bad, onEdit }: OptionFieldProps): ReactNode {
  const list = typeof value === 'boolean' ? ['true', 'false'] : choices[name]
  const shown = edit ?? String(value)
  return (
    <label className={edit === null ? 'field' : 'field field-changed'}>
      <span>
        {optionWords(name)}
        {typeof value === 'number' && (
          <span className="muted"> · {formatUnit(value, unitOf(name))}</span>
        )}
      </span>
      {list === undefined ? (
        <input
          type="number"
          step="any"
          min="0"
          aria-invalid={bad}
          data-testid={`option-${name}`}
          value={shown}
          onChange={(event) => onEdit(event.target.value)}
        />
      ) : (
        <select
          data-testid={`option-${name}`}
          value={shown}
          onChange={(event) => onEdit(event.target.value)}
        >
          {list.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      )}
    </label>
  )
}

function readChanges(
  options: MaintenanceOptions,
  edits: Partial<Record<OptionName, string>>,
): { changes: Partial<MaintenanceOptions>; problem: string | null } {
  const changes: Record<string, string | number | boolean> = {}
  for (const [name, text] of Object.entries(edits) as [OptionName, string][]) {
    const before = options[name]
    if (text === String(before)) continue
    if (typeof before === 'boolean') changes[name] = text === 'true'
    else if (typeof before === 'string') changes[name] = text
    else {
      const value = Number(text)
      if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
        return { changes: {}, problem: `“${optionWords(name)}” needs a number of at least 0.` }
      }
      changes[name] = value
    }
  }
  return { changes, problem: null }
}
