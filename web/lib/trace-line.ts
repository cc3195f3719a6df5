// Upstream's trace lines are printed by the one module that also parses them, beside the engine.
import type { EngineEvent } from '../../server/protocol.ts'
import { printTraceLine } from '../../engine/trace-line.ts'

/** "ts=2026-04-02T08:15:30.123Z treedb debug vlog_maint rewrite_exec reason=rewrite_resume ..." */
export function traceLine(event: EngineEvent): string {
  return printTraceLine(event, { prefix: 'dated' })
}
