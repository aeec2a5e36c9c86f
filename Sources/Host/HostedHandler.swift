import Contract
import Glibc
import Sandbox
import Wire

/// A handler from the folder: its path, its description, and its trust.
package struct HostedHandler: Sendable, Equatable {
  package let path: String
  package internal(set) var description: Description
  package let trust: TrustClass
  /// Rights that the operator grants in addition to the class. Nil for our own handlers, which confine themselves.
  package let grants: Confinement.Grants?
  /// True if the operator's LEADPIPE_TRUST names it.
  package let isListed: Bool
  /// The path of the launcher of foreign handlers.
  let launcher: String

  /// A route that the gateway answers itself, in the form of a handler. It has no file and no rights.
  package init(ofGateway description: Description) {
    self.init(path: "", description: description, trust: .none, grants: nil, isListed: false, launcher: "")
  }

  init(
    path: String, description: Description, trust: TrustClass, grants: Confinement.Grants?, isListed: Bool,
    launcher: String
  ) {
    self.path = path
    self.description = description
    self.trust = trust
    self.grants = grants
    self.isListed = isListed
    self.launcher = launcher
  }

  /// True if it is in the table of our own handlers.
  package var isOurs: Bool { grants == nil }

  /// A variable of its process, and the source of the value.
  package struct Variable: Sendable {
    package let name: String
    package let value: String
    package let source: String
  }

  /// Returns the settings that the description requests and its class allows, with values from `settings`, and the
  /// database login of its class. The process gets no other settings.
  /// - Parameter lasts: true for a process that serves many requests. It may have an address of its own for the
  ///   database, because it keeps its session. Not if the handler is foreign, or reports about the pooler.
  package func variables(from settings: [String: String], lasts: Bool = false) -> [Variable] {
    let names = Set(description.environment.map(\.name)).intersection(trust.grants)
    var variables = names.sorted().compactMap { name in
      settings[name].flatMap { $0.isEmpty ? nil : Variable(name: name, value: $0, source: name) }
    }
    guard names.contains("DATABASE_URL"), let database = trust.database else {
      return variables.filter { !Self.rest.contains($0.name) }
    }
    let hasOwn = settings[database.setting].map { !$0.isEmpty } ?? false
    if !hasOwn {
      variables.removeAll { $0.name == "LEADPIPE_ROLE" }
      variables.append(Variable(name: "LEADPIPE_ROLE", value: database.role, source: "class \(trust.rawValue)"))
    }
    let mayPassPooler = lasts && isOurs && !names.contains("POOLER")
    let sources = [mayPassPooler ? database.streamSetting : nil, database.setting].compactMap(\.self)
    if let source = sources.first(where: { settings[$0].map { !$0.isEmpty } ?? false }), let url = settings[source] {
      variables.removeAll { $0.name == "DATABASE_URL" }
      variables.append(Variable(name: "DATABASE_URL", value: url, source: source))
    }
    // A login has the rights of the class, the key has all: a process gets one or the other.
    if variables.contains(where: { $0.name == "DATABASE_URL" }) {
      variables.removeAll { Self.rest.contains($0.name) }
    } else if variables.count(where: { Self.rest.contains($0.name) }) == Self.rest.count {
      variables.removeAll { $0.name == "LEADPIPE_ROLE" }
    }
    return variables
  }

  /// The settings that take the place of DATABASE_URL.
  private static let rest: Set = ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"]

  /// Returns the environment of its process, without the variables that every child gets.
  package func environment(from settings: [String: String], lasts: Bool = false) -> [String: String] {
    Dictionary(variables(from: settings, lasts: lasts).map { ($0.name, $0.value) }) { $1 }
  }

  /// Returns the command that starts it: our own handlers are started directly, others through the launcher.
  package func command(_ arguments: [String] = []) -> (path: String, arguments: [String]) {
    guard let grants else { return (path, arguments) }
    let launch = Launch(
      program: path, arguments: arguments, grants: grants,
      seconds: arguments.isEmpty ? description.processorSeconds : nil)
    return (launcher, launch.words)
  }

  /// Returns the confinement of its process, computed by the same code that the process uses.
  package func confinement(_ arguments: [String] = [], from settings: [String: String]) -> Confinement {
    var reach = Reach(TrustClass.destinations, environment(from: settings, lasts: !arguments.isEmpty))
    reach.allowFiles(for: description)
    let seconds = arguments.isEmpty ? description.processorSeconds : nil
    guard let grants else { return Confinement(.ours, reach: reach, seconds: seconds) }
    return Confinement(.foreign(path: path), reach: reach, grants: grants, seconds: seconds)
  }
}
