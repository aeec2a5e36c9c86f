// DELETE /api/admin/session: ends the session that the cookie names, and deletes the cookie in the browser.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "session-close", kind: .endpoint, summary: "Ends a browser session",
    routes: [.init("DELETE", "/api/admin/session")], access: .admin, rateClass: "admin", bodyLimit: 1024,
    environment: AdminDatabase.settings, input: .init(["type": "object"]),
    output: .init(["type": "object"], statuses: [204], headers: AdminEndpoint.uncached(Session.replyHeaders)))
) { settings throws(Problem) in
  let database = AdminDatabase(settings)
  return { request, log throws(Problem) in
    _ = try database.call(.closeSession, for: request, log: log) { [:] }
    return Reply(
      status: 204, headers: ["cache-control": "no-store"], cookies: [Session.cookie(nil, for: request)], body: [])
  }
}
