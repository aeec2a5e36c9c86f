import Sandbox
import Wire

extension Reach {
  private static let kerberos = ["/etc/gss/mech.d", "/etc/krb5.conf", "/etc/krb5.conf.d"]
  /// Long answers of name servers come by TCP.
  private static let nameServer = 53

  /// Whom a process must be able to reach that was given `environment`: its settings lead to these `destinations`.
  package init(_ destinations: [String: Destination], _ environment: [String: String]) {
    self.init()
    for (name, destination) in destinations.sorted(by: { $0.key < $1.key }) {
      if let value = environment[name] { add(destination, value, environment) }
    }
    if !ports.isEmpty {
      ports.append(Self.nameServer)
      // The system's name services may answer on a socket of theirs.
      hasLocalSockets = true
    }
  }

  private mutating func add(_ destination: Destination, _ value: String, _ environment: [String: String]) {
    switch destination {
    case .webAddress: ports += Self.port(of: value)
    case .webService(let address): if environment[address] == nil { ports.append(443) }
    case .server(let port, let standard): ports.append(environment[port].flatMap { Int($0) } ?? standard)
    case .unixSocket: hasLocalSockets = true
    case .database:
      guard let database = DatabaseAddress(value) else { return }
      ports += database.ports
      hasLocalSockets = hasLocalSockets || database.isLocal
      // libpq asks Kerberos first whether it has something to say.
      files += database.files + (database.ports.isEmpty ? [] : Self.kerberos)
      // libpq then takes the name of the system's user.
      if !database.namesUser { files += ["/etc/passwd", "/etc/nsswitch.conf"] }
    }
  }

  /// The port of an http or https address; none where it is no such address.
  private static func port(of address: String) -> [Int] {
    let parts = address.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let standard = ["http:": 80, "https:": 443][parts[0].lowercased()] else { return [] }
    let host = parts[2].prefix { !"/?#".contains($0) }
    guard let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") else { return [standard] }
    return [Int(host[host.index(after: colon)...]) ?? standard]
  }
}
