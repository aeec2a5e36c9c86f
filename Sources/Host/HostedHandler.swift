import Contract
import Glibc
import Sandbox
import Wire

/// A handler found in the folder: where it is, what it says of itself, and what it is trusted with.
package struct HostedHandler: Sendable, Equatable {
  package let path: String
  package internal(set) var description: Description
  package let trust: TrustClass
  /// What the operator grants beside the class; nil for our own handlers, which confine themselves.
  package let grants: Confinement.Grants?
  /// Whether the operator's LEADPIPE_TRUST names it.
  package let isListed: Bool
  /// The launcher of foreign handlers.
  let launcher: String

  /// What the gateway answers itself, in the shape of a handler: there is no file, and it is trusted with nothing.
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

  /// Whether it is one of ours, by the table.
  package var isOurs: Bool { grants == nil }

  /// A variable of its process, and where the value comes from.
  package struct Variable: Sendable {
    package let name: String
    package let value: String
    package let source: String
  }

  /// What it described and its class may have, taken from `settings`, and its class's database login. Nothing else of ours
  /// reaches it.
  package func variables(from settings: [String: String]) -> [Variable] {
    let names = Set(description.environment.map(\.name)).intersection(trust.grants)
    var variables = names.sorted().compactMap { name in
      settings[name].flatMap { $0.isEmpty ? nil : Variable(name: name, value: $0, source: name) }
    }
    guard names.contains("DATABASE_URL"), let database = trust.database else { return variables }
    if let own = settings[database.setting], !own.isEmpty {
      variables.removeAll { $0.name == "DATABASE_URL" }
      variables.append(Variable(name: "DATABASE_URL", value: own, source: database.setting))
    } else {
      variables.removeAll { $0.name == "LEADPIPE_ROLE" }
      variables.append(Variable(name: "LEADPIPE_ROLE", value: database.role, source: "class \(trust.rawValue)"))
    }
    return variables
  }

  /// The environment of its process, but for what every child of ours is told.
  package func environment(from settings: [String: String]) -> [String: String] {
    Dictionary(variables(from: settings).map { ($0.name, $0.value) }) { $1 }
  }

  /// How it is started: by itself where it is ours, else by the launcher.
  package func command(_ arguments: [String] = []) -> (path: String, arguments: [String]) {
    guard let grants else { return (path, arguments) }
    let launch = Launch(
      program: path, arguments: arguments, grants: grants,
      seconds: arguments.isEmpty ? description.processorSeconds : nil)
    return (launcher, launch.words)
  }

  /// What holds its process, by the same code that the process applies.
  package func confinement(_ arguments: [String] = [], from settings: [String: String]) -> Confinement {
    let reach = Reach(TrustClass.destinations, environment(from: settings))
    let seconds = arguments.isEmpty ? description.processorSeconds : nil
    guard let grants else { return Confinement(.ours, reach: reach, seconds: seconds) }
    return Confinement(.foreign(path: path), reach: reach, grants: grants, seconds: seconds)
  }
}
