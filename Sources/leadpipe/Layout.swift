import Contract
import FoundationEssentials
import Glibc
import Host

/// The paths of the installed parts, in the folder of this executable.
struct Layout {
  let bin: String

  init() {
    let path =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    bin = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  var leadpipe: String { bin + "/leadpipe" }
  var gateway: String { bin + "/gateway" }
  var handlers: String { processEnvironment()["LEADPIPE_HANDLERS"] ?? bin + "/handlers" }
  /// The SQL files: shim, migrations and rollback.
  var supabase: String { bin + "/supabase" }
  /// The admin panel's files.
  var panel: String { bin + "/web/panel" }
  /// The files of the chatbot and the forms.
  var chatbot: String { bin + "/web/chatbot" }

  /// Returns the handlers; LEADPIPE_TRUST sets the trust class of foreign handlers.
  func folder(only names: Set<String>? = nil) throws -> HandlerFolder {
    let settings = try KnownSettings.check(KnownSettings.given())
    do { return try HandlerFolder(path: handlers, trust: try TrustFile.entries(settings), only: names) } catch {
      switch error {
      case let failure as HandlerFolder.Failure: throw CommandError(failure.reason)
      case let problem as Problem: throw CommandError("LEADPIPE_TRUST \(problem.detail)")
      default: throw error
      }
    }
  }
}
