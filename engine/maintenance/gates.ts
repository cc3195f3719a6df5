/**
 * Small constructors of gates, so that verdict, margin and threshold can never contradict each
 * other: the margin is computed, and the verdict is the sign of the margin.
 */
import type { Gate, GateName, Unit } from '../types.ts'

interface Measured {
  name: GateName
  /** null: the input does not exist (never written, never run); such a gate passes. */
  input: number | null
  threshold: number
  unit: Unit
  text: string
  /** This source does not have to obey; the numbers stay visible. */
  bypassed?: boolean
}

/** Passes when the input has reached the threshold. */
export function atLeast(gate: Measured): Gate {
  return measured(gate, gate.input === null ? null : gate.input - gate.threshold)
}

/** Passes when the input is not above the threshold. */
export function atMost(gate: Measured): Gate {
  return measured(gate, gate.input === null ? null : gate.threshold - gate.input)
}

/** A yes-or-no gate: input 1 = yes. */
export function flag(
  name: GateName,
  passes: boolean,
  text: string,
  options: { bypassed?: boolean } = {},
): Gate {
  const bypassed = options.bypassed === true
  return {
    name,
    input: passes ? 1 : 0,
    threshold: 1,
    margin: null,
    unit: 'flag',
    verdict: passes || bypassed ? 'pass' : 'block',
    bypassed,
    text,
  }
}

export function isBlocking(gate: Gate): boolean {
  return gate.verdict === 'block'
}

/** The gates that were met: up to and with the first that blocks. */
export function upToBlock(gates: readonly Gate[]): Gate[] {
  const end = gates.findIndex(isBlocking)
  return end < 0 ? [...gates] : gates.slice(0, end + 1)
}

function measured(gate: Measured, margin: number | null): Gate {
  const wouldBlock = margin !== null && margin < 0
  const bypassed = gate.bypassed === true
  return {
    name: gate.name,
    input: gate.input,
    threshold: gate.threshold,
    margin,
    unit: gate.unit,
    verdict: wouldBlock && !bypassed ? 'block' : 'pass',
    bypassed,
    text: gate.text,
  }
}
