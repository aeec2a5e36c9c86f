import Sandbox
import Wire

extension Reach {
  private static let kerberos = ["/etc/gss/mech.d", "/etc/krb5.conf", "/etc/krb5.conf.d"]
  /// Name servers send long replies over TCP.
  private static let nameServer = 53

  /// Computes what a process with `environment` must be able to reach, given the `destinations` of its settings.
  package init(_ destinations: [String: Destination], _ environment: [String: String]) {
    self.init()
    for (name, destination) in destinations.sorted(by: { $0.key < $1.key }) {
      if let value = environment[name] { add(destination, value, environment) }
    }
    if !ports.isEmpty {
      ports.append(Self.nameServer)
      // The system's name services may use a Unix socket.
      hasLocalSockets = true
    }
  }

  private mutating func add(_ destination: Destination, _ value: String, _ environment: [String: String]) {
    switch destination {
    case .webAddress: ports += Self.port(of: value)
    case .webService(let address): if environment[address] == nil { ports.append(443) }
    case .server(let port, let standard): ports.append(environment[port].flatMap { Int($0) } ?? standard)
    case .unixSocket: hasLocalSockets = true
    case .file: if value.hasPrefix("/") { files.append(value) }
    case .exportFolder: folder = value
    case .database:
      guard let database = DatabaseAddress(value) else { return }
      ports += database.ports
      hasLocalSockets = hasLocalSockets || database.isLocal
      // libpq tries Kerberos before other methods.
      files += database.files + (database.ports.isEmpty ? [] : Self.kerberos)
      // If the URL names no user, libpq uses the operating system's user name.
      if !database.namesUser { files += ["/etc/passwd", "/etc/nsswitch.conf"] }
    }
  }

  /// Returns the port of an http or https address. Empty for anything else.
  private static func port(of address: String) -> [Int] {
    let parts = address.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let standard = ["http:": 80, "https:": 443][parts[0].lowercased()] else { return [] }
    let host = parts[2].prefix { !"/?#".contains($0) }
    guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") else { return [standard] }
    return [Int(host[host.index(after: colon)...]) ?? standard]
  }
}
