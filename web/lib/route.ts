// What the address bar says: view, store, what is open beside it, what is chosen, filters and time.
// Pure: a route prints as a URL fragment, and such a fragment parses back. Defaults are left out, and
// what does not parse counts as the default, because a fragment is something a person may have typed.
import type {
  Moment,
  PassOutcome,
  PassSource,
  SegmentId,
  SegmentState,
} from '../../server/protocol.ts'
import { segmentLabel } from './format.ts'
import {
  eventGroups,
  groupsHiddenAtFirst,
  outcomeWords,
  sourceWords,
  stateWords,
  type EventGroup,
} from './words.ts'

export const viewNames = [
  'overview',
  'segments',
  'queue',
  'passes',
  'step',
  'trace',
  'history',
  'pins',
  'workload',
  'stores',
] as const
export type ViewName = (typeof viewNames)[number]

export const segmentOrders = ['id', 'stale', 'ratio', 'age', 'size'] as const
export type SegmentOrder = (typeof segmentOrders)[number]

export const segmentColours = ['live', 'age', 'lane', 'state', 'verdict'] as const
export type SegmentColour = (typeof segmentColours)[number]

/** An event. Events and passes are numbered anew in each opening of a store; without one the present. */
export interface EventPlace {
  seq: number
  opening?: number
}

/** What the drawer shows beside the view. */
export type DrawerTarget =
  | { kind: 'segment'; id: SegmentId }
  | { kind: 'pass'; id: number; opening?: number }
  | ({ kind: 'event' } & EventPlace)

export interface Route {
  view: ViewName
  /** null = the first store there is. */
  store: string | null
  drawer: DrawerTarget | null
  /** Segments chosen for an action, in the order chosen. */
  chosen: SegmentId[]
  order: SegmentOrder
  colour: SegmentColour
  /** Text that a segment's name, file, state or keeper has to contain. */
  segmentText: string
  /** null = all. */
  segmentState: SegmentState | null
  /** Steps of magnification of the segment map, 0 = all in sight. */
  zoom: number
  /** The first segment in sight of a magnified map; null: the map's beginning. */
  mapAt: SegmentId | null
  traceText: string
  traceHidden: EventGroup[]
  tracePass: number | null
  /** Of which opening that pass is; null = the present one. */
  traceOpening: number | null
  traceSegment: SegmentId | null
  /** The event at which the trace is paused; null = it follows. */
  traceAt: EventPlace | null
  passSource: PassSource | null
  passOutcome: PassOutcome | null
  /** The recorded moment that the history shows; null = the newest. */
  moment: Moment | null
  /** Time shown by the charts, engine clock; null = all that is held, up to now. */
  time: { fromMs: number; toMs: number } | null
}

/** As far as a map of the most segments goes; one of fewer stops sooner. */
const ZOOM_MAX = 8

export const defaultRoute: Route = {
  view: 'overview',
  store: null,
  drawer: null,
  chosen: [],
  order: 'id',
  colour: 'live',
  segmentText: '',
  segmentState: null,
  zoom: 0,
  mapAt: null,
  traceText: '',
  traceHidden: [...groupsHiddenAtFirst],
  tracePass: null,
  traceOpening: null,
  traceSegment: null,
  traceAt: null,
  passSource: null,
  passOutcome: null,
  moment: null,
  time: null,
}

/** "L0-12" -> its id; null for anything else. Lanes have 8 bits, sequence numbers 23. */
export function parseSegmentLabel(text: string): SegmentId | null {
  const match = /^L(\d{1,3})-(\d{1,7})$/i.exec(text.trim())
  if (match === null) return null
  const lane = Number(match[1])
  const seq = Number(match[2])
  return lane > 255 || seq > 0x7fffff ? null : 0x80000000 + lane * 0x800000 + seq
}

// ---------------------------------------------------------------- printing

/** "17"; "4,17" of opening 4. */
function numberText(number: number, opening: number | null | undefined): string {
  return opening === null || opening === undefined
    ? String(number)
    : `${String(opening)},${String(number)}`
}

/** "event:4,17": as the address names what is open. */
export function drawerText(drawer: DrawerTarget): string {
  switch (drawer.kind) {
    case 'segment':
      return `segment:${segmentLabel(drawer.id)}`
    case 'pass':
      return `pass:${numberText(drawer.id, drawer.opening)}`
    case 'event':
      return `event:${numberText(drawer.seq, drawer.opening)}`
  }
}

/** "#/segments?open=segment:L0-12&order=stale" */
export function routeToHash(route: Route): string {
  const parts: string[] = []
  const add = (name: string, value: string | null) => {
    if (value === null) return
    // Commas and colons are legal in a fragment and easier to read than their escapes.
    const text = encodeURIComponent(value).replaceAll('%2C', ',').replaceAll('%3A', ':')
    parts.push(`${name}=${text}`)
  }
  const text = (value: string) => (value === '' ? null : value)
  const changed = <T extends string | number>(value: T, usual: T) =>
    value === usual ? null : String(value)
  add('store', route.store)
  add('open', route.drawer === null ? null : drawerText(route.drawer))
  add('chosen', text(route.chosen.map(segmentLabel).join(',')))
  add('order', changed(route.order, defaultRoute.order))
  add('colour', changed(route.colour, defaultRoute.colour))
  add('find', text(route.segmentText))
  add('state', route.segmentState)
  add('zoom', changed(route.zoom, 0))
  add('map', route.mapAt === null ? null : segmentLabel(route.mapAt))
  add('text', text(route.traceText))
  add('hide', hiddenText(route.traceHidden))
  add('pass', route.tracePass === null ? null : numberText(route.tracePass, route.traceOpening))
  add('segment', route.traceSegment === null ? null : segmentLabel(route.traceSegment))
  add('at', route.traceAt === null ? null : numberText(route.traceAt.seq, route.traceAt.opening))
  add('source', route.passSource)
  add('outcome', route.passOutcome)
  add('moment', route.moment === null ? null : `${route.moment.openingId},${route.moment.seq}`)
  add('time', route.time === null ? null : `${route.time.fromMs},${route.time.toMs}`)
  return `#/${route.view}${parts.length === 0 ? '' : `?${parts.join('&')}`}`
}

