import ArgumentParser
import Contract
import FoundationEssentials
import Glibc
import Host

/// The command of the house: a table of contents.
@main
struct Leadpipe: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leadpipe", abstract: "Lead capture for a property agency: everything but the handlers themselves.",
    discussion: "Settings come from the environment; docs/operations.md lists them.", version: Build.version,
    subcommands: [
      Up.self, Gateway.self, WorkerCommand.self, Migrate.self, Rollback.self, Invoke.self, Routes.self,
      OpenAPICommand.self, Channels.self, SinkCommand.self, Generate.self, DeliveryCommand.self, ChannelCommand.self,
      EventCommand.self, KeyCommand.self, LeadCommand.self, ExplainCommand.self,
    ])
}

/// Where the parts lie: beside this executable.
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
  /// The SQL: shim, migrations, rollback.
  var supabase: String { bin + "/supabase" }

  /// The handlers, with what the operator's LEADPIPE_TRUST says of those that are not ours.
  func folder(only names: Set<String>? = nil) throws -> HandlerFolder {
    let settings = try KnownSettings.check(KnownSettings.given())
    do { return try HandlerFolder(path: handlers, trust: try TrustFile.entries(settings), only: names) } catch {
      switch error {
      case let failure as HandlerFolder.Failure: throw Refusal(failure.reason)
      case let problem as Problem: throw Refusal("LEADPIPE_TRUST \(problem.detail)")
      default: throw error
      }
    }
  }
}

/// A sentence for the operator; the command ends with exit status 1.
struct Refusal: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
