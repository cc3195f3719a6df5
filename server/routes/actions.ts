/** POST actions: one route a name of `Actions`, made from the table of body schemas. */
import type { App } from '../app.ts'
import { API_BASE, type ActionName } from '../protocol.ts'
import { actionBodySchemas, storeParamsSchema } from '../schemas.ts'
import type { Stores } from '../stores.ts'

export function registerActionRoutes(app: App, stores: Stores): void {
  for (const name of Object.keys(actionBodySchemas) as ActionName[]) {
    app.post(
      `${API_BASE}/stores/:storeId/actions/${name}`,
      { schema: { params: storeParamsSchema, body: actionBodySchemas[name] } },
      (request) =>
        // The route's schema has checked that the body belongs to this name.
        stores.client(request.params.storeId).request(name, request.body),
    )
  }
}
