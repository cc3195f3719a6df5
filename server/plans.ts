/**
 * Plans: dry runs that are kept until they are applied, discarded or too old. The store computes what
 * a plan would do and a hash of what that rests on; applying sends the hash back, and the store runs
 * exactly that or refuses with PLAN_CHANGED.
 */
import { randomBytes } from 'node:crypto'
import type { AppliedPlan, PlanConfirmation, PlanRequest, StoredPlan } from './protocol.ts'
import { Refusal } from './refusal.ts'
import type { StoreClient } from './store/store-client.ts'

export const PLAN_TTL_MS = 2 * 60_000
const PLANS_MAX = 200

export class Plans {
  /** Oldest first. */
  readonly #plans = new Map<string, StoredPlan>()
  readonly #ttlMs: number
  readonly #nowMs: () => number

  constructor(ttlMs = PLAN_TTL_MS, nowMs: () => number = Date.now) {
    this.#ttlMs = ttlMs
    this.#nowMs = nowMs
  }

  async make(store: StoreClient, request: PlanRequest): Promise<StoredPlan> {
    const draft = await store.request('draft-plan', { request })
    const createdAtMs = this.#nowMs()
    const plan: StoredPlan = {
      planId: randomBytes(9).toString('base64url'),
      storeId: store.place.storeId,
      request,
      createdAtMs,
      expiresAtMs: createdAtMs + this.#ttlMs,
      status: 'open',
      ...draft,
    }
    this.#plans.set(plan.planId, plan)
    const [oldest] = this.#plans.keys()
    if (this.#plans.size > PLANS_MAX && oldest !== undefined) this.#plans.delete(oldest)
    return plan
  }

  /** Newest first. */
  list(storeId: string): StoredPlan[] {
    for (const plan of this.#plans.values()) this.#expire(plan)
    return [...this.#plans.values()].filter((plan) => plan.storeId === storeId).reverse()
  }

  discard(storeId: string, planId: string): StoredPlan {
    const plan = this.#open(storeId, planId)
    plan.status = 'discarded'
    return plan
  }

  async apply(store: StoreClient, planId: string, confirm: PlanConfirmation): Promise<AppliedPlan> {
    const plan = this.#open(store.place.storeId, planId)
    const { segments, bytes } = plan.confirm
    if (confirm.segments !== segments || confirm.bytes !== bytes) {
      throw new Refusal(
        'PLAN_NOT_CONFIRMED',
        `the plan is about ${segments} segments and ${bytes} bytes; confirmed were ${confirm.segments} and ${confirm.bytes}`,
        { details: { confirm: plan.confirm } },
      )
    }
    // Before the wait: a plan is applied once, however often it is asked for.
    plan.status = 'applied'
    try {
      const { request, inputHash, effect } = plan
      const bytesCopiedMax = effect.bytesCopied
      const applied = await store.request('apply-plan', { request, inputHash, bytesCopiedMax })
      return { plan, ...applied }
    } catch (error) {
      plan.status = 'refused'
      throw error
    }
  }

  #open(storeId: string, planId: string): StoredPlan {
    const plan = this.#plans.get(planId)
    if (plan?.storeId !== storeId) {
      throw new Refusal('NOT_FOUND', `no plan ${planId}; old ones are forgotten`)
    }
    this.#expire(plan)
    if (plan.status === 'open') return plan
    if (plan.status === 'expired') {
      throw new Refusal('PLAN_EXPIRED', `plan ${planId} expired; make it again`)
    }
    throw new Refusal('CONFLICT', `plan ${planId} is ${plan.status} already`)
  }

  #expire(plan: StoredPlan): void {
    if (plan.status === 'open' && plan.expiresAtMs <= this.#nowMs()) plan.status = 'expired'
  }
}
