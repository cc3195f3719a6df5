// Step mode only: run pass after pass, the clock jumping to whatever is waited for, until something
// holds; within bounds of passes and of virtual time.
import { useState, type ReactNode } from 'react'
import type { GateName, PassOutcome, RunUntil } from '../../server/protocol.ts'
import { gateWords, outcomeWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { act } from '../state/session.ts'

type Kind = Exclude<RunUntil['kind'], 'event'>

const kinds: Record<Kind, string> = {
  shrunk_without_reclaim: 'the queue shrinks and nothing is freed',
  queue_empty: 'the queue is empty',
  outcome: 'a pass ends as …',
  blocked_by: 'a gate blocks: …',
  passes: 'so many passes have run',
}

export function RunUntilForm({ step }: { step: boolean }): ReactNode {
  const [kind, setKind] = useState<Kind>('shrunk_without_reclaim')
  const [outcome, setOutcome] = useState<PassOutcome>('rewrote')
  const [gate, setGate] = useState<GateName>('quiet_writes')
  const [passes, setPasses] = useState('20')
  const passesMax = Number(passes)
  const problem =
    Number.isInteger(passesMax) && passesMax >= 1 && passesMax <= 200
      ? null
      : 'At most 1 to 200 passes.'
  const until: RunUntil =
    kind === 'outcome' ? { kind, outcome } : kind === 'blocked_by' ? { kind, gate } : { kind }
  return (
    <fieldset className="group">
      <legend>Run until</legend>
      <div className="buttons">
        <select
          aria-label="Until"
          data-testid="run-until-kind"
          value={kind}
          onChange={(event) => setKind(event.target.value as Kind)}
        >
          {(Object.keys(kinds) as Kind[]).map((one) => (
            <option key={one} value={one}>
              {kinds[one]}
            </option>
          ))}
        </select>
        {kind === 'outcome' && (
          <select
            aria-label="Outcome"
            value={outcome}
            onChange={(event) => setOutcome(event.target.value as PassOutcome)}
          >
            {(Object.keys(outcomeWords) as PassOutcome[]).map((one) => (
              <option key={one} value={one}>
                {outcomeWords[one]}
              </option>
            ))}
          </select>
        )}
        {kind === 'blocked_by' && (
          <select
            aria-label="Gate"
            value={gate}
            onChange={(event) => setGate(event.target.value as GateName)}
          >
            {(Object.keys(gateWords) as GateName[]).map((one) => (
              <option key={one} value={one}>
                {gateWords[one]}
              </option>
            ))}
          </select>
        )}
        <label className="field-inline">
          <span>at most</span>
          <input
            type="number"
            className="narrow"
            min="1"
            max="200"
            data-testid="run-until-passes"
            value={passes}
            onChange={(event) => setPasses(event.target.value)}
          />
          <span>passes</span>
        </label>
        <ActionButton
          name="run-until"
          disabledWhy={step ? problem : 'Only in step mode, where the clock can jump.'}
          about="The clock jumps to whatever the scheduler waits for, at most an hour of it."
          onPress={() => void act('run-until', { until, passesMax, advanceMaxMs: 3_600_000 })}
        >
          Run
        </ActionButton>
      </div>
    </fieldset>
  )
}
