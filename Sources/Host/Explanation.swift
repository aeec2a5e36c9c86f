import Contract
import Sandbox

/// What a handler's process gets, in words: made of what is applied, by the code that applies it. It names settings and never
/// shows a value of one, but for ports and the paths of files.
package struct Explanation: Sendable {
  /// Topics, each with its lines.
  package let topics: [(name: String, lines: [String])]

  /// - Parameters:
  ///   - settings: what the gateway or worker that starts it has.
  ///   - level: what the kernel can hold it to.
  package init(_ handler: HostedHandler, settings: [String: String], level: ConfinementLevel) {
    let isStep = handler.description.kind == .step
    // The gateway's are not the worker's.
    let budgets = isStep ? Budgets() : Budgets(settings)
    let handler = isStep ? handler : handler.held(to: budgets)
    let description = handler.description
    let modes = settings["LEADPIPE_PROCESS"].flatMap { ProcessModes($0) } ?? ProcessModes()
    let mode = isStep ? .stream : modes.mode(of: handler)
    let confinement = handler.confinement(mode == .stream ? ["--stream"] : [], from: settings)
    topics = [
      ("handler", [description.name, handler.path]),
      ("class", [Self.reason(handler)]),
      ("process", [isStep ? "stream, kept by the worker" : mode.rawValue]),
      ("time", [Self.time(description, budgets)]),
      ("body", ["\(description.bodyLimit) bytes"]),
      ("environment", Self.variables(handler, settings)),
      ("database", [Self.database(handler, settings)]),
      (
        "applied by",
        [handler.isOurs ? "itself, as its first statement" : handler.command().path + ", which becomes it"]
      ),
      ("limits", confinement.limits.map { "\($0.value) \($0.name)" }),
      ("kernel", [Self.kernel(level)]),
      ("reads", confinement.readable + confinement.executable + confinement.writable),
      ("writes", confinement.writable.isEmpty ? ["nothing"] : confinement.writable),
      (
        "starts",
        handler.isOurs
          ? ["no program and no process"] : confinement.executable.map { $0 + ", confined in the same way" }
      ),
      ("sockets", Self.sockets(confinement)),
      ("connects", confinement.ports.isEmpty ? ["to no TCP port"] : confinement.ports.map { "to TCP port \($0)" }),
      ("listens", ["on no TCP port"]),
      ("signals", ["to processes that it has started itself"]),
    ]
  }

  /// The topics as a table: a name, and the lines beside it.
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
    if handler.isOurs { return "\(name), by the table of our own handlers" }
    return "\(name), " + (handler.isListed ? "by LEADPIPE_TRUST" : "for neither our table nor LEADPIPE_TRUST names it")
  }

  private static func variables(_ handler: HostedHandler, _ settings: [String: String]) -> [String] {
    let given = handler.variables(from: settings)
    let names = Set(given.map(\.name))
    let asked = handler.description.environment.map(\.name).filter { !names.contains($0) }.sorted()
    return given.map { "\($0.name), from \($0.source)" }
      + Child.told.keys.sorted().map { "\($0), as every child" } + ["HOME, which leads nowhere"]
      + asked.map {
        "(not \($0): "
          + (handler.trust.grants.contains($0) ? "not set)" : "class \(handler.trust.rawValue) may not have it)")
      }
  }

  private static func database(_ handler: HostedHandler, _ settings: [String: String]) -> String {
    let given = handler.variables(from: settings)
    guard let login = given.first(where: { $0.name == "DATABASE_URL" }) else { return "none" }
    guard let role = given.first(where: { $0.name == "LEADPIPE_ROLE" }) else { return "login of \(login.source)" }
    return "login of \(login.source), then role \(role.value), which it must take itself"
  }

  private static func kernel(_ level: ConfinementLevel) -> String {
    let landlock = level.landlock == 0 ? "no Landlock" : "Landlock ABI \(level.landlock)"
    let filters = level.hasFilters ? "seccomp" : "no seccomp"
    return "\(landlock), \(filters)" + (level.shortfall.map { "; not held here: \($0)" } ?? "; all of this is held")
  }

  private static func sockets(_ confinement: Confinement) -> [String] {
    let kinds = [
      confinement.hasLocalSockets ? "unix sockets" : nil,
      confinement.hasInternetSockets ? "IPv4, IPv6 and netlink" : nil,
    ].compactMap { $0 }
    return kinds.isEmpty ? ["none"] : kinds
  }
}
