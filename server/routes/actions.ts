/** POST actions: one route a name of `Actions`, made from the tables of their schemas and rules. */
import { ACTION_RULES, mustPlan } from '../action-rules.ts'
import { answersAction } from '../answers.ts'
import type { App } from '../app.ts'
import { API_BASE, type ActionName } from '../protocol.ts'
import { actionBodySchemas, storeParamsSchema } from '../schemas.ts'
import type { Stores } from '../stores.ts'

export function registerActionRoutes(app: App, stores: Stores): void {
  for (const name of Object.keys(actionBodySchemas) as ActionName[]) {
    const { role, changes } = ACTION_RULES[name]
    app.post(
      `${API_BASE}/stores/:storeId/actions/${name}`,
      {
        config: { access: role, changes, audited: role === 'operator' },
        schema: {
          summary: name,
          tags: ['actions'],
          params: storeParamsSchema,
          body: actionBodySchemas[name],
          response: answersAction(name),
        },
      },
      (request) => {
        mustPlan(name, request.body)
        // The route's schema has checked that the body belongs to this name.
        return stores.client(request.params.storeId).request(name, request.body)
      },
    )
  }
}
