// An event as the trace line upstream prints: time, prefix, event words, then k=v pairs. Lists print
// as their length where upstream counts, durations and ratios with upstream's number of decimals.
import type { EngineEvent } from '../../server/protocol.ts'

/** Words of upstream's that are two: the event and its phase. */
const twoWords: Partial<Record<EngineEvent['type'], string>> = {
  rewrite_plan_staged: 'rewrite_plan staged',
  rewrite_stage_confirm_due: 'rewrite_plan stage_confirm_due',
  gc_run: 'gc_run done',
}

const baseFields = new Set(['seq', 'atMs', 'passId', 'type'])

/** "ts=2026-04-02T08:15:30.123Z treedb debug vlog_maint rewrite_exec reason=rewrite_resume ..." */
export function traceLine(event: EngineEvent): string {
  const pairs: string[] = []
  collect(event, '', pairs)
  if (event.passId !== null) pairs.push(`pass=${String(event.passId)}`)
  const words = twoWords[event.type] ?? event.type
  const head = `ts=${new Date(event.atMs).toISOString()} treedb debug vlog_maint ${words}`
  return pairs.length === 0 ? head : `${head} ${pairs.join(' ')}`
}

function collect(value: object, prefix: string, pairs: string[]): void {
  for (const [name, field] of Object.entries(value) as [string, unknown][]) {
    if (prefix === '' && baseFields.has(name)) continue
    const key = prefix + snake(name)
    if (field === null || field === undefined) pairs.push(`${key}=none`)
    else if (Array.isArray(field)) pairs.push(`${key}=${listText(field)}`)
    else if (typeof field === 'object') collect(field, `${key}_`, pairs)
    else pairs.push(`${key}=${scalar(name, field)}`)
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Ids are named; anything larger is counted. */
function listText(list: unknown[]): string {
  const plain = list.every((one) => typeof one === 'number')
  return plain && list.length > 0 && list.length <= 32 ? list.join(',') : String(list.length)
}

function scalar(name: string, value: unknown): string {
  if (typeof value === 'number') {
    if (/ratio$/i.test(name)) return value.toFixed(6)
    if (/(durMs|elapsedMs|SliceMs)$/.test(name)) return value.toFixed(3)
    return String(value)
  }
  const text = String(value)
  return /\s/.test(text) ? JSON.stringify(text) : text
}
