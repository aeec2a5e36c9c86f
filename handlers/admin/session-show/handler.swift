// GET /api/admin/session: the caller's name, rights and agent, when the session expires, and what this server offers. A
// reloaded page gets its CSRF token here.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "session-show", kind: .endpoint, summary: "Returns the caller's name and rights",
    routes: [.init("GET", "/api/admin/session")], access: .admin, rateClass: "admin", bodyLimit: 1024,
    environment: AdminDatabase.settings + SessionFacts.settings, input: .init(["type": "object"]),
    output: .init(SessionReply.schema, headers: AdminEndpoint.uncached(untransformed: true)))
) { settings throws(Problem) in
  let database = AdminDatabase(settings)
  let facts = SessionFacts(settings)
  return { request, log throws(Problem) in
    // The CSRF token must not be compressed: see ReplyCompression of the gateway.
    let headers = ["cache-control": "no-store, no-transform"]
    return Reply(facts.added(to: try database.caller(of: request, log: log)), headers: headers)
  }
}
