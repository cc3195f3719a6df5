// The audit list in words.
import { describe, expect, test } from 'vitest'
import { ACTION_RULES } from '../../server/action-rules.ts'
import { auditWords } from '../../web/views/audit-panel.tsx'

describe('what was asked for', () => {
  test('is said in words, whatever action it was', () => {
    for (const name of Object.keys(ACTION_RULES)) {
      const words = auditWords(`POST /api/v1/stores/:storeId/actions/${name}`)
      expect([name, words]).toEqual([name, expect.stringMatching(/^[A-Z][A-Za-z ]+$/)])
    }
    expect(auditWords('POST /api/v1/stores/:storeId/plans/:planId/apply')).toBe('Apply a plan')
    expect(auditWords('GET /somewhere')).toBe('GET /somewhere')
  })
})
