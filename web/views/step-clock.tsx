// The engine's clock, moved by hand in step mode.
import { useState, type ReactNode } from 'react'
import { formatCountdown } from '../lib/format.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { act } from '../state/session.ts'
import { useApp } from '../state/store.ts'

const jumps = [1000, 10_000, 30_000] as const

export function ClockButtons({ step }: { step: boolean }): ReactNode {
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
