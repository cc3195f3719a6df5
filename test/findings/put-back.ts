/**
 * A put-back: an edit of the product that brings a known defect back, and the test that must then fail.
 * `npm run put-back` tries them on a copy; `test/findings.test.ts` holds that each still applies.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { BACKEND } from './backend.ts'
import { MAINTENANCE } from './maintenance.ts'
import { FAILURES } from './failures.ts'
import { FOLDER } from './folder.ts'
import { RECOVERY } from './recovery.ts'
import { RULES } from './rules.ts'
import { SCHEDULER } from './scheduler.ts'
import { SERVER } from './server.ts'

/** The text to find stands exactly once in the file. */
export interface Edit {
  file: string
  find: string
  replace: string
}

export interface PutBack {
  /** The finding, or the rule in a few words with dashes; several of one id are its variants. */
  id: string
  /** What the edit brings back. */
  defect: string
  edits: Edit[]
  /** `name` is how the test's title begins: a table of cases may go on with each case. */
  test: { file: string; name: string }
  /** Why the reviewed defect cannot exist in this design; the edit then breaks the property that keeps it out. */
  cannotExist?: string
}

/** How many findings each family of the reviews has. */
const FAMILIES = { F: 19, D: 13, B: 18, X: 6 } as const

export const FINDINGS: readonly string[] = Object.entries(FAMILIES).flatMap(([family, count]) =>
  Array.from({ length: count }, (_, i) => `${family}${i + 1}`),
)

export const PUT_BACKS: readonly PutBack[] = [
  ...SCHEDULER,
  ...BACKEND,
  ...RECOVERY,
  ...RULES,
  ...MAINTENANCE,
  ...FOLDER,
  ...FAILURES,
  ...SERVER,
]

/** The texts after the edits, by file; a sentence when an edit does not apply. */
export function applied(root: string, edits: readonly Edit[]): Map<string, string> | string {
  const texts = new Map<string, string>()
  for (const { file, find, replace } of edits) {
    const text = texts.get(file) ?? read(path.join(root, file))
    if (text === undefined) return `${file} does not exist`
    const parts = text.split(find)
    if (parts.length !== 2) {
      const first = find.split('\n', 1)[0] ?? ''
      return `${file} has the text "${first.trim()}" ${parts.length - 1} times`
    }
    texts.set(file, parts.join(replace))
  }
  return texts
}

function read(file: string): string | undefined {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
}
