/**
 * What each route answers, as types of the wire contract. `answer-schemas.ts` is made from this file by a
 * test, so the description of the API follows the contract by itself. The schemas describe and do not
 * serialise: answers are the JSON of what a handler returned, whatever a schema says.
 */
import { Type, type TUnsafe } from 'typebox'
import { ANSWER_SCHEMAS } from './answer-schemas.ts'
import type {
  ActionName,
  Actions,
  AppliedPlan,
  AuditBody,
  ErrorBody,
  EventsBody,
  FeedBody,
  FoldersBody,
  HistoryBody,
  HistoryEventsBody,
  HistoryLatencyBody,
  HistoryPassBody,
  HistoryPassesBody,
  HistoryStateBody,
  KeyBody,
  MaintenancePreview,
  PassesBody,
  PlanBody,
  PlansBody,
  SessionBody,
  StatsBody,
  StoreBody,
  StoresBody,
  StoreSnapshot,
} from './protocol.ts'

/** GET /healthz */
export interface HealthBody {
  status: 'ok'
}

/** GET /readyz; with status 503 unless `ready`. */
export interface ReadyBody {
  status: 'ready' | 'opening' | 'stopping'
  /** Counted by their status. */
  stores: { open: number; opening: number; failed: number }
}

/** Roots of the schemas: one entry a body, and one an action. */
export interface Answers {
  SessionBody: SessionBody
  AuditBody: AuditBody
  FoldersBody: FoldersBody
  StoresBody: StoresBody
  StoreBody: StoreBody
  StoreSnapshot: StoreSnapshot
  EventsBody: EventsBody
  FeedBody: FeedBody
  StatsBody: StatsBody
  PassesBody: PassesBody
  MaintenancePreview: MaintenancePreview
  HistoryBody: HistoryBody
  HistoryPassesBody: HistoryPassesBody
  HistoryPassBody: HistoryPassBody
  HistoryEventsBody: HistoryEventsBody
  HistoryLatencyBody: HistoryLatencyBody
  HistoryStateBody: HistoryStateBody
  PlansBody: PlansBody
  PlanBody: PlanBody
  AppliedPlan: AppliedPlan
  KeyBody: KeyBody
  BatchAnswer: Record<string, never>
  HealthBody: HealthBody
  ReadyBody: ReadyBody
  ErrorBody: ErrorBody
  actions: { [Name in ActionName]: Actions[Name]['answer'] }
}

type BodyName = Exclude<keyof Answers, 'actions'>

/** Where the description of the API keeps the schema of this name. */
export function schemaRef(name: string): string {
  return `#/components/schemas/${name}`
}

/** OpenAPI wants a sentence beside each status. */
const DONE = 'Done'

/** Of an answer that a handler returns as a value. */
function bodySchema<Name extends BodyName>(name: Name): TUnsafe<Answers[Name]> {
  return Type.Unsafe<Answers[Name]>({ description: DONE, $ref: schemaRef(name) })
}

const refused = { description: 'Refused, or failed', ...Type.Ref(schemaRef('ErrorBody')) }
export const errorAnswers = { '4xx': refused, '5xx': refused } as const

/** `response` of a route's schema. */
export function answers<Name extends BodyName>(
  name: Name,
): { 200: TUnsafe<Answers[Name]> } & typeof errorAnswers {
  return { 200: bodySchema(name), ...errorAnswers }
}

/** The same of a body that is sent as text or bytes: a worker, or the feed, has serialised it. */
export function answersText(
  name: BodyName,
): { 200: TUnsafe<string | Buffer> } & typeof errorAnswers {
  return {
    200: Type.Unsafe<string | Buffer>({ description: DONE, $ref: schemaRef(name) }),
    ...errorAnswers,
  }
}

/** What is no JSON. */
export function answersType(type: string, description: string) {
  const content = { [type]: { schema: Type.String() } }
  return { 200: { description, content }, ...errorAnswers } as const
}

export function answersAction(name: ActionName): { 200: TUnsafe } & typeof errorAnswers {
  return {
    200: Type.Unsafe<unknown>({ description: DONE, $ref: schemaRef(`actions.${name}`) }),
    ...errorAnswers,
  }
}

/** All schemas by name, as the description of the API has them under components. */
export function answerSchemas(): Record<string, object> {
  const entries = Object.entries(ANSWER_SCHEMAS)
  return Object.fromEntries(entries.map(([name, json]) => [name, JSON.parse(json) as object]))
}
