// The scheduler as a debugger: run one pass, plan without touching anything, stop the clock and
// move it by hand. What destroys or copies shows first what it would do.
import { useState, type ReactNode } from 'react'
import type { GcReport } from '../../server/protocol.ts'
import { formatBytes, formatCountdown, plural } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { GcFlow } from '../parts/pass-report.tsx'
import { whyNoActions } from '../state/selectors.ts'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { PlanForm } from './plan-form.tsx'
import { RewriteChosen } from './rewrite-chosen.tsx'

export function StepView(): ReactNode {
  const store = useApp((state) => state.store)
  const link = useApp((state) => state.link)
  const scheduler = useApp((state) => state.engine?.scheduler ?? null)
  if (store === null || store.mode === 'attached' || scheduler === null) return null
  const why = whyNoActions({ store, link })
  const step = scheduler.mode === 'step'
  const title = step
    ? 'Step mode: nothing runs until you say so'
    : scheduler.paused
      ? 'Paused: only passes you start run'
      : 'Passes run by themselves; start one by hand'
  return (
    <Panel id="step" name="Step" title={title} large>
      {why !== null && <p className="note">{why}</p>}
      <div className="controls">
        <PassButtons />
        <PlanForm />
        <RewriteChosenGroup />
        <SchedulerButtons step={step} paused={scheduler.paused} />
        <ClockButtons step={step} />
      </div>
    </Panel>
  )
}

function PassButtons(): ReactNode {
  const [gc, setGc] = useState<GcReport | null>(null)
  const previewGc = async () => {
    const answer = await act('gc', { dryRun: true })
    if (answer !== null) setGc(answer.gc)
  }
  return (
    <fieldset className="group">
      <legend>Run once</legend>
      <div className="buttons">
        <ActionButton
          name="checkpoint"
          kind="primary"
          about="Writes a checkpoint; the checkpoint kick that follows rewrites at most one segment."
          onPress={() => void act('checkpoint', {})}
        >
          Checkpoint
        </ActionButton>
        <ActionButton
          name="periodic-pass"
          about="Runs the pass that the timer would run, with all of its gates."
          onPress={() => void act('periodic-pass', {})}
        >
          Periodic pass
        </ActionButton>
        <ActionButton
          name="stage-confirm"
          about="Runs the pass that the stage timer would run when the confirm delay is over."
          onPress={() => void act('stage-confirm', {})}
        >
          Stage confirm
        </ActionButton>
        <ActionButton
          name="gc"
          about="Shows first what GC would delete."
          onPress={() => void previewGc()}
        >
          GC…
        </ActionButton>
        <ActionButton
          name="verify"
          about="Scans every key and compares the live bytes found with those tracked. Changes nothing."
          onPress={() => void act('verify', {})}
        >
          Verify live bytes
        </ActionButton>
      </div>
      {gc !== null && <GcDialog report={gc} onClose={() => setGc(null)} />}
    </fieldset>
  )
}

function GcDialog({ report, onClose }: { report: GcReport; onClose: () => void }): ReactNode {
  const none = report.eligible.length === 0
  return (
    <Dialog
      title={
        none
          ? 'GC would delete nothing'
          : `Delete ${plural(report.eligible.length, 'segment')}, ${formatBytes(report.bytesEligible)}?`
      }
      onClose={onClose}
      actions={
        <>
          <button type="button" onClick={onClose}>
            {none ? 'Close' : 'Keep them'}
          </button>
          <ActionButton
            name="gc-confirm"
            kind={none ? 'plain' : 'danger'}
            onPress={() => {
              onClose()
              void act('gc', { dryRun: false })
            }}
          >
            {none ? 'Run GC anyway' : 'Delete'}
          </ActionButton>
        </>
      }
    >
      <p>
        <GcFlow report={report} />
      </p>
      <p className="muted">
        {plural(report.segmentsReferenced, 'segment')} referenced,{' '}
        {plural(report.segmentsActive, 'segment')} active, {plural(report.segmentsTotal, 'segment')}{' '}
        in all. Only segments without a live byte and without a reader are deleted.
      </p>
    </Dialog>
  )
}

function RewriteChosenGroup(): ReactNode {
  return (
    <fieldset className="group">
      <legend>Rewrite chosen segments</legend>
      <RewriteChosen />
    </fieldset>
  )
}

function SchedulerButtons({ step, paused }: { step: boolean; paused: boolean }): ReactNode {
  return (
    <fieldset className="group">
      <legend>Scheduler</legend>
      <div className="buttons">
        {paused ? (
          <ActionButton name="resume" onPress={() => void act('resume', {})}>
            Resume
          </ActionButton>
        ) : (
          <ActionButton
            name="pause"
            about="No pass starts by itself until it is resumed."
            onPress={() => void act('pause', {})}
          >
            Pause
          </ActionButton>
        )}
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

const jumps = [1000, 10_000, 30_000] as const

function ClockButtons({ step }: { step: boolean }): ReactNode {
  const [seconds, setSeconds] = useState('5')
  const dueAtMs = useApp((state) => state.engine?.debt.stage?.dueAtMs ?? null)
  const nowMs = useEngineNow(1000)
  const why = step ? null : 'The clock can be moved in step mode only.'
  const custom = Math.round(Number(seconds) * 1000)
  const customWhy =
    Number.isFinite(custom) && custom > 0 ? null : 'Give a number of seconds above zero.'
  const toDue = dueAtMs === null || nowMs === null ? null : Math.ceil(dueAtMs - nowMs)
  const advance = (ms: number) => void act('advance-clock', { ms })
  return (
    <fieldset className="group">
      <legend>Advance the clock</legend>
      <div className="buttons">
        {jumps.map((ms) => (
          <ActionButton
            key={ms}
            name={`advance-clock-${String(ms)}`}
            disabledWhy={why}
            onPress={() => advance(ms)}
          >
            +{ms / 1000} s
          </ActionButton>
        ))}
        {step && toDue !== null && toDue > 0 && (
          <ActionButton
            name="advance-clock-due"
            about="Moves the clock to the instant at which the confirm is due."
            onPress={() => advance(toDue)}
          >
            to due, +{formatCountdown(toDue)}
          </ActionButton>
        )}
        <form
          className="row tight"
          onSubmit={(event) => {
            event.preventDefault()
            if (why === null && customWhy === null) advance(custom)
          }}
        >
          <label className="field-inline">
            <span className="sr-only">Seconds to advance</span>
            <input
              type="number"
              className="narrow"
              min="0.001"
              step="any"
              data-testid="advance-clock-seconds"
              value={seconds}
              disabled={!step}
              onChange={(event) => setSeconds(event.target.value)}
            />
          </label>
          <ActionButton
            name="advance-clock"
            disabledWhy={why ?? customWhy}
            onPress={() => advance(custom)}
          >
            + seconds
          </ActionButton>
        </form>
      </div>
      {why !== null && <p className="muted">{why}</p>}
    </fieldset>
  )
}
