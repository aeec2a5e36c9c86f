import Contract
import Glibc
import Sandbox
import Wire

/// The trust that the operator gives a foreign handler.
package struct Trusted: Sendable, Equatable {
  package let trustClass: TrustClass
  package let grants: Confinement.Grants

  package init(_ trustClass: TrustClass, grants: Confinement.Grants = .init()) {
    self.trustClass = trustClass
    self.grants = grants
  }

  /// Reads a class, or an object with a class and additional rights. Nil for anything else.
  fileprivate init?(_ json: JSON) {
    if let word = json.string {
      guard let trustClass = TrustClass(rawValue: word) else { return nil }
      self.init(trustClass)
      return
    }
    guard let members = json.members, let trustClass = json["class"]?.string.flatMap(TrustClass.init(rawValue:)) else {
      return nil
    }
    var grants = Confinement.Grants()
    for member in members where member.key != "class" {
      if member.key == "addressSpace", let size = member.value.integer, 64...1_048_576 ~= size {
        grants.addressSpace = Int(size)
        continue
      }
      guard let values = member.value.array else { return nil }
      let paths = values.compactMap(\.string).filter { $0.hasPrefix("/") }
      let ports = values.compactMap(\.integer).filter { 1...65_535 ~= $0 }
      switch member.key {
      case "read" where paths.count == values.count: grants.read = paths
      case "write" where paths.count == values.count: grants.write = paths
      case "connect" where ports.count == values.count: grants.connect = ports
      default: return nil
      }
    }
    self.init(trustClass, grants: grants)
  }
}

/// The operator's trust table: `{"name": "intake|worker|admin|none"}`. The class may be replaced by an object:
/// `{"class": …, "read": [path], "write": [path], "connect": [port], "addressSpace": MiB}`.
package struct TrustFile: Sendable {
  package let entries: [String: Trusted]

  /// LEADPIPE_TRUST: the path of the file.
  package static let setting = Setting("LEADPIPE_TRUST") { path in
    do throws(Problem) {
      _ = try TrustFile(path: path)
      return nil
    } catch { return error.detail }
  }

  /// Returns the trust of foreign handlers. Empty if the setting is absent.
  package static func entries(_ settings: Settings) throws(Problem) -> [String: Trusted] {
    guard let path = settings["LEADPIPE_TRUST"] else { return [:] }
    return try TrustFile(path: path).entries
  }

  /// Reads the file. The detail of a thrown problem is the end of a sentence that begins with the setting's name.
  package init(path: String) throws(Problem) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Problem.misconfigured("names a file that cannot be opened") }
    defer { close(file) }
    guard let bytes = readUntilEnd(file, limit: 1_048_576, milliseconds: 2000),
      let members = (try? JSON(reading: bytes))?.members
    else { throw Problem.misconfigured("names a file that is not a JSON object") }
    var entries: [String: Trusted] = [:]
    for member in members {
      guard let trusted = Trusted(member.value) else {
        throw Problem.misconfigured(
          "names a file in which \(member.key) is invalid: class must be intake, worker, admin or none, and read and write must "
            + "be lists of absolute paths, connect a list of ports, addressSpace a number of MiB from 64 to 1048576")
      }
      entries[member.key] = trusted
    }
    self.entries = entries
  }
}
