// POST /api/admin/session: exchanges a key for a session cookie. Scripts in the page never see the session token, only
// its CSRF token.
import Admin
import Contract
import Forms
import Store
import StoreAccess
import Wire

let form = Form([.optional("key", .text(1...200))])

package let handler = Handler(
  Description(
    name: "session-open", kind: .endpoint, summary: "Opens a browser session for a key",
    routes: [.init("POST", "/api/admin/session")], access: .admin, rateClass: "admin", bodyLimit: 1024,
    environment: AdminDatabase.settings, input: .init(form.schema),
    output: .init(Session.schema, statuses: [201], headers: AdminEndpoint.uncached(Session.replyHeaders))
  ).ignoringCookies
) { settings throws(Problem) in
  let database = AdminDatabase(settings)
  return { request, log throws(Problem) in
    let token = Secret.token()
    var asked = request
    asked.headers["cookie"] = nil
    if let key = try? request.json()["key"]?.string {
      // A key in the body and one in a header make two keys, and a request with two keys is rejected.
      asked.headers["x-admin-api-key"] = asked.headers["x-admin-api-key"].map { "\($0),\(key)" } ?? key
    }
    let session = try database.call(.openSession, for: asked, log: log) { () throws(Problem) in
      let body = try request.json()
      _ = try checking { () throws(FormError) in try form.check(body) }
      return ["token": .string(Secret.sha256(token))]
    }
    return Reply(
      status: 201, headers: ["content-type": "application/json", "cache-control": "no-store"],
      cookies: [Session.cookie(token, for: request)],
      body: session.setting("csrfToken", .string(Secret.csrfToken(of: token))).bytes)
  }
}
