import Glibc
import Handler
import Wire

/// The operator's own trust table: `{"name": "intake|worker|admin|none"}`.
package struct TrustFile: Sendable {
  package let classes: [String: TrustClass]

  /// LEADPIPE_TRUST: the path of the file.
  package static let setting = Setting("LEADPIPE_TRUST") { path in
    do throws(Problem) {
      _ = try TrustFile(path: path)
      return nil
    } catch { return error.detail }
  }

  /// What the settings say of handlers that are not ours; nothing where the setting is absent.
  package static func classes(_ settings: Settings) throws(Problem) -> [String: TrustClass] {
    guard let path = settings["LEADPIPE_TRUST"] else { return [:] }
    return try TrustFile(path: path).classes
  }

  /// Reads the file; the problem's detail ends a sentence that begins with the setting's name.
  package init(path: String) throws(Problem) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Problem(.misconfigured, "names a file that cannot be opened") }
    defer { close(file) }
    guard let bytes = readUntilEnd(file, limit: 1_048_576, milliseconds: 2000),
      let members = (try? JSON(reading: bytes))?.members
    else { throw Problem(.misconfigured, "names a file that is no JSON object") }
    var classes: [String: TrustClass] = [:]
    for member in members {
      guard let trust = member.value.string.flatMap(TrustClass.init(rawValue:)) else {
        throw Problem(.misconfigured, "names a file that gives \(member.key) no class of intake, worker, admin or none")
      }
      classes[member.key] = trust
    }
    self.classes = classes
  }
}
