// The scheduler as a debugger: its state on the left, what can be run and what that would do in the
// middle, and on the right what it did: the pass explained, with the diff of queue and bytes.
import { useState, type ReactNode } from 'react'
import type { PassSource } from '../../server/protocol.ts'
import { sourceWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { PreviewLine } from '../parts/preview-line.tsx'
import { heldBackBy } from '../state/held-back.ts'
import { previewKick, previewPass } from '../state/preview.ts'
import { whyNoActions } from '../state/selectors.ts'
import { act, makePlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useUi } from '../state/ui-store.ts'
import { ResultPanel } from './action-result.tsx'
import { SchedulerButtons } from './hold-back.tsx'
import { OptionsEditor } from './options-editor.tsx'
import { PhaseDebugger } from './phase-debugger.tsx'
import { PlanForm } from './plan-form.tsx'
import { RewriteChosen } from './rewrite-chosen.tsx'
import { RunUntilForm } from './run-until-form.tsx'
import { SchedulerState } from './scheduler-state.tsx'
import { ClockButtons } from './step-clock.tsx'

export function StepView(): ReactNode {
  const store = useApp((state) => state.store)
  const link = useApp((state) => state.link)
  const session = useUi((state) => state.session)
  const scheduler = useApp((state) => state.engine?.scheduler ?? null)
  if (store === null || scheduler === null) return null
  const why = whyNoActions({ store, link }, session)
  const step = scheduler.mode === 'step'
  const [held] = heldBackBy(scheduler)
  const title = step
    ? 'Step mode: nothing runs until you say so'
    : held !== undefined
      ? `Only passes you start run: ${held.why}`
      : 'Passes run by themselves; start one by hand'
  return (
    <div className="debugger">
      <SchedulerState />
      <Panel id="step" name="Step" title={title} large>
        {why !== null && <p className="note">{why}</p>}
        <PassButtons />
        <SchedulerButtons scheduler={scheduler} />
        <PhaseDebugger />
        <ClockButtons step={step} />
        <RunUntilForm step={step} />
        <PlanForm />
        <fieldset className="group">
          <legend>Rewrite chosen segments</legend>
          <RewriteChosen />
        </fieldset>
        <OptionsEditor />
      </Panel>
      <div className="debugger-effect">
        <ResultPanel placeholder />
      </div>
    </div>
  )
}

type RunnableSource = Exclude<PassSource, 'manual'>

function PassButtons(): ReactNode {
  const [source, setSource] = useState<RunnableSource>('periodic')
  const engine = useApp((state) => state.engine)
  const options = useApp((state) => state.store?.engine?.options ?? null)
  const gauges = useApp((state) => state.gauges)
  const nowMs = useEngineNow()
  const sources = (Object.keys(sourceWords) as PassSource[]).filter(
    (one): one is RunnableSource => one !== 'manual',
  )
  const input =
    engine === null || options === null || gauges === null || nowMs === null
      ? null
      : { engine, options, gauges, nowMs }
  return (
    <fieldset className="group">
      <legend>Run once, with all of its gates</legend>
      <div className="buttons">
        <ActionButton
          name="checkpoint"
          kind="primary"
          about="Writes a checkpoint; the kick that follows rewrites at most one segment."
          onPress={() => void act('checkpoint', {})}
        >
          Checkpoint
        </ActionButton>
        <span className="preview-of">its kick</span>
        {input !== null && <PreviewLine preview={previewKick(input)} name="preview-checkpoint" />}
      </div>
      <div className="buttons">
        <ActionButton name="periodic-pass" onPress={() => void act('periodic-pass', {})}>
          Periodic pass
        </ActionButton>
        {input !== null && (
          <PreviewLine preview={previewPass(input, 'periodic')} name="preview-periodic" />
        )}
      </div>
      <div className="buttons">
        <ActionButton name="stage-confirm" onPress={() => void act('stage-confirm', {})}>
          Stage confirm
        </ActionButton>
        {input !== null && (
          <PreviewLine
            preview={previewPass(input, 'rewrite_stage_confirm')}
            name="preview-stage-confirm"
          />
        )}
      </div>
      <div className="buttons">
        <label className="field-inline">
          <span className="sr-only">Source of the pass</span>
          <select
            data-testid="run-source"
            value={source}
            onChange={(event) => {
              const wanted = sources.find((one) => one === event.target.value)
              if (wanted !== undefined) setSource(wanted)
            }}
          >
            {sources.map((one) => (
              <option key={one} value={one}>
                {sourceWords[one]}
              </option>
            ))}
          </select>
        </label>
        <ActionButton name="run-pass" onPress={() => void act('run-pass', { source })}>
          Run
        </ActionButton>
        {input !== null && (
          <PreviewLine preview={previewPass(input, source)} name="preview-source" />
        )}
      </div>
      <div className="buttons">
        <ActionButton
          name="gc"
          about="Shows first what GC would delete."
          onPress={() => void makePlan({ action: 'gc', body: {} })}
        >
          GC…
        </ActionButton>
        <ActionButton
          name="vacuum"
          about="Gives free space of the index back. Shows first what it would copy and free."
          onPress={() => void makePlan({ action: 'vacuum', body: {} })}
        >
          Vacuum index…
        </ActionButton>
        <ActionButton
          name="verify"
          about="Scans every key and compares the live bytes found with those tracked. Changes nothing."
          onPress={() => void act('verify', {})}
        >
          Verify live bytes
        </ActionButton>
      </div>
    </fieldset>
  )
}
