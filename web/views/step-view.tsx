// The scheduler as a debugger: its state on the left, what can be run and what that would do in the
// middle, and on the right what it did: the pass explained, with the diff of queue and bytes.
import { useState, type ReactNode } from 'react'
import { ActionButton } from '../parts/action-button.tsx'
import { Panel } from '../parts/panel.tsx'
import { Attempt, usePreview } from '../parts/preview-line.tsx'
import { SourceSelect, type RunnableSource } from '../parts/source-select.tsx'
import { heldBackBy } from '../state/held-back.ts'
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

function PassButtons(): ReactNode {
  const [source, setSource] = useState<RunnableSource>('periodic')
  const { made, why } = usePreview()
  return (
    <fieldset className="group">
      <legend>Run once, with all of its gates</legend>
      <p className="muted" data-testid="preview-why">
        {made === null
          ? `What each would do is not known: ${why ?? 'no answer'}.`
          : 'Beside each is what it would do now, by the decision that the pass itself takes. It decides anew when it starts, and deletes only what nothing live is in: so it needs no stored plan, as naming segments does.'}
      </p>
      <Attempt pass={made?.checkpoint} name="preview-checkpoint">
        <ActionButton
          name="checkpoint"
          kind="primary"
          about="Writes a checkpoint; the kick that follows rewrites at most one segment."
          onPress={() => void act('checkpoint', {})}
        >
          Checkpoint
        </ActionButton>
        {made !== null && <span className="preview-of">its kick:</span>}
      </Attempt>
      <Attempt pass={made?.asked.periodic} name="preview-periodic">
        <ActionButton name="periodic-pass" onPress={() => void act('periodic-pass', {})}>
          Periodic pass
        </ActionButton>
      </Attempt>
      <Attempt pass={made?.asked.rewrite_stage_confirm} name="preview-stage-confirm">
        <ActionButton name="stage-confirm" onPress={() => void act('stage-confirm', {})}>
          Stage confirm
        </ActionButton>
      </Attempt>
      <Attempt pass={made?.asked[source]} name="preview-source">
        <SourceSelect
          name="run-source"
          about="Source of the pass"
          source={source}
          onChange={setSource}
        />
        <ActionButton name="run-pass" onPress={() => void act('run-pass', { source })}>
          Run
        </ActionButton>
      </Attempt>
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