function hiddenText(hidden: readonly EventGroup[]): string | null {
  const sorted = eventGroups.filter((group) => hidden.includes(group))
  const usual = eventGroups.filter((group) => groupsHiddenAtFirst.includes(group))
  if (sorted.join() === usual.join()) return null
  return sorted.length === 0 ? 'none' : sorted.join(',')
}

// ---------------------------------------------------------------- parsing

export function hashToRoute(hash: string): Route {
  const text = hash.replace(/^#/, '')
  const [path, query] = text.startsWith('/') ? splitOnce(text.slice(1), '?') : ['', text]
  const params = new URLSearchParams(query)
  const get = (name: string) => params.get(name) ?? ''
  const segments = (list: string) =>
    list.split(',').flatMap((label) => {
      const id = parseSegmentLabel(label)
      return id === null ? [] : [id]
    })
  const pass = parseNumber(get('pass'))
  const at = parseNumber(get('at'))
  return {
    view: oneOf(path, viewNames) ?? defaultRoute.view,
    store: get('store') === '' ? null : get('store'),
    drawer: parseDrawer(get('open')),
    chosen: [...new Set(segments(get('chosen')))],
    order: oneOf(get('order'), segmentOrders) ?? defaultRoute.order,
    colour: oneOf(get('colour'), segmentColours) ?? defaultRoute.colour,
    segmentText: get('find'),
    segmentState: oneOf(get('state'), keysOf(stateWords)),
    zoom: Math.min(ZOOM_MAX, whole(get('zoom')) ?? 0),
    mapAt: parseSegmentLabel(get('map')),
    traceText: get('text'),
    traceHidden: parseHidden(params.get('hide')),
    tracePass: pass?.number ?? null,
    traceOpening: pass?.opening ?? null,
    traceSegment: parseSegmentLabel(get('segment')),
    traceAt: at === null ? null : { seq: at.number, ...inOpening(at.opening) },
    passSource: oneOf(get('source'), keysOf(sourceWords)),
    passOutcome: oneOf(get('outcome'), keysOf(outcomeWords)),
    moment: parseMoment(get('moment')),
    time: parseTime(get('time')),
  }
}

function splitOnce(text: string, by: string): [string, string] {
  const at = text.indexOf(by)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + by.length)]
}

function oneOf<T extends string>(text: string, all: readonly T[]): T | null {
  return all.find((one) => one === text) ?? null
}

function keysOf<K extends string>(table: Record<K, unknown>): K[] {
  return Object.keys(table) as K[]
}

function whole(text: string): number | null {
  if (!/^\d{1,16}$/.test(text)) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}

function parseDrawer(text: string): DrawerTarget | null {
  const [kind, rest] = splitOnce(text, ':')
  if (kind === 'segment') {
    const id = parseSegmentLabel(rest)
    return id === null ? null : { kind, id }
  }
  const value = parseNumber(rest)
  if (value === null) return null
  const opening = inOpening(value.opening)
  if (kind === 'pass') return { kind, id: value.number, ...opening }
  return kind === 'event' ? { kind, seq: value.number, ...opening } : null
}

/** "17" or "4,17". */
function parseNumber(text: string): { number: number; opening: number | null } | null {
  const [first, second] = splitOnce(text, ',')
  const opening = text.includes(',') ? whole(first) : null
  const number = whole(text.includes(',') ? second : first)
  return number === null || (text.includes(',') && !opening) ? null : { number, opening }
}

/** As part of a place: the present opening is not named. */
export function inOpening(opening: number | null): { opening?: number } {
  return opening === null ? {} : { opening }
}

function parseHidden(text: string | null): EventGroup[] {
  if (text === null) return [...groupsHiddenAtFirst]
  const named = text.split(',')
  return eventGroups.filter((group) => named.includes(group))
}

function parseMoment(text: string): Moment | null {
  const [opening, at] = splitOnce(text, ',')
  const openingId = whole(opening)
  const seq = whole(at)
  return openingId === null || openingId === 0 || seq === null ? null : { openingId, seq }
}

function parseTime(text: string): Route['time'] {
  const [from, to] = splitOnce(text, ',')
  const fromMs = whole(from)
  const toMs = whole(to)
  return fromMs === null || toMs === null || toMs <= fromMs ? null : { fromMs, toMs }
}

/** The access token in a fragment, and the fragment without it. */
export function takeTokenFrom(hash: string): { token: string | null; rest: string } {
  const text = hash.replace(/^#/, '')
  const [path, query] = text.startsWith('/') ? splitOnce(text, '?') : ['', text]
  const params = new URLSearchParams(query)
  const token = params.get('token')
  if (token === null || token === '') return { token: null, rest: hash }
  params.delete('token')
  const left = params.toString()
  if (path === '') return { token, rest: left === '' ? '' : `#${left}` }
  return { token, rest: `#${path}${left === '' ? '' : `?${left}`}` }
}
