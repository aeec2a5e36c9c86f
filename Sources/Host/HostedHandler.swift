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

  /// Returns the environment of its process, without the variables that every child gets.
  package func environment(from settings: [String: String]) -> [String: String] {
    Dictionary(variables(from: settings).map { ($0.name, $0.value) }) { $1 }
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
    let reach = Reach(TrustClass.destinations, environment(from: settings))
    let seconds = arguments.isEmpty ? description.processorSeconds : nil
    guard let grants else { return Confinement(.ours, reach: reach, seconds: seconds) }
    return Confinement(.foreign(path: path), reach: reach, grants: grants, seconds: seconds)
  }
}
