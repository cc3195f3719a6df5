/**
 * The part of the wire contract about control: who may do what, actions in two steps, the audit
 * list, opening and closing stores. Types only; `protocol.ts` hands them on.
 */
import type {
  MaintenanceOptions,
  Pin,
  Profile,
  SchedulerMode,
  SegmentId,
  VacuumPlan,
} from '../engine/types.ts'
import type { ActionName, Actions, ErrorCode, StoreInfo, StoreMode } from './protocol.ts'

// ---------------------------------------------------------------- who may do what

/** viewer: sees everything, changes nothing. operator: may act, unless the server is read-only. */
export type Role = 'viewer' | 'operator'

export interface ActionRule {
  role: Role
  /** Which stores take it. */
  stores: StoreMode | 'any'
  /** Changes a store or costs it work: refused with READ_ONLY by a server that is read-only. */
  changes: boolean
  /** Refused with PLAN_REQUIRED unless it comes as a plan that is applied. */
  planned: boolean
}

/** GET {API_BASE}/session: the page draws its controls from this and the server judges all the same. */
export interface SessionBody {
  role: Role
  readOnly: boolean
  version: string
  actions: Record<ActionName, ActionRule>
  /** Folders below which stores may be opened, absolute and without links; empty = none. */
  allowRoots: string[]
  /** The server's wall clock: what plans expire by. */
  nowMs: number
  limits: { stores: number; planTtlMs: number; frameIntervalMs: number; eventsHeld: number }
}

// ---------------------------------------------------------------- plans (two-step actions)

/** Actions that can be planned; those with `planned` in their rule must be. */
export type PlannedAction = 'gc' | 'rewrite' | 'release-pin' | 'vacuum'

/** POST {API_BASE}/stores/:storeId/plans -> { plan }. A dry run that is kept; changes nothing. */
export type PlanRequest =
  | { action: 'gc'; body: Record<string, never> }
  | { action: 'rewrite'; body: Actions['rewrite']['body'] }
  | { action: 'release-pin'; body: Actions['release-pin']['body'] }
  | { action: 'vacuum'; body: Record<string, never> }

export interface StoredPlan {
  planId: string
  storeId: string
  request: PlanRequest
  /**
   * SHA-256, hex, over everything the effect was computed from; of a vacuum, whose counts move with every
   * checkpoint, over whether it moves and frees anything.
   */
  inputHash: string
  /** Server's wall clock. */
  createdAtMs: number
  expiresAtMs: number
  status: 'open' | 'applied' | 'refused' | 'discarded' | 'expired'
  effect: PlanEffect
  /** What applying has to repeat word by word. */
  confirm: PlanConfirmation
  /** Grows with what is at stake: plain = one click; typed = the person writes the number of segments. */
  weight: 'plain' | 'typed'
  /** One sentence for a person: what will be read, written and deleted. */
  sentence: string
}

export interface PlanEffect {
  segments: {
    segmentId: SegmentId
    /** kept: asked for and left alone, being dead already: a rewrite finds nothing in it, GC deletes it. */
    fate: 'rewritten' | 'deleted' | 'kept'
    bytesTotal: number
    bytesLive: number
    bytesStale: number
  }[]
  /** Record bytes that will be read and written again: at most this many, live bytes only fall. Of a vacuum its pages, about. */
  bytesCopied: number
  /** Files of deleted segments, and of rewritten ones once nothing keeps them; of a vacuum the end of index.db. */
  bytesFreed: number
  /** The part of them that is free as soon as the action is done; the rest waits for the readers of `waitsFor`. */
  bytesFreedNow: number
  /** Readers that keep what is not freed at once, in the order they were opened; none when all of it is. */
  waitsFor: Pick<Pin, 'pinId' | 'kind' | 'label'>[]
  /** Freed bytes, once nothing waits, less the copies; those of a vacuum take places that are free already. */
  bytesGained: number
  /** null unless the index is vacuumed. */
  index: VacuumPlan | null
  /** Files go for good. */
  irreversible: boolean
}

export interface PlanConfirmation {
  /** Segments that are rewritten or deleted; 0 of a vacuum. */
  segments: number
  /** Their whole files; of a vacuum what it frees. */
  bytes: number
}

/** GET {API_BASE}/stores/:storeId/plans, newest first; POST .../plans; DELETE .../plans/:planId */
export interface PlansBody {
  plans: StoredPlan[]
}
export interface PlanBody {
  plan: StoredPlan
}

/** POST {API_BASE}/stores/:storeId/plans/:planId/apply */
export interface ApplyPlanBody {
  confirm: PlanConfirmation
}
export type AppliedPlan =
  | { plan: StoredPlan; action: 'gc'; answer: Actions['gc']['answer'] }
  | { plan: StoredPlan; action: 'rewrite'; answer: Actions['rewrite']['answer'] }
  | { plan: StoredPlan; action: 'release-pin'; answer: Actions['release-pin']['answer'] }
  | { plan: StoredPlan; action: 'vacuum'; answer: Actions['vacuum']['answer'] }

// ---------------------------------------------------------------- audit

/** One thing somebody asked for that changes, costs or was refused. Reading is not listed. */
export interface AuditEntry {
  /** Rising, gap-free since the start of the server. */
  auditId: number
  /** Server's wall clock. */
  atMs: number
  /** null: no valid token. */
  role: Role | null
  /** Address of the peer. */
  peer: string
  channel: 'rest' | 'live'
  /** `POST /stores/:storeId/actions/gc`, or the type of a live message. */
  what: string
  storeId: string | null
  outcome: 'done' | 'refused' | 'failed'
  /** null when done. */
  code: ErrorCode | null
  /** What was asked for in short, or why it was refused. */
  text: string
  /** What came of it in short: passes, segments, bytes. Empty when it was refused, or there is nothing to say. */
  result: string
  elapsedMs: number
  /** Equal refusals close to each other are one entry; the last of them was at `lastAtMs`. */
  repeats: number
  lastAtMs: number
}

/** GET {API_BASE}/audit?after=<auditId>&limit=<n>, oldest first. */
export interface AuditBody {
  entries: AuditEntry[]
  /** Entries before it are gone. */
  oldestId: number
  newestId: number
}

// ---------------------------------------------------------------- opening stores

/** GET {API_BASE}/stores -> { stores } */
export interface StoresBody {
  stores: StoreInfo[]
}

/** POST {API_BASE}/stores -> { store }: answers when the folder is open or has failed to open. */
export interface OpenStoreBody {
  /** Absolute, below an allowed root. */
  dir: string
  mode: StoreMode
  /** Make a new store when the folder is absent or empty; hosted only. */
  create?: boolean
  profile?: Profile
  scheduler?: SchedulerMode
  maintenance?: Partial<MaintenanceOptions>
}
/** Also of POST .../stores/:storeId/reopen (with the options of before) and DELETE .../stores/:storeId. */
export interface StoreBody {
  store: StoreInfo
}

/** GET {API_BASE}/folders?dir=<absolute>: what can be opened; without `dir` the allowed roots. */
export interface FoldersBody {
  /** null for the list of roots. */
  dir: string | null
  /** Where going up leads; null at a root. */
  parent: string | null
  folders: {
    dir: string
    name: string
    /** Has maindb/ or an index, also one that an offline rewrite was swapping. */
    dataFolder: boolean
    /** The store that has it open. */
    storeId: string | null
  }[]
  /** More than the limit were there. */
  truncated: boolean
}
