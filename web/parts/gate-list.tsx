// The gates of a pass in the order met. The blocking one is open; the rest are one line each.
import type { ReactNode } from 'react'
import type { Gate } from '../../server/protocol.ts'
import { UNKNOWN, formatDistance, formatUnit, shortNames } from '../lib/format.ts'
import { gateWords } from '../lib/words.ts'

export function GateList({ gates }: { gates: readonly Gate[] }): ReactNode {
  if (gates.length === 0) return <p className="muted">This pass met no gate.</p>
  return (
    <ol className="gates" aria-label="Gates in the order met">
      {gates.map((gate, index) => (
        <GateRow key={`${gate.name}-${String(index)}`} gate={gate} />
      ))}
    </ol>
  )
}

function GateRow({ gate }: { gate: Gate }): ReactNode {
  const verdict = gate.verdict === 'block' ? 'block' : gate.bypassed ? 'bypass' : 'pass'
  const glyph = { block: '✕', bypass: '↷', pass: '✓' }[verdict]
  const spoken = { block: 'blocks', bypass: 'bypassed', pass: 'passes' }[verdict]
  return (
    <li data-testid="gate-row" data-gate={gate.name} data-verdict={gate.verdict}>
      <details className={`gate gate-${verdict}`} open={gate.verdict === 'block'}>
        <summary>
          <span className="gate-glyph" aria-hidden="true">
            {glyph}
          </span>
          <span className="gate-name">
            {gateWords[gate.name]}
            <span className="sr-only"> ({spoken})</span>
          </span>
          <span className="gate-numbers num">{gateNumbers(gate)}</span>
        </summary>
        <div className="gate-body">
          <p>{shortNames(gate.text)}</p>
          <GateScale gate={gate} />
          <p className="muted">
            <code>{gate.name}</code>
            {gate.bypassed && ' · this source does not have to obey it'}
            {gate.margin !== null && (
              <>
                {' · margin '}
                <span className="num">{formatDistance(gate.margin, gate.unit)}</span>
                {gate.margin < 0 ? ' short' : ' to spare'}
              </>
            )}
          </p>
        </div>
      </details>
    </li>
  )
}

/** A flag's number means another thing at every gate; the gate's words are a condition, met or not. */
function gateNumbers(gate: Gate): string {
  if (gate.unit === 'flag')
    return gate.verdict === 'block' ? 'no' : gate.bypassed ? 'let be' : 'yes'
  const { input, threshold, unit } = gate
  // An instant that never was lies long enough ago; any other number is just not there.
  if (input === null) return unit === 'ms' ? 'never' : UNKNOWN
  if (threshold === null) return formatUnit(input, unit)
  return `${formatUnit(input, unit)}, ${isCeiling(gate) ? 'at most' : 'needs'} ${formatUnit(threshold, unit)}`
}

/** A gate that passes below its threshold; the margin's sign tells. A floor of 0 would be none. */
function isCeiling({ input, threshold, margin }: Gate): boolean {
  if (input === null || threshold === null) return false
  return threshold === 0 || (margin === threshold - input && input !== threshold)
}

/** Input against threshold on one scale; only where both are numbers of a size. */
function GateScale({ gate }: { gate: Gate }): ReactNode {
  const { input, threshold, unit } = gate
  if (input === null || threshold === null || unit === 'flag') return null
  const top = Math.max(input, threshold, 0) * 1.15
  if (top <= 0) return null
  const at = (value: number) => `${String(Math.max(0, Math.min(100, (value / top) * 100)))}%`
  return (
    <div className="scale">
      <div className="scale-track" aria-hidden="true">
        <div className="scale-input" style={{ width: at(input) }} />
        <div className="scale-threshold" style={{ left: at(threshold) }} />
      </div>
      <div className="scale-legend num">
        <span>input {formatUnit(input, unit)}</span>
        <span>threshold {formatUnit(threshold, unit)}</span>
      </div>
    </div>
  )
}
