/** Who is asking, what may be opened, what was done: session, stores, folders, plans, audit. */
import { answers } from '../answers.ts'
import type { App } from '../app.ts'
import { ACTION_RULES } from '../action-rules.ts'
import type { Audit } from '../audit.ts'
import { PLAN_TTL_MS, type Plans } from '../plans.ts'
import {
  API_BASE,
  type AppliedPlan,
  type AuditBody,
  type FoldersBody,
  type PlanBody,
  type PlansBody,
  type SessionBody,
  type StoreBody,
} from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import {
  applyPlanBodySchema,
  AUDIT_LIMIT_MAX,
  foldersQuerySchema,
  openStoreBodySchema,
  pageQuerySchema,
  planParamsSchema,
  planRequestSchema,
  storeParamsSchema,
} from '../schemas.ts'
import type { Stores } from '../stores.ts'

export interface ControlParts {
  stores: Stores
  plans: Plans
  audit: Audit
  readOnly: boolean
  version: string
  /** Of the feed, for clients that show how much can be resumed. */
  eventsHeld: number
  frameIntervalMs: number
}

const viewer = { access: 'viewer' } as const
const acts = { access: 'operator', changes: true } as const

export function registerSessionRoutes(app: App, parts: ControlParts): void {
  const { stores, audit, readOnly, version, eventsHeld, frameIntervalMs } = parts
  app.get(
    `${API_BASE}/session`,
    {
      config: viewer,
      schema: {
        summary: 'Role, rules of the actions, limits',
        tags: ['session'],
        response: answers('SessionBody'),
      },
    },
    (request): SessionBody => ({
      role: request.role ?? 'viewer',
      readOnly,
      version,
      actions: ACTION_RULES,
      allowRoots: [...stores.roots.roots],
      nowMs: Date.now(),
      limits: { stores: stores.storesMax, planTtlMs: PLAN_TTL_MS, frameIntervalMs, eventsHeld },
    }),
  )

  app.get(
    `${API_BASE}/audit`,
    {
      config: viewer,
      schema: {
        summary: 'What was done and refused',
        tags: ['session'],
        querystring: pageQuerySchema,
        response: answers('AuditBody'),
      },
    },
    (request): AuditBody => {
      const { after = 0, limit = AUDIT_LIMIT_MAX } = request.query
      return audit.body(after, limit)
    },
  )

  app.get(
    `${API_BASE}/folders`,
    {
      // Names of folders are nobody's business who may not open them.
      config: { access: 'operator' },
      schema: {
        summary: 'Folders below the allowed roots',
        tags: ['stores'],
        querystring: foldersQuerySchema,
        response: answers('FoldersBody'),
      },
    },
    (request): FoldersBody => {
      const { dir } = request.query
      const { roots } = stores
      const listed =
        dir === undefined
          ? { folders: roots.rootEntries(), parent: null, truncated: false }
          : roots.list(dir)
      return {
        dir: dir === undefined ? null : roots.resolve(dir),
        parent: listed.parent,
        folders: listed.folders.map((folder) => ({
          ...folder,
          storeId: stores.holderOf(folder.dir) ?? null,
        })),
        truncated: listed.truncated,
      }
    },
  )
}

export function registerOpeningRoutes(app: App, { stores, readOnly }: ControlParts): void {
  const store = `${API_BASE}/stores/:storeId`
  // Not `changes`: attaching is what a read-only server is for. Hosting is refused below.
  const opens = { access: 'operator', audited: true } as const
  app.post(
    `${API_BASE}/stores`,
    {
      config: opens,
      schema: {
        summary: 'Open a folder below an allowed root',
        tags: ['stores'],
        body: openStoreBodySchema,
        response: answers('StoreBody'),
      },
    },
    async (request): Promise<StoreBody> => {
      if (readOnly && request.body.mode === 'hosted') {
        throw new Refusal('READ_ONLY', 'this server is read-only; it attaches and hosts nothing')
      }
      return { store: await stores.openFolder(request.body) }
    },
  )
  app.delete(
    store,
    {
      config: opens,
      schema: {
        summary: 'Close a store',
        tags: ['stores'],
        params: storeParamsSchema,
        response: answers('StoreBody'),
      },
    },
    async (request): Promise<StoreBody> => ({
      store: await stores.closeStore(request.params.storeId),
    }),
  )
  app.post(
    `${store}/reopen`,
    {
      config: opens,
      schema: {
        summary: 'Open a failed store again',
        tags: ['stores'],
        params: storeParamsSchema,
        response: answers('StoreBody'),
      },
    },
    async (request): Promise<StoreBody> => ({ store: await stores.reopen(request.params.storeId) }),
  )
}

export function registerPlanRoutes(app: App, { stores, plans }: ControlParts): void {
  const base = `${API_BASE}/stores/:storeId/plans`
  app.get(
    base,
    {
      config: viewer,
      schema: {
        summary: 'Stored plans, newest first',
        tags: ['plans'],
        params: storeParamsSchema,
        response: answers('PlansBody'),
      },
    },
    (request): PlansBody => {
      const { storeId } = request.params
      stores.client(storeId)
      return { plans: plans.list(storeId) }
    },
  )
  app.post(
    base,
    {
      config: acts,
      schema: {
        summary: 'Dry run of an action, kept to be applied',
        tags: ['plans'],
        params: storeParamsSchema,
        body: planRequestSchema,
        response: answers('PlanBody'),
      },
    },
    async (request): Promise<PlanBody> => ({
      plan: await plans.make(stores.client(request.params.storeId), request.body),
    }),
  )
  app.post(
    `${base}/:planId/apply`,
    {
      config: acts,
      schema: {
        summary: 'Run exactly this plan, or be refused because its input changed',
        tags: ['plans'],
        params: planParamsSchema,
        body: applyPlanBodySchema,
        response: answers('AppliedPlan'),
      },
    },
    (request): Promise<AppliedPlan> => {
      const { storeId, planId } = request.params
      return plans.apply(stores.client(storeId), planId, request.body.confirm)
    },
  )
  app.delete(
    `${base}/:planId`,
    {
      config: acts,
      schema: {
        summary: 'Discard a plan',
        tags: ['plans'],
        params: planParamsSchema,
        response: answers('PlanBody'),
      },
    },
    (request): PlanBody => {
      const { storeId, planId } = request.params
      return { plan: plans.discard(storeId, planId) }
    },
  )
}
