/**
 * What a planned action would do, computed from the engine's own facts, with a hash of everything the
 * promise rests on: which segments, how large, in which state, who keeps them. Live bytes are not in
 * it: they fall with every overwrite, and a plan that promises "at most" stays true.
 */
import { createHash } from 'node:crypto'
import * as path from 'node:path'
import type { Engine } from '../engine-door.ts'
import type {
  Pin,
  PlanEffect,
  PlanRequest,
  SegmentId,
  SegmentInfo,
  VacuumPlan,
} from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import type { HostedParts } from './hosted-handlers.ts'
import type { PlanDraft, Requests } from './worker-contract.ts'

/** From here on a person has to write the number instead of pressing a button. */
const TYPED_SEGMENTS = 10
const TYPED_BYTES = 1024 ** 3

type Fate = PlanEffect['segments'][number]['fate']
type Applied = Requests['apply-plan']['answer']

export async function draftPlan(engine: Engine, request: PlanRequest): Promise<PlanDraft> {
  switch (request.action) {
    case 'gc': {
      const { eligible } = await engine.maintenance.gc({ dryRun: true })
      return draft(request, segmentsOf(engine, eligible), { fate: 'deleted' })
    }
    case 'rewrite': {
      const segments = segmentsOf(engine, request.body.segmentIds)
      if (segments.length < new Set(request.body.segmentIds).size) {
        const known = new Set(segments.map((segment) => segment.segmentId))
        const missing = request.body.segmentIds.filter((id) => !known.has(id))
        throw new Refusal('ENGINE_SEGMENT_MISSING', `no segments ${missing.join(', ')}`)
      }
      const dead = segments.filter((segment) => !isRewritable(segment))
      if (dead.length === segments.length) {
        throw new Refusal(
          'ENGINE_REWRITE_REFUSED',
          `nothing live is in ${dead.map(({ file }) => path.basename(file, '.log')).join(', ')}: GC deletes what nothing keeps, a rewrite would copy nothing`,
        )
      }
      return draft(request, segments.filter(isRewritable), {
        fate: 'rewritten',
        dead,
        // A reader that is open now still finds its values in the files that were copied.
        readers: engine.state().pins,
      })
    }
    case 'release-pin': {
      const { pinId } = request.body
      const { pins, segments } = engine.state()
      if (!pins.some((pin) => pin.pinId === pinId)) {
        throw new Refusal('NOT_FOUND', `there is no pin ${pinId}`)
      }
      return draft(
        request,
        segments.filter((segment) => isKeptOnlyBy(segment, pinId)),
        { fate: 'deleted' },
      )
    }
    case 'vacuum':
      return vacuumDraft(request, engine.maintenance.planVacuum(), engine.state().pins)
  }
}

/** A store in use frees and takes pages with every checkpoint: so much more to copy is the same plan. */
const VACUUM_SLACK_RATIO = 0.25
const VACUUM_SLACK_BYTES = 1024 * 1024

function vacuumDraft(request: PlanRequest, index: VacuumPlan, pins: readonly Pin[]): PlanDraft {
  const bytesFreed = index.bytesBefore - index.bytesAfter
  const input = [request, index.moves, bytesFreed > 0]
  return {
    inputHash: createHash('sha256').update(JSON.stringify(input)).digest('hex'),
    effect: {
      segments: [],
      bytesCopied: index.bytesMoved,
      bytesFreed,
      bytesFreedNow: index.readers === 0 ? bytesFreed : 0,
      waitsFor: bytesFreed === 0 ? [] : pins.map(readerOf),
      bytesGained: bytesFreed,
      index,
      irreversible: false,
    },
    confirm: { segments: 0, bytes: bytesFreed },
    // However large: nothing is lost by it, and it can be cancelled.
    weight: 'plain',
    sentence: vacuumSentence(index, bytesFreed),
  }
}

function vacuumSentence({ bytesMoved, readers }: VacuumPlan, bytesFreed: number): string {
  if (bytesFreed === 0) return 'index.db has no space to give back'
  const copies = bytesMoved === 0 ? 'no page' : `about ${bytesMoved} bytes of pages`
  const waits =
    readers === 0
      ? ''
      : `, but not before ${readers === 1 ? 'the open reader ends' : `the ${readers} open readers end`}`
  return `${copies} of index.db would be copied to its front, and ${bytesFreed} bytes of the file given back${waits}`
}

function mayCopy({ action }: PlanRequest, bytesCopiedMax: number): number {
  if (action !== 'vacuum') return bytesCopiedMax
  return bytesCopiedMax * (1 + VACUUM_SLACK_RATIO) + VACUUM_SLACK_BYTES
}

