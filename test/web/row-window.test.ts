import { describe, expect, test } from 'vitest'
import { rowWindow } from '../../web/parts/row-window.ts'

describe('rowWindow', () => {
  const rows = { count: 1000, height: 20, overscan: 3 }

  test('holds every row that touches the view, and some around', () => {
    expect(rowWindow(rows, { scrollTop: 0, viewHeight: 100 })).toEqual({ first: 0, end: 8 })
    expect(rowWindow(rows, { scrollTop: 210, viewHeight: 100 })).toEqual({ first: 7, end: 19 })
    // A row of which one pixel is in sight is in sight.
    expect(rowWindow(rows, { scrollTop: 219, viewHeight: 102 })).toEqual({ first: 7, end: 20 })
  })

  test('ends with the rows, also when they became fewer than the view was scrolled to', () => {
    expect(rowWindow(rows, { scrollTop: 19_950, viewHeight: 100 })).toEqual({
      first: 994,
      end: 1000,
    })
    expect(rowWindow({ ...rows, count: 5 }, { scrollTop: 19_950, viewHeight: 100 })).toEqual({
      first: 5,
      end: 5,
    })
    expect(rowWindow({ ...rows, count: 0 }, { scrollTop: 0, viewHeight: 0 })).toEqual({
      first: 0,
      end: 0,
    })
  })

  test('costs the same for any number of rows', () => {
    const many = { ...rows, count: 1e9 }
    expect(rowWindow(many, { scrollTop: 1e9, viewHeight: 600 })).toEqual({
      first: 5e7 - 3,
      end: 5e7 + 33,
    })
  })
})
