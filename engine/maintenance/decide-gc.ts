/** When dead segments are deleted, and index.db vacuumed, on their own: pure. */
import type { Gate, MaintenanceOptions, SegmentInfo } from '../types.ts'
import type { Decision } from './decision.ts'
import { atLeast, flag, isBlocking, upToBlock } from './gates.ts'
import { isHot, isKick, since, sinceText, type PassInput } from './pass-input.ts'
import { bytesText, countText } from './text.ts'

export function decideGc(input: PassInput, decision: Decision): void {
  const { bytes } = reclaimable(input.segments)
  // A tick that is not one for GC runs it all the same when so much is dead that it pays at any time.
  const pays = bytes >= Math.max(1, input.options.gcMinBytes)
  if (!isHot(input.source) && !input.gcTick && !pays) return
  // The landed design makes no GC runs of its own in kicks (scheduler.md 9).
  if (input.options.policy === 'queue_runner' && isKick(input.source)) return
  const gates = upToBlock(gcGates(input, false, decision.ageBlock))
  decision.gates.push(...gates)
  decision.gc = !gates.some(isBlocking)
}

/**
 * The interval holds back what one kick after another would repeat; nothing dead, an empty run. `ageBlock`: what
 * the pass's own plan has made of the wait for age.
 */
export function gcGates(
  input: PassInput,
  asked: boolean,
  ageBlock: Decision['ageBlock'] = null,
): Gate[] {
  const { options, times } = input
  const sinceGc = since(times.lastGcAtMs, input.nowMs)
  const dead = reclaimable(input.segments)
  const retries = ageBlock === null ? times.ageBlockedUntilMs !== null : ageBlock !== 'clear'
  const waits =
    retries && !options.disableAutoDeferred && input.source === 'periodic' && input.automatic
  const gates: Gate[] = []
  if (options.disableGc) gates.push(gcSwitch(options, asked))
  if (waits) {
    // Upstream's step 32: the retry's own pass runs GC.
    const text = 'An age-blocked retry waits; its pass deletes what is dead.'
    gates.push(flag('gc_not_held_back', false, text, { bypassed: asked }))
  }
  return [
    ...gates,
    atLeast({
      name: 'gc_min_interval',
      input: sinceGc,
      threshold: options.gcMinIntervalMs,
      unit: 'ms',
      bypassed: asked,
      text: sinceText('GC', sinceGc, options.gcMinIntervalMs),
    }),
    atLeast({
      name: 'gc_eligible',
      input: dead.count,
      threshold: 1,
      unit: 'count',
      bypassed: asked,
      text:
        dead.count === 0
          ? 'No dead segment is free of readers and writers.'
          : `${bytesText(dead.bytes)} in ${countText(dead.count, 'dead segment')} that nothing holds.`,
    }),
  ]
}

/** The switch binds every GC run that nobody asked for, also the one after a rewrite (D13). */
export function gcSwitch(options: MaintenanceOptions, asked: boolean): Gate {
  const text = `GC is switched ${options.disableGc ? 'off' : 'on'}.`
  return flag('gc_enabled', !options.disableGc, text, { bypassed: asked })
}

/** What a GC run could delete: pins and writers hold some dead segments, old roots and the journal do not. */
function reclaimable(segments: readonly SegmentInfo[]): { count: number; bytes: number } {
  let bytes = 0
  let count = 0
  for (const segment of segments) {
    if (segment.bytesLive > 0 || segment.state === 'active') continue
    const held = segment.keptBy.some(
      ({ kind }) =>
        kind === 'snapshot' ||
        kind === 'iterator' ||
        kind === 'active_writer' ||
        kind === 'rewriting',
    )
    if (held) continue
    count += 1
    bytes += segment.bytesTotal
  }
  return { count, bytes }
}

/**
 * Whether a rewrite is followed by an index vacuum: moving values dirties index pages all over, and
 * many rewrites leave many free ones behind (upstream's threshold and interval). `rewrittenBytes`: of
 * all sources since the last vacuum, because one pass rewrites one segment, which rarely is so large.
 */
export function vacuumGates(
  input: Pick<PassInput, 'options' | 'times' | 'nowMs'>,
  rewrittenBytes: number,
  asked = false,
): Gate[] {
  const { options, times, nowMs } = input
  const off = options.disableVacuum || options.vacuumTriggerRewriteBytes === 0
  const sinceVacuum = since(times.lastVacuumAtMs, nowMs)
  return upToBlock([
    flag('vacuum_enabled', !off, `The index vacuum is switched ${off ? 'off' : 'on'}.`, {
      bypassed: asked,
    }),
    atLeast({
      name: 'vacuum_trigger_bytes',
      input: rewrittenBytes,
      threshold: options.vacuumTriggerRewriteBytes,
      unit: 'bytes',
      bypassed: asked,
      text: `${bytesText(rewrittenBytes)} were rewritten since the last vacuum; the trigger is ${bytesText(options.vacuumTriggerRewriteBytes)}.`,
    }),
    atLeast({
      name: 'vacuum_min_interval',
      input: sinceVacuum,
      threshold: options.vacuumMinIntervalMs,
      unit: 'ms',
      bypassed: asked,
      text: sinceText('index vacuum', sinceVacuum, options.vacuumMinIntervalMs),
    }),
  ])
}
