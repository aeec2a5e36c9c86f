import Contract
import Forms
import Store
import StoreAccess
import Wire

/// Opens a browser session: exchanges a key, or the token of a log-in link, for a session cookie. Scripts in the page
/// never see the session token, only its CSRF token.
package enum SessionOpening {
  private static let loginToken = Field.optional("loginToken", .text(1...200))
  private static let form = Form([.optional("key", .text(1...200)), loginToken])

  package static func handler(named name: String) -> Handler {
    Handler(
      Description(
        name: name, kind: .endpoint, summary: "Opens a browser session for a key or a log-in link",
        routes: [.init("POST", "/api/admin/session")], access: .admin, rateClass: "admin", bodyLimit: 1024,
        environment: AdminDatabase.settings + SessionFacts.settings, input: .init(form.schema),
        output: .init(SessionReply.schema, statuses: [201], headers: AdminEndpoint.uncached(Session.replyHeaders))
      ).ignoringCookies
    ) { settings throws(Problem) in
      let database = AdminDatabase(settings)
      let facts = SessionFacts(settings)
      return { request, log throws(Problem) in
        let token = Secret.token()
        var asked = request
        asked.headers["cookie"] = nil
        let body = Result { () throws(Problem) in try request.json() }
        let given = try? body.get()
        if let key = given?["key"]?.string {
          // A key in the body and one in a header make two keys, and a request with two keys is rejected.
          asked.headers["x-admin-api-key"] = asked.headers["x-admin-api-key"].map { "\($0),\(key)" } ?? key
        }
        let reading = { () throws(Problem) -> JSON in
          let body = try body.get()
          _ = try checking { () throws(FormError) in try form.check(body) }
          return ["token": .string(Secret.sha256(token))]
        }
        let login = (given?[loginToken.name]?.string).flatMap { $0.isEmpty ? nil : $0 }
        let session =
          if let login {
            try database.openSession(by: login, for: asked, log: log, reading: reading)
          } else { try database.call(.openSession, for: asked, log: log, reading: reading) }
        return Reply(
          status: 201, headers: ["content-type": "application/json", "cache-control": "no-store"],
          cookies: [Session.cookie(token, for: request)],
          body: facts.added(to: session.setting("csrfToken", .string(Secret.csrfToken(of: token)))).bytes)
      }
    }
  }
}
