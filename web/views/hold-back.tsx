// What holds maintenance back, set and ended: the pause, with its reason; the pause file, which outlives
// the server; the phase of the node around the store; and whether passes start by themselves at all.
import { useState, type ReactNode } from 'react'
import type { MaintenancePhase, SchedulerInfo } from '../../server/protocol.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { phaseWords } from '../state/held-back.ts'
import { act } from '../state/session.ts'

const REASON_MAX = 200

export function SchedulerButtons({ scheduler }: { scheduler: SchedulerInfo }): ReactNode {
  const [reason, setReason] = useState('')
  const said = reason.trim()
  const step = scheduler.mode === 'step'
  // With both there already, there is nothing left to give a reason for.
  const saysWhy = !scheduler.paused || scheduler.pauseFile?.present === false
  const done = (answer: unknown) => {
    if (answer !== null) setReason('')
  }
  return (
    <fieldset className="group" data-testid="hold-back">
      <legend>Scheduler: what starts by itself</legend>
      <div className="buttons">
        {scheduler.paused ? (
          <ActionButton name="resume" onPress={() => void act('resume', {})}>
            Resume
          </ActionButton>
        ) : (
          <ActionButton
            name="pause"
            about="No pass starts by itself until it is resumed, or the store is opened again."
            onPress={() => void act('pause', said === '' ? {} : { reason: said }).then(done)}
          >
            Pause
          </ActionButton>
        )}
        <PauseFileButton scheduler={scheduler} reason={said} done={done} />
        {saysWhy && (
          <label className="field-inline">
            <span className="muted">because</span>
            <input
              type="text"
              data-testid="hold-back-reason"
              placeholder="a reason that others see"
              maxLength={REASON_MAX}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          </label>
        )}
      </div>
      <PauseLines scheduler={scheduler} />
      <div className="buttons">
        <PhaseChoice phase={scheduler.phase} />
        <ActionButton
          name="mode"
          about={
            step
              ? 'Timers and kicks start passes again, on the wall clock.'
              : 'The clock stands still and passes run only when you start them.'
          }
          onPress={() => void act('mode', { mode: step ? 'auto' : 'step' })}
        >
          {step ? 'Switch to auto mode' : 'Switch to step mode'}
        </ActionButton>
      </div>
    </fieldset>
  )
}

function PauseFileButton({
  scheduler,
  reason,
  done,
}: {
  scheduler: SchedulerInfo
  reason: string
  done: (answer: unknown) => void
}): ReactNode {
  const { pauseFile } = scheduler
  const present = pauseFile?.present === true
  const put = (said: string | null) => void act('set-pause-file', { reason: said }).then(done)
  return (
    <ActionButton
      name="set-pause-file"
      disabledWhy={
        pauseFile === null ? 'No pause file was named: the server’s --pause-file does that.' : null
      }
      about={
        present
          ? 'Deletes the file: passes start by themselves again, here and wherever it is looked for.'
          : 'Writes the file: no pass starts by itself while it is there, also after a restart.'
      }
      onPress={() => put(present ? null : reason)}
    >
      {present ? 'Take the pause file away' : 'Put the pause file down'}
    </ActionButton>
  )
}

function PauseLines({ scheduler }: { scheduler: SchedulerInfo }): ReactNode {
  const { paused, pauseReason, pauseFile } = scheduler
  return (
    <dl className="facts" data-testid="pauses">
      <dt>pause</dt>
      <dd data-testid="pause-reason">
        {paused ? `paused: ${pauseReason ?? 'no reason was given'}` : 'not paused'}
      </dd>
      <dt>pause file</dt>
      <dd data-testid="pause-file" data-present={pauseFile?.present ?? false}>
        {pauseFile === null ? (
          <>
            none: <code>--pause-file</code> names one when the server is started
          </>
        ) : (
          <>
            <code className="path">{pauseFile.file}</code>{' '}
            {pauseFile.present ? `is there: ${pauseFile.reason ?? 'it says nothing'}` : 'not there'}
          </>
        )}
      </dd>
    </dl>
  )
}

const phases = Object.keys(phaseWords) as MaintenancePhase[]

function PhaseChoice({ phase }: { phase: MaintenancePhase }): ReactNode {
  const [chosen, setChosen] = useState<MaintenancePhase | null>(null)
  const wanted = chosen ?? phase
  return (
    <>
      <label className="field-inline">
        <span className="muted">phase of the node</span>
        <select
          data-testid="phase-choice"
          data-phase={phase}
          value={wanted}
          onChange={(event) => {
            setChosen(phases.find((one) => one === event.target.value) ?? null)
          }}
        >
          {phases.map((one) => (
            <option key={one} value={one}>
              {phaseWords[one]}
            </option>
          ))}
        </select>
      </label>
      <ActionButton
        name="set-phase"
        disabledWhy={wanted === phase ? 'This is the phase it is in.' : null}
        about="In any phase but steady no pass starts by itself; what came due waits."
        onPress={() => void act('set-phase', { phase: wanted }).then(() => setChosen(null))}
      >
        Set phase
      </ActionButton>
    </>
  )
}
