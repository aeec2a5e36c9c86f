import Contract
import Host
import Leads
import Terminal

/// The folder of the gateway's handlers, and the settings for all of them.
struct HandlerSource: Sendable {
  let folder: String
  let trustFile: String?
  let modes: ProcessModes
  let budgets: Budgets
  /// The names of the endpoints to serve; nil for all.
  var only: [String]?
  /// True if a step counts the requests in the database.
  var sharesLimits = false
  /// The file in HOLIDAYS, which handlers read when they start.
  var holidays: String?
  /// The name of that step.
  static let counter = "rate-count"

  /// Runs every handler in the folder for its description, and returns the endpoints and the steps that the gateway
  /// calls for them. This takes time and blocks.
  func read(trust: [String: Trusted]) throws(Problem) -> [HostedHandler] {
    // The handlers would go on without it.
    if let fault = holidays.flatMap(OfficeCalendar.fault) { throw Problem.misconfigured("HOLIDAYS \(fault)") }
    do throws(HandlerFolder.Failure) {
      let handlers = try HandlerFolder(path: folder, trust: trust).handlers
      let endpoints = handlers.filter { $0.description.kind == .endpoint }
      let strangers = modes.strangers(among: endpoints)
      guard strangers.isEmpty else {
        throw HandlerFolder.Failure(
          reason: "LEADPIPE_PROCESS names handlers that are not endpoints in \(folder): "
            + strangers.joined(separator: ", "))
      }
      let served = try named(among: endpoints)
      let steps = Set(served.compactMap(\.description.feed) + (sharesLimits ? [Self.counter] : []))
      return (served + handlers.filter { $0.description.kind != .endpoint && steps.contains($0.description.name) })
        .map { $0.held(to: budgets) }
    } catch { throw Problem.misconfigured(error.reason) }
  }

  /// Returns the endpoints of `only`. Throws with similar names if it names others.
  private func named(among endpoints: [HostedHandler]) throws(HandlerFolder.Failure) -> [HostedHandler] {
    guard let only else { return endpoints }
    let names = endpoints.map(\.description.name)
    let unknown = only.filter { !names.contains($0) }.map { $0 + Spelling.hint($0, among: names) }
    guard unknown.isEmpty else {
      throw HandlerFolder.Failure(
        reason: "--only names handlers that are not endpoints in \(folder): \(unknown.joined(separator: ", "))")
    }
    return endpoints.filter { only.contains($0.description.name) }
  }

  /// Reads the handlers again for a reload, with the current contents of the trust file.
  func readAgain() throws(Problem) -> [HostedHandler] {
    let trust: [String: Trusted]
    do throws(Problem) {
      trust = try trustFile.map { path throws(Problem) in try TrustFile(path: path).entries } ?? [:]
    } catch { throw Problem.misconfigured("LEADPIPE_TRUST \(error.detail)") }
    return try read(trust: trust)
  }
}
