// The deterministic workload that makes debt: what it does now, and its settings.
import { useMemo, useState, type ReactNode } from 'react'
import {
  WORKLOAD_BOUNDS,
  type WorkloadSettings,
  type WorkloadState,
} from '../../server/protocol.ts'
import {
  formatByteRate,
  formatBytes,
  formatCount,
  formatRatio,
  formatUnit,
  plural,
} from '../lib/format.ts'
import { workloadWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { Panel } from '../parts/panel.tsx'
import { Unknown } from '../parts/value.tsx'
import { workloadEffect } from '../state/overview.ts'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { HistoryPanel } from './history-panel.tsx'

type NumberName = Exclude<keyof WorkloadSettings, 'shape'>

const numberFields: { name: NumberName; label: string; unit?: 'bytes' | 'ms' }[] = [
  { name: 'putsPerSecond', label: 'puts a second' },
  { name: 'valueBytes', label: 'value size', unit: 'bytes' },
  { name: 'keys', label: 'keys' },
  { name: 'deleteRatio', label: 'share of deletes, 0 to 1' },
  { name: 'burstMs', label: 'burst', unit: 'ms' },
  { name: 'restMs', label: 'rest (0 = none)', unit: 'ms' },
  { name: 'diskCapBytes', label: 'disk cap (0 = none)', unit: 'bytes' },
  { name: 'seed', label: 'seed' },
]

export function WorkloadView(): ReactNode {
  const workload = useApp((state) => state.workload)
  if (workload === null) {
    return (
      <Panel id="workload" name="Workload" title="This store has no workload">
        <p className="muted">The server runs none for it; writes come through the API.</p>
      </Panel>
    )
  }
  return (
    <>
      <Panel id="workload" name="Workload" title={headline(workload)} large>
        {workload.failure !== null && <p className="bad">✕ {workload.failure}</p>}
        <p className="muted">
          {plural(workload.putsTotal, 'put')} so far, at height {formatCount(workload.height)};{' '}
          {formatBytes(workload.settings.valueBytes)} values over{' '}
          {formatCount(workload.settings.keys)} keys, {workload.settings.shape}.
        </p>
        <Effect />
        <SettingsForm workload={workload} />
      </Panel>
      <HistoryPanel />
    </>
  )
}

/** What it does to the debt, measured over the last minute. */
function Effect(): ReactNode {
  const samples = useApp((state) => state.samples)
  const frozen = useApp((state) => state.gauges?.clockFrozen === true)
  const effect = useMemo(() => workloadEffect(samples), [samples])
  const why = frozen
    ? 'a rate needs time, and the engine’s clock stands still'
    : 'needs two samples, a second apart'
  return (
    <dl className="stats stats-rates" data-testid="workload-effect">
      <div className="stat">
        <dt>written</dt>
        <dd className="stat-main num">
          {effect === null ? <Unknown why={why} /> : formatByteRate(effect.bytesPut)}
        </dd>
        <dd className="stat-note">{effect === null ? why : 'mean of the last minute'}</dd>
      </div>
      <div className="stat">
        <dt>puts</dt>
        <dd className="stat-main num">
          {effect === null ? <Unknown why={why} /> : `${formatCount(Math.round(effect.puts))}/s`}
        </dd>
        <dd className="stat-note">mean of the last minute</dd>
      </div>
      <div className="stat">
        <dt>stale bytes</dt>
        <dd className="stat-main num">
          {effect === null ? (
            <Unknown why={why} />
          ) : (
            `${effect.staleGrowth === 0 ? '' : effect.staleGrowth > 0 ? '+' : '−'}${formatByteRate(Math.abs(effect.staleGrowth))}`
          )}
        </dd>
        <dd className="stat-note">net of what maintenance freed</dd>
      </div>
      <div className="stat">
        <dt>copied by rewrites</dt>
        <dd className="stat-main num">
          {effect === null ? <Unknown why={why} /> : formatByteRate(effect.bytesCopied)}
        </dd>
        <dd className="stat-note">
          {effect === null || effect.bytesPut === 0
            ? 'nothing written to compare with'
            : `${formatRatio(effect.bytesCopied / effect.bytesPut)} of what was written`}
        </dd>
      </div>
    </dl>
  )
}

function headline(workload: WorkloadState): string {
  const words = workloadWords[workload.status]
  const running = workload.status === 'churning' || workload.status === 'filling'
  const rate = running ? `, ${formatCount(Math.round(workload.putsPerSecond))} puts/s` : ''
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${rate}`
}

function SettingsForm({ workload }: { workload: WorkloadState }): ReactNode {
  const running = workload.status !== 'stopped' && workload.status !== 'failed'
  /** Only what was changed here; everything else follows the server's settings. */
  const [edits, setEdits] = useState<Partial<Record<NumberName, string>>>({})
  const [shape, setShape] = useState<WorkloadSettings['shape'] | null>(null)
  const { settings, problem } = readSettings(edits, shape)
  const changed = Object.keys(settings).length > 0
  const start = async () => {
    const answer = await act('workload-start', changed ? { settings } : {})
    if (answer === null) return
    setEdits({})
    setShape(null)
  }
  return (
    <>
      <div className="buttons">
        <ActionButton
          name="workload-start"
          kind={running ? 'plain' : 'primary'}
          disabledWhy={
            problem?.text ??
            (running && !changed ? 'It runs already; change a setting first.' : null)
          }
          onPress={() => void start()}
        >
          {running ? 'Apply changes' : 'Start'}
        </ActionButton>
        <ActionButton
          name="workload-stop"
          disabledWhy={running ? null : 'The workload is not running.'}
          onPress={() => void act('workload-stop', {})}
        >
          Stop
        </ActionButton>
      </div>
      <fieldset className="group group-wide">
        <legend>Settings{changed && ' (changed, not applied)'}</legend>
        <div className="fields">
          <label className="field">
            <span>shape of the churn</span>
            <select
              data-testid="workload-shape"
              value={shape ?? workload.settings.shape}
              onChange={(event) => setShape(event.target.value === 'skewed' ? 'skewed' : 'uniform')}
            >
              <option value="uniform">uniform: every key alike</option>
              <option value="skewed">skewed: a few keys most</option>
            </select>
          </label>
          {numberFields.map(({ name, label, unit }) => (
            <label key={name} className="field">
              <span>
                {label}
                {unit !== undefined && (
                  <span className="muted num field-unit">
                    {unit} · {formatUnit(workload.settings[name], unit)}
                  </span>
                )}
              </span>
              <input
                type="number"
                min={WORKLOAD_BOUNDS[name].min}
                max={WORKLOAD_BOUNDS[name].max}
                step={WORKLOAD_BOUNDS[name].whole ? 1 : 'any'}
                aria-invalid={problem?.name === name}
                data-testid={`workload-${name}`}
                value={edits[name] ?? String(workload.settings[name])}
                onChange={(event) => setEdits({ ...edits, [name]: event.target.value })}
              />
            </label>
          ))}
        </div>
      </fieldset>
      {problem !== null && (
        <p className="bad" data-testid="workload-problem">
          {problem.text}
        </p>
      )}
    </>
  )
}

function readSettings(
  edits: Partial<Record<NumberName, string>>,
  shape: WorkloadSettings['shape'] | null,
): { settings: Partial<WorkloadSettings>; problem: { name: NumberName; text: string } | null } {
  const settings: Partial<WorkloadSettings> = shape === null ? {} : { shape }
  for (const { name, label } of numberFields) {
    const text = edits[name]
    if (text === undefined) continue
    const value = Number(text)
    const { min, max, whole } = WORKLOAD_BOUNDS[name]
    const fits = value >= min && value <= max && (!whole || Number.isInteger(value))
    if (text.trim() === '' || !fits) {
      const kind = whole ? 'a whole number' : 'a number'
      const range = `${formatCount(min)} to ${formatCount(max)}`
      return { settings, problem: { name, text: `“${label}” takes ${kind} from ${range}.` } }
    }
    settings[name] = value
  }
  return { settings, problem: null }
}
