import Transports
import Wire

extension CheckGroup {
  /// What visitors' browsers call. Nothing is stored: the requests lack every required field.
  static let interfaces = CheckGroup(
    title: "Interfaces",
    items: [
      health, route("chatbot", TestLead.route), route("contact", "/api/contact"),
      route("newsletter", "/api/newsletter/subscribe"),
    ])

  private static let health = CheckItem(
    "interfaces.health", "GET /health responds", doing: "requests /health from the public address"
  ) { run in
    let reply = run.send("GET", "/health")
    run.replies["/health"] = reply
    let health = reply.document
    guard let status = health?["status"]?.string else {
      return .failed(
        "\(run.base)/health: \(describe(reply))",
        fix: "start the gateway, or correct --url: it must be the address that leads to the gateway's root")
    }
    let reasons = (health?["reasons"]?.array ?? []).compactMap(\.string)
    let told = reasons.isEmpty ? "" : ": " + reasons.joined(separator: "; ")
    return reply.status == 200
      ? .passed("200, \(status)\(told)")
      : .failed("\(reply.status), \(status)\(told)", fix: "fix what the reasons say; the gateway's log has more")
  }

  private static func route(_ name: String, _ path: String) -> CheckItem {
    CheckItem(
      "interfaces.\(name)", "POST \(path) responds", doing: "sends {} to \(path), which must be refused with 400",
      needs: ["interfaces.health"]
    ) { run in
      let reply = run.dryReply(path)
      if reply.status == 400, reply.document?["error"] != nil { return .passed("400 for an empty body, as it must be") }
      if reply.status == 429 { return .skipped("this address has used up its requests; wait a minute") }
      return .failed(
        "\(path): \(describe(reply))",
        fix: "let the gateway serve the route: no --only without it, and a proxy in front must pass all of /api on")
    }
  }

  /// The reply in one sentence.
  static func describe(_ reply: WebReply) -> String {
    if let failure = reply.failure { return failure }
    let type = reply.header("content-type") ?? "no type"
    return "status \(reply.status), \(type)"
      + (reply.document?["detail"]?.string.map { ": \($0)" } ?? "")
  }
}
