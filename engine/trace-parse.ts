/** Trace lines read back: those of `trace-line.ts`, and any line of upstream's shape, of any build. */
import { FREE_TEXT, MARKER, type TraceLine } from './trace-line.ts'
import { endOfEvent } from './trace-words.ts'

/** Where and why a text is no trace line. `at` counts UTF-16 units from 0. */
export interface TraceRefusal {
  at: number
  expected: string
}

export type ParsedTraceLine =
  { line: TraceLine; refusal: null } | { line: null; refusal: TraceRefusal }

const LINE_CHARS_MAX = 64 * 1024 * 1024

/** Any line of upstream's shape, of any build. Colours of a terminal around it are dropped. */
export function parseTraceLine(source: string): ParsedTraceLine {
  // eslint-disable-next-line no-control-regex -- ANSI sequences begin with an escape character
  const line = source.replace(/\u001b\[[0-9;]*m/g, '').replace(/[\r\n]+$/, '')
  if (line.length > LINE_CHARS_MAX) return refused(0, `at most ${LINE_CHARS_MAX} characters`)
  let at = 0
  const ts = /^ts=(\S+) /.exec(line)
  if (ts !== null) at = ts[0].length
  if (!line.startsWith(MARKER, at)) return refused(at, `"${MARKER.trimEnd()}"`)
  at += MARKER.length
  const db = readName(line, at, 'db')
  if (db !== null) at = db.end
  const walDir = readName(line, at, 'wal_dir')
  if (walDir !== null) at = walDir.end
  const words = readWords(line, at)
  if (words.list.length === 0) return refused(at, 'the name of an event')
  const fields = readFields(line, words.end)
  if (!Array.isArray(fields)) return { line: null, refusal: fields }
  const names = { db: db?.value ?? null, walDir: walDir?.value ?? null }
  return { line: { ts: ts?.[1] ?? null, ...names, words: words.list, fields }, refusal: null }
}

function refused(at: number, expected: string): ParsedTraceLine {
  return { line: null, refusal: { at, expected } }
}

/** null: the line has no such name. `end` is behind the blank that ends it. */
function readName(
  line: string,
  at: number,
  key: 'db' | 'wal_dir',
): { value: string; end: number } | null {
  if (!line.startsWith(`${key}=`, at)) return null
  const begin = at + key.length + 1
  let blank = line.indexOf(' ', begin)
  for (; blank !== -1; blank = line.indexOf(' ', blank + 1)) {
    if (key === 'db' && line.startsWith('wal_dir=', blank + 1)) break
    const words = endOfEvent(line, blank + 1)
    // Such a word may stand in a path, too: then what follows is no list of fields.
    if (words !== null && Array.isArray(readFields(line, words + 1))) break
  }
  // An event of a build that we do not know: it begins where a word stands alone.
  if (blank === -1) {
    const stranger = key === 'db' ? / /g : / (?=[a-z][a-z0-9_]*(?: |$))/g
    stranger.lastIndex = begin
    blank = stranger.exec(line)?.index ?? -1
  }
  return blank === -1 ? null : { value: line.slice(begin, blank), end: blank + 1 }
}

function readWords(line: string, from: number): { list: string[]; end: number } {
  const list: string[] = []
  const word = /([a-z][a-z0-9_]*)(?: |$)/y
  let end = from
  for (;;) {
    word.lastIndex = end
    const found = word.exec(line)?.[1]
    if (found === undefined) return { list, end }
    list.push(found)
    end = word.lastIndex
  }
}

function readFields(line: string, from: number): [string, string][] | TraceRefusal {
  const fields: [string, string][] = []
  const name = /([a-z][a-z0-9_.]*)=/y
  let at = from
  while (at < line.length) {
    name.lastIndex = at
    const key = name.exec(line)?.[1]
    if (key === undefined) return { at, expected: 'key=value' }
    const begin = name.lastIndex
    const end = FREE_TEXT.has(key) ? endOfText(line, begin) : endOfToken(line, begin)
    fields.push([key, line.slice(begin, end)])
    if (end === line.length) return fields
    at = end + 1
    // A blank that ends the line promises a field.
    if (at === line.length) return { at, expected: 'key=value' }
  }
  return fields
}

function endOfToken(line: string, begin: number): number {
  const blank = line.indexOf(' ', begin)
  return blank === -1 ? line.length : blank
}

/** Upstream has `dur_ms=` behind an error's text, and a whole line `event=`; nothing else comes there. */
function endOfText(line: string, begin: number): number {
  const tail = /(?: dur_ms=\d+(?:\.\d+)?)?(?: event=\{\S*\})?$/.exec(line.slice(begin))
  return begin + (tail?.index ?? line.length - begin)
}

/** The event of a line that was printed whole; null: it is upstream's, or not one of ours. */
export function eventOfLine(line: TraceLine): unknown {
  const json = line.fields.findLast(([key]) => key === 'event')?.[1]
  if (json === undefined) return null
  try {
    return JSON.parse(json) as unknown
  } catch {
    return null
  }
}

export type TraceValue =
  | { kind: 'number'; value: number }
  /** An integer that a number cannot hold exactly. */
  | { kind: 'integer'; value: string }
  | { kind: 'flag'; value: boolean }
  /** `selected=4/9`. */
  | { kind: 'share'; part: number; whole: number }
  | { kind: 'nil' }
  | { kind: 'text'; value: string }

/** What a field's text stands for. */
export function traceValue(value: string): TraceValue {
  if (/^-?\d+$/.test(value)) {
    const number = Number(value)
    return Number.isSafeInteger(number)
      ? { kind: 'number', value: number }
      : { kind: 'integer', value }
  }
  if (/^-?\d+\.\d+$/.test(value)) return { kind: 'number', value: Number(value) }
  if (value === 'true' || value === 'false') return { kind: 'flag', value: value === 'true' }
  const share = /^(\d{1,15})\/(\d{1,15})$/.exec(value)
  if (share !== null) return { kind: 'share', part: Number(share[1]), whole: Number(share[2]) }
  return value === '<nil>' ? { kind: 'nil' } : { kind: 'text', value }
}
