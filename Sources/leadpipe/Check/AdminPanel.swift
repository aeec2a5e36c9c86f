import Store
import Transports
import Wire

extension CheckGroup {
  /// What the team sees of the test lead.
  static let adminPanel = CheckGroup(
    title: "Admin panel", items: [page, login, live, timelineTab, slaAlert])

  private static let page = CheckItem(
    "admin.panel", "the panel's page loads", doing: "requests /admin", needs: ["interfaces.health"]
  ) { run in
    if run.environment["PANEL"] == "off" { return .skipped("PANEL=off: the panel is served from elsewhere") }
    let reply = run.send("GET", "/admin", limit: 262_144)
    run.replies["/admin"] = reply
    let isPage = reply.status == 200 && reply.header("content-type")?.hasPrefix("text/html") == true
    return isPage
      ? .passed("200, \(reply.body.count) bytes")
      : .failed(
        "/admin: \(describe(reply))",
        fix:
          "start the gateway without PANEL=off; set PANEL_DIR to the folder of the panel's files, or unset it; a proxy in "
          + "front must pass /admin on")
  }

  private static let login = CheckItem(
    "admin.login", "an admin can log in", doing: "opens a session with the admin key",
    needs: ["interfaces.health", "before.admin-key"]
  ) { run in
    run.openSession()
    guard let reply = run.replies[CheckRun.sessionPath] else { return .skipped("no admin key in the settings") }
    guard let session = run.session else {
      return .failed(
        describe(reply),
        fix:
          "start the gateway with the ADMIN_API_KEY of this shell, and the class admin with a login that may read keys")
    }
    let shown = run.send("GET", CheckRun.sessionPath, headers: session.headers)
    return shown.status == 200
      ? .passed("logged in as \(shown.document?["name"]?.string ?? "")")
      : .failed("the session's cookie is refused: \(describe(shown))", fix: "a proxy in front must pass cookies on")
  }

  private static let live = CheckItem(
    "admin.live", "new leads appear at once", doing: "reads the test lead from the stream /api/admin/live",
    needs: ["after.capture", "admin.login"]
  ) { run in
    guard let session = run.session, let cursor = run.liveCursor else {
      return .failed(
        "the stream did not begin",
        fix:
          "a proxy in front must not buffer /api/admin/live: proxy_buffering off, and no limit on its time below 60 s")
    }
    let id = Array(run.testLead.id.text.utf8)
    let reply = run.send(
      "GET", "/api/admin/live", headers: session.headers + ["Last-Event-ID: \(cursor)"], seconds: 8
    ) { body in body.firstRange(of: id) != nil }
    return reply.body.firstRange(of: id) != nil
      ? .passed("the stream had the lead")
      : .failed(
        "the stream did not have the lead within 8 s: \(describe(reply))",
        fix: "a proxy in front must not buffer /api/admin/live: proxy_buffering off")
  }

  private static let timelineTab = CheckItem(
    "admin.timeline", "a conversation shows its timeline", doing: "requests the timeline of the test lead",
    needs: ["after.timeline", "admin.login"]
  ) { run in
    let path = "/api/admin/conversations/\(run.testLead.id.text)/timeline"
    let reply = run.send("GET", path, headers: run.session?.headers ?? [])
    // Its title is worded for people.
    let entry = reply.document?["data"]?.array?.first { $0["type"]?.string == "created" }
    return reply.status == 200 && entry != nil
      ? .passed(entry?["title"]?.string ?? "")
      : .failed(
        describe(reply), fix: "the gateway must use the database of DATABASE_URL, with a login of class admin")
  }

  private static let slaAlert = CheckItem(
    "admin.sla", "an old lead raises the SLA alert",
    doing: "requests /api/admin/sla, where the test lead counts as an hour old",
    needs: ["after.capture", "admin.login"]
  ) { run in
    let headers = run.session?.headers ?? []
    let list = run.send("GET", "/api/admin/sla?limit=1", headers: headers)
    let lead = run.send("GET", "/api/admin/conversations/\(run.testLead.id.text)", headers: headers)
    let total = list.document?["total"]?.integer ?? 0
    guard list.status == 200, lead.status == 200 else {
      return .failed(
        "\(describe(list)); \(describe(lead))", fix: "the gateway's log has the reason; look for this time")
    }
    return total > 0 && lead.text.filter { $0 != " " }.contains("\"slaState\":\"breached\"")
      ? .passed("\(total) in the alert, the test lead among them")
      : .failed("the late test lead is not in the alert", fix: "set the clocks of the gateway and the database right")
  }
}

extension CheckRun {
  static let sessionPath = "/api/admin/session"

  /// Opens a session, once.
  func openSession() {
    guard replies[Self.sessionPath] == nil else { return }
    guard let adminKey else { return }
    let reply = send("POST", Self.sessionPath, body: ["key": .string(adminKey)])
    replies[Self.sessionPath] = reply
    session = CheckSession(reply)
  }

  /// Ends the session, if there is one.
  func closeSession() {
    guard let session else { return }
    _ = send("DELETE", Self.sessionPath, headers: session.headers + ["X-CSRF-Token: \(session.csrfToken)"])
    self.session = nil
  }

  /// Notes where the live stream is now.
  func noteLivePosition() {
    guard let session else { return }
    let reply = send("GET", "/api/admin/live", headers: session.headers, seconds: 5) { Self.lastID(in: $0) != nil }
    liveCursor = Self.lastID(in: reply.body)
  }

  /// Returns the last complete `id:` of a stream of events; nil if there is none that a header may have.
  private static func lastID(in body: [UInt8]) -> String? {
    let lines = body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
    let line = lines.last { $0.starts(with: "id:".utf8) }
    let id = line?.dropFirst(3).drop { $0 == 0x20 } ?? []
    // It is sent back in a header.
    return !id.isEmpty && id.allSatisfy { 0x21...0x7E ~= $0 } ? String(decoding: id, as: UTF8.self) : nil
  }
}
