import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  defaultRoute,
  hashToRoute,
  parseSegmentLabel,
  routeToHash,
  segmentColours,
  segmentOrders,
  takeTokenFrom,
  viewNames,
  type Route,
} from '../../web/lib/route.ts'
import { segmentLabel } from '../../web/lib/format.ts'
import { eventGroups } from '../../web/lib/words.ts'
import { segmentId } from './fixtures.ts'

const seqs = fc.nat({ max: 2 ** 40 })
const openings = fc.oneof(
  fc.constant({}),
  fc.integer({ min: 1, max: 2 ** 40 }).map((opening) => ({ opening })),
)
const ids = fc
  .tuple(fc.nat({ max: 255 }), fc.nat({ max: 0x7fffff }))
  .map(([lane, seq]) => segmentId(seq, lane))

const routes: fc.Arbitrary<Route> = fc.record({
  view: fc.constantFrom(...viewNames),
  store: fc.option(fc.string({ minLength: 1 }).filter((text) => text.trim() !== '')),
  drawer: fc.option(
    fc.oneof(
      ids.map((id) => ({ kind: 'segment' as const, id })),
      fc.tuple(seqs, openings).map(([id, opening]) => ({ kind: 'pass' as const, id, ...opening })),
      fc
        .tuple(seqs, openings)
        .map(([seq, opening]) => ({ kind: 'event' as const, seq, ...opening })),
    ),
  ),
  chosen: fc.uniqueArray(ids, { maxLength: 5 }),
  order: fc.constantFrom(...segmentOrders),
  colour: fc.constantFrom(...segmentColours),
  segmentText: fc.string(),
  segmentState: fc.option(fc.constantFrom('active' as const, 'sealed' as const, 'zombie' as const)),
  zoom: fc.nat({ max: 8 }),
  mapAt: fc.option(ids),
  traceText: fc.string(),
  traceHidden: fc.subarray([...eventGroups]),
  tracePass: fc.option(seqs),
  traceOpening: fc.option(fc.integer({ min: 1, max: 2 ** 40 })),
  traceSegment: fc.option(ids),
  traceAt: fc.option(fc.tuple(seqs, openings).map(([seq, opening]) => ({ seq, ...opening }))),
  passSource: fc.option(fc.constantFrom('periodic' as const, 'manual' as const)),
  passOutcome: fc.option(fc.constantFrom('rewrote' as const, 'blocked' as const)),
  moment: fc.option(fc.record({ openingId: fc.integer({ min: 1, max: 2 ** 40 }), seq: seqs })),
  time: fc.option(
    fc.tuple(seqs, fc.integer({ min: 1, max: 1e9 })).map(([fromMs, span]) => ({
      fromMs,
      toMs: fromMs + span,
    })),
  ),
})

describe('routes', () => {
  test('every route survives the address bar', () => {
    fc.assert(
      fc.property(routes, (made) => {
        // An opening is that of a pass.
        const route = made.tracePass === null ? { ...made, traceOpening: null } : made
        expect(hashToRoute(routeToHash(route))).toEqual(route)
      }),
      { seed: 5, numRuns: 500 },
    )
  })

  test('any text whatever parses to some route', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        expect(viewNames).toContain(hashToRoute(`#${text}`).view)
      }),
      { seed: 5, numRuns: 500 },
    )
  })

  test('the first screen has the shortest address', () => {
    expect(routeToHash(defaultRoute)).toBe('#/overview')
  })

  test('an address reads like what it shows', () => {
    const route: Route = {
      ...defaultRoute,
      view: 'segments',
      drawer: { kind: 'segment', id: segmentId(12) },
      chosen: [segmentId(3), segmentId(4, 1)],
      order: 'stale',
    }
    expect(routeToHash(route)).toBe('#/segments?open=segment:L0-12&chosen=L0-3,L1-4&order=stale')
  })

  test('segment names parse back to their ids, and nothing else does', () => {
    expect(parseSegmentLabel(segmentLabel(segmentId(77, 3)))).toBe(segmentId(77, 3))
    for (const text of ['', 'L', 'L0', '0-1', 'L256-1', 'L0-8388608', 'L0-1x']) {
      expect(parseSegmentLabel(text)).toBeNull()
    }
  })
})

describe('the token in the fragment', () => {
  test('is taken out and leaves the rest as it was', () => {
    expect(takeTokenFrom('#token=abc')).toEqual({ token: 'abc', rest: '' })
    expect(takeTokenFrom('#token=abc&store=demo')).toEqual({ token: 'abc', rest: '#store=demo' })
    expect(takeTokenFrom('#/trace?token=abc&pass=3')).toEqual({
      token: 'abc',
      rest: '#/trace?pass=3',
    })
    expect(takeTokenFrom('#/trace?pass=3')).toEqual({ token: null, rest: '#/trace?pass=3' })
  })

  test('a fragment without a view still names the store', () => {
    expect(hashToRoute('#store=demo')).toMatchObject({ view: 'overview', store: 'demo' })
  })
})