/** Runs exactly what `inputHash` stands for; PLAN_CHANGED otherwise, and nothing was done. */
export async function applyPlan(
  parts: Pick<HostedParts, 'engine' | 'held'>,
  { request, inputHash, bytesCopiedMax }: Requests['apply-plan']['body'],
): Promise<Applied> {
  const { engine, held } = parts
  const { maintenance } = engine
  const now = await draftPlan(engine, request)
  const copies = now.effect.bytesCopied
  if (now.inputHash !== inputHash || copies > mayCopy(request, bytesCopiedMax)) {
    throw new Refusal(
      'PLAN_CHANGED',
      `the store has changed since the plan was made: now ${now.sentence}`,
    )
  }
  // Each branch begins its work in this turn: nothing changes between the check and the act.
  switch (request.action) {
    case 'gc':
      return { action: 'gc', answer: { gc: await maintenance.gc({ dryRun: false }) } }
    case 'rewrite': {
      const rewritten = now.effect.segments.filter(({ fate }) => fate === 'rewritten')
      const pass = await maintenance.rewrite(rewritten.map(({ segmentId }) => segmentId))
      return { action: 'rewrite', answer: { pass } }
    }
    case 'release-pin': {
      const { pinId } = request.body
      const reader = held.get(pinId)
      if (reader === undefined) throw new Refusal('NOT_FOUND', `pin ${pinId} is not held here`)
      held.delete(pinId)
      return { action: 'release-pin', answer: { deleted: await reader.release() } }
    }
    case 'vacuum':
      return { action: 'vacuum', answer: { vacuum: await maintenance.vacuum() } }
  }
}

function segmentsOf(engine: Engine, ids: readonly SegmentId[]): SegmentInfo[] {
  const wanted = new Set(ids)
  return engine.state().segments.filter((segment) => wanted.has(segment.segmentId))
}

function isKeptOnlyBy({ state, keptBy }: SegmentInfo, pinId: number): boolean {
  return (
    state === 'zombie' &&
    keptBy.length > 0 &&
    keptBy.every((keeper) => 'pinId' in keeper && keeper.pinId === pinId)
  )
}

/** A dead one has nothing to copy; it goes with GC, once nothing keeps it. */
function isRewritable({ state }: SegmentInfo): boolean {
  return state !== 'zombie'
}

const readerOf = ({ pinId, kind, label }: Pin): PlanEffect['waitsFor'][number] => ({
  pinId,
  kind,
  label,
})

interface DraftParts {
  fate: Exclude<Fate, 'kept'>
  /** Asked for and left alone. */
  dead?: readonly SegmentInfo[]
  /** Keep the files of `segments` after the action. */
  readers?: readonly Pin[]
}

function draft(
  request: PlanRequest,
  segments: SegmentInfo[],
  { fate, dead = [], readers = [] }: DraftParts,
): PlanDraft {
  const input = segments.map(({ segmentId, bytesTotal, state, keptBy }) => [
    segmentId,
    bytesTotal,
    state,
    keptBy.map((keeper) => ('pinId' in keeper ? `${keeper.kind} ${keeper.pinId}` : keeper.kind)),
  ])
  const hash = createHash('sha256').update(
    JSON.stringify([request, input, dead.length, readers.length > 0]),
  )
  const bytes = segments.reduce((sum, segment) => sum + segment.bytesTotal, 0)
  const live = segments.reduce((sum, segment) => sum + segment.bytesLive, 0)
  const bytesCopied = fate === 'rewritten' ? live : 0
  const confirm = { segments: segments.length, bytes }
  const typed = confirm.segments >= TYPED_SEGMENTS || bytes >= TYPED_BYTES
  return {
    inputHash: hash.digest('hex'),
    effect: {
      segments: [
        ...segments.map((segment) => touched(segment, fate)),
        ...dead.map((segment) => touched(segment, 'kept')),
      ],
      bytesCopied,
      bytesFreed: bytes,
      bytesFreedNow: readers.length === 0 ? bytes : 0,
      waitsFor: readers.map(readerOf),
      bytesGained: bytes - bytesCopied,
      index: null,
      irreversible: segments.length > 0,
    },
    confirm,
    weight: typed ? 'typed' : 'plain',
    sentence: `${sentenceOf(fate, confirm, { bytesCopied, readers })}${deadText(dead.length)}`,
  }
}

function touched(
  { segmentId, bytesTotal, bytesLive, bytesStale }: SegmentInfo,
  fate: Fate,
): PlanEffect['segments'][number] {
  return { segmentId, fate, bytesTotal, bytesLive, bytesStale }
}

function deadText(dead: number): string {
  if (dead === 0) return ''
  return dead === 1
    ? '; 1 is dead already and left to GC'
    : `; ${dead} are dead already and left to GC`
}

function sentenceOf(
  fate: Fate,
  { segments, bytes }: PlanDraft['confirm'],
  { bytesCopied, readers }: { bytesCopied: number; readers: readonly Pin[] },
): string {
  const files = `${segments} ${segments === 1 ? 'segment' : 'segments'} of ${bytes} bytes`
  if (segments === 0) return 'no segment would be touched'
  if (fate === 'deleted') return `${files} would be deleted for good; nothing live is in them`
  const copied = `at most ${bytesCopied} live bytes of ${files} would be copied`
  if (readers.length === 0) return `${copied}, and the files deleted`
  return `${copied}; the files stay until ${readersText(readers)}`
}

/** "snapshot backup (pin 3) and 2 more readers end". */
function readersText([first, ...more]: readonly Pin[]): string {
  if (first === undefined) return 'nothing keeps them'
  const name = `${first.kind} ${first.label} (pin ${first.pinId})`
  if (more.length === 0) return `${name} ends`
  return `${name} and ${more.length} more ${more.length === 1 ? 'reader' : 'readers'} end`
}
