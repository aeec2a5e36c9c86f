// GET /api/admin/session: the caller's name, its rights and when the session expires. A reloaded page gets its CSRF
// token here.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "session-show", kind: .endpoint, summary: "Returns the caller's name and rights",
    routes: [.init("GET", "/api/admin/session")], access: .admin, rateClass: "admin", bodyLimit: 1024,
    environment: AdminDatabase.settings, input: .init(["type": "object"]),
    output: .init(Session.schema, headers: AdminEndpoint.uncached()))
) { settings throws(Problem) in
  let database = AdminDatabase(settings)
  return { request, log throws(Problem) in
    Reply(try database.caller(of: request, log: log), headers: ["cache-control": "no-store"])
  }
}
