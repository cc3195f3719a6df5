// A pass, one phase at a time: the phases as a list with the current one marked, breakpoints in front
// of each, and what the stopped pass has met so far.
import { useState, type ReactNode } from 'react'
import type { Breakpoint, PassPhase } from '../../server/protocol.ts'
import { sourceWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { GateList } from '../parts/gate-list.tsx'
import { Attempt, usePreview } from '../parts/preview-line.tsx'
import { SourceSelect, type RunnableSource } from '../parts/source-select.tsx'
import { whyNoActions } from '../state/selectors.ts'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { useUi } from '../state/ui-store.ts'

const phases: { phase: PassPhase; does: string }[] = [
  { phase: 'gates', does: 'may this pass run at all' },
  { phase: 'prune', does: 'drop queued ids that are missing or no longer worth it' },
  { phase: 'plan', does: 'choose segments, a verdict for each' },
  { phase: 'stage', does: 'save the debt and wait for the confirm delay' },
  { phase: 'confirm', does: 'execute, clear or postpone what was staged' },
  { phase: 'rewrite', does: 'copy live records out of the sources' },
  { phase: 'gc', does: 'delete what nothing keeps' },
  { phase: 'restage', does: 'stage what remains, with a new delay' },
  { phase: 'vacuum', does: 'shrink the index after a large rewrite' },
]

const others: { name: Breakpoint; does: string }[] = [
  { name: 'on_gate_block', does: 'when a gate blocks' },
  { name: 'on_failure', does: 'when something fails' },
  {
    name: 'queue_shrank_without_reclaim',
    does: 'when the queue shrinks and nothing was freed',
  },
]

export function PhaseDebugger(): ReactNode {
  const stopped = useApp((state) => state.engine?.scheduler.stopped ?? null)
  const breakpoints = useApp((state) => state.engine?.scheduler.breakpoints ?? null)
  const stop = useApp((state) => state.stop)
  const [source, setSource] = useState<RunnableSource>('periodic')
  const { made } = usePreview()
  if (breakpoints === null) return null
  const nothing = stopped === null ? 'No pass is stopped.' : null
  return (
    <fieldset className="group phases" data-testid="phase-debugger">
      <legend>
        {stopped === null
          ? 'One phase at a time; a tick stops every pass there'
          : `Pass ${String(stopped.passId)}, ${sourceWords[stopped.source]}, stands still ${stopped.before === null ? 'before its report' : `before ${stopped.before}`}`}
      </legend>
      {stopped === null && (
        <Attempt pass={made?.asked[source]} name="preview-step">
          <SourceSelect
            name="step-source"
            about="Source of the pass to step through"
            source={source}
            onChange={setSource}
          />
        </Attempt>
      )}
      <div className="buttons">
        <ActionButton
          name="step-phase"
          kind="primary"
          nextStep
          about={`Starts a pass (${sourceWords[source]}) and stops it before its first phase; then one phase a press. Key: .`}
          onPress={() => void act('step-phase', { source })}
        >
          {stopped === null ? 'Start a pass, stopped' : 'Step one phase'}
        </ActionButton>
        <ActionButton
          name="resume-pass"
          disabledWhy={nothing}
          about="Runs on to the end, or to the next breakpoint."
          onPress={() => void act('resume-pass', {})}
        >
          Run on
        </ActionButton>
        <ActionButton
          name="cancel-pass"
          disabledWhy={nothing}
          about="Ends the pass here; what is done stays done."
          onPress={() => void act('cancel-pass', {})}
        >
          Cancel it
        </ActionButton>
      </div>
      <ol className="phase-list">
        {phases.map(({ phase, does }) => {
          const name: Breakpoint = `before_${phase}`
          const current = stopped?.before === phase
          return (
            <li
              key={phase}
              className={current ? 'phase phase-current' : 'phase'}
              data-testid="phase-row"
              data-phase={phase}
              data-current={current}
            >
              <label>
                <BreakBox name={name} breakpoints={breakpoints} />
                <span className="sr-only">stop before </span>
                <code>{phase}</code>
              </label>
              <span className="muted">{does}</span>
              {current && <strong>next</strong>}
            </li>
          )
        })}
        {others.map(({ name, does }) => (
          <li key={name} className="phase">
            <label>
              <BreakBox name={name} breakpoints={breakpoints} /> stop {does}
            </label>
          </li>
        ))}
      </ol>
      {stopped !== null && stop !== null && stop.passId === stopped.passId && (
        <div data-testid="pass-stop">
          <p className="pass-sentence">{stop.text}</p>
          <GateList gates={stop.gates} />
        </div>
      )}
    </fieldset>
  )
}

interface BreakBoxProps {
  name: Breakpoint
  /** All that are set. */
  breakpoints: readonly Breakpoint[]
}

function BreakBox({ name, breakpoints }: BreakBoxProps): ReactNode {
  const session = useUi((state) => state.session)
  const noActions = useApp((state) => whyNoActions(state, session))
  const isSet = breakpoints.includes(name)
  return (
    <input
      type="checkbox"
      data-testid={`break-${name}`}
      checked={isSet}
      disabled={noActions !== null}
      title={noActions ?? undefined}
      onChange={() =>
        void act('set-breakpoints', {
          breakpoints: isSet ? breakpoints.filter((one) => one !== name) : [...breakpoints, name],
        })
      }
    />
  )
}
