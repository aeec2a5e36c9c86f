import Contract
import Sandbox

/// A readable explanation of what a handler's process gets, made by the code that applies it. It names settings but
/// does not show their values, except ports and file paths.
package struct Explanation: Sendable {
  /// Topics, each with its lines.
  package let topics: [(name: String, lines: [String])]

  /// - Parameters:
  ///   - settings: the settings of the gateway or worker that starts it.
  ///   - level: what the kernel can enforce.
  package init(_ handler: HostedHandler, settings: [String: String], level: ConfinementLevel) {
    let isStep = handler.description.kind == .step
    // The gateway's budgets do not apply to steps.
    let budgets = isStep ? Budgets() : Budgets(settings)
    let handler = isStep ? handler : handler.held(to: budgets)
    let description = handler.description
    let modes = settings["LEADPIPE_PROCESS"].flatMap { ProcessModes($0) } ?? ProcessModes()
    let mode = isStep ? .stream : modes.mode(of: handler)
    let confinement = handler.confinement(mode == .stream ? ["--stream"] : [], from: settings)
    let given = handler.variables(from: settings, lasts: mode == .stream)
    topics = [
      ("handler", [description.name, handler.path]),
      ("class", [Self.reason(handler)]),
      ("process", [isStep ? "stream, managed by the worker" : mode.rawValue]),
      ("time", [Self.time(description, budgets)]),
      ("body", ["\(description.bodyLimit) bytes"]),
      ("environment", Self.variables(handler, given)),
      ("database", [Self.database(given)]),
      (
        "applied by",
        [handler.isOurs ? "the handler, before it reads input" : handler.command().path + ", which then runs it"]
      ),
      ("limits", confinement.limits.map { "\($0.value) \($0.name)" }),
      ("kernel", [Self.kernel(level)]),
      ("reads", confinement.readable + confinement.executable + confinement.writable),
      ("writes", confinement.writable.isEmpty ? ["nothing"] : confinement.writable),
      (
        "starts",
        handler.isOurs
          ? ["no other program or process"] : confinement.executable.map { $0 + ", under the same confinement" }
      ),
      ("sockets", Self.sockets(confinement)),
      ("connects", confinement.ports.isEmpty ? ["to no TCP port"] : confinement.ports.map { "to TCP port \($0)" }),
      ("listens", ["on no TCP port"]),
      ("signals", ["only to processes that it started"]),
    ]
  }

  /// The topics as a table of names and lines.
  package var text: String {
    topics.map { topic in
      let lines = topic.lines.isEmpty ? ["nothing"] : topic.lines
      return lines.enumerated().map { index, line in
        let name = index == 0 ? topic.name : ""
        return name + String(repeating: " ", count: 13 - name.count) + line
      }.joined(separator: "\n")
    }.joined(separator: "\n")
  }

  package subscript(name: String) -> [String] { topics.first { $0.name == name }?.lines ?? [] }

  private static func time(_ description: Description, _ budgets: Budgets) -> String {
    "\(description.timeLimitMs) ms, then TERM to its process group, KILL \(budgets.graceMs) ms later"
  }

  private static func reason(_ handler: HostedHandler) -> String {
    let name = handler.trust.rawValue
    if handler.isOurs { return "\(name), from the built-in table" }
    return "\(name), " + (handler.isListed ? "from LEADPIPE_TRUST" : "not in the built-in table or LEADPIPE_TRUST")
  }

  private static func variables(_ handler: HostedHandler, _ given: [HostedHandler.Variable]) -> [String] {
    let names = Set(given.map(\.name))
    let asked = handler.description.environment.map(\.name).filter { !names.contains($0) }.sorted()
    return given.map { "\($0.name), from \($0.source)" }
      + Child.commonEnvironment.keys.sorted().map { "\($0), as in every child process" }
      + ["HOME, a path that does not exist"]
      + asked.map {
        "(not \($0): "
          + (handler.trust.grants.contains($0) ? "not set)" : "not allowed for class \(handler.trust.rawValue))")
      }
  }

  private static func database(_ given: [HostedHandler.Variable]) -> String {
    guard let login = given.first(where: { $0.name == "DATABASE_URL" }) else {
      return given.contains { $0.name == "SUPABASE_URL" }
        ? "SUPABASE_URL, by REST with the service key, which has the rights of all classes" : "none"
    }
    guard let role = given.first(where: { $0.name == "LEADPIPE_ROLE" }) else { return "login from \(login.source)" }
    return "login from \(login.source), then role \(role.value), which the handler must set itself"
  }

  private static func kernel(_ level: ConfinementLevel) -> String {
    let landlock = level.landlock == 0 ? "no Landlock" : "Landlock ABI \(level.landlock)"
    let filters = level.hasFilters ? "seccomp" : "no seccomp"
    return "\(landlock), \(filters)" + (level.shortfall.map { "; not enforced: \($0)" } ?? "; all of this is enforced")
  }

  private static func sockets(_ confinement: Confinement) -> [String] {
    let kinds = [
      confinement.hasLocalSockets ? "unix sockets" : nil,
      confinement.hasInternetSockets ? "IPv4, IPv6 and netlink" : nil,
    ].compactMap { $0 }
    return kinds.isEmpty ? ["none"] : kinds
  }
}
