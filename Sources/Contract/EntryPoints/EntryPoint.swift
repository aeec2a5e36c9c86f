import CProcess
import Glibc
import Sandbox
import Wire

/// How a request reaches this process.
enum EntryPoint: Equatable {
  case pipe, stream, cgi, watchdog, lambda, describe, help, version
  /// An argument that no entry point has.
  case unexpected(String)

  init(arguments: [String], environment: [String: String]) {
    let words = Array(arguments.dropFirst())
    switch words {
    // A server may pass a query string as arguments (RFC 3875 §4.4), so arguments of a CGI program mean nothing.
    // One of these variables is enough: a request must never count as the operator's, which needs no key.
    case _ where ["GATEWAY_INTERFACE", "REQUEST_METHOD", "SERVER_PROTOCOL"].contains { environment[$0] != nil }:
      self = .cgi
    case ["--describe"]: self = .describe
    case ["--stream"]: self = .stream
    case _ where words.contains("--help") || words.contains("-h"): self = .help
    case ["--version"]: self = .version
    case [] where WatchdogEntryPoint.isChosen(by: environment): self = .watchdog
    case [] where environment["AWS_LAMBDA_RUNTIME_API"] != nil: self = .lambda
    case []: self = .pipe
    default: self = .unexpected(words.first { !Self.arguments.contains($0) } ?? words[1])
    }
  }

  /// The arguments that select an entry point, one at a time.
  private static let arguments = ["--describe", "--stream", "--version"]
}

/// True if neither the gateway nor the worker started this process.
func isStartedByHand(_ environment: [String: String]) -> Bool { environment["LEADPIPE_SUPERVISED"] == nil }

extension Handler {
  /// Serves requests in the way that the arguments or the environment select, then exits with the exit status of the
  /// contract. The process drops its rights before it reads any outside input.
  package func run() -> Never {
    let given = processEnvironment()
    let environment = description.needed(given)
    for name in given.keys where environment[name] == nil { forget(name) }
    let entryPoint = EntryPoint(arguments: CommandLine.arguments, environment: environment)
    let log = Log(environment)
    confine(environment, entryPoint, log)
    switch entryPoint {
    case .describe:
      exit(StandardOutput.write(description.document.bytes + [0x0A]) ? 0 : ExitStatus.unwritable)
    case .help: exit(StandardOutput.write(Array(description.usage.utf8)) ? 0 : ExitStatus.unwritable)
    case .version:
      exit(StandardOutput.write(Array("\(description.name) \(Build.version)\n".utf8)) ? 0 : ExitStatus.unwritable)
    case .pipe: exit(PipeEntryPoint(handler: self, environment: environment, log: log).serve())
    case .stream where description.bodyFollows:
      _ = StandardError.write(description.complaint(about: "--stream"))
      exit(ExitStatus.usage)
    case .stream: exit(StreamEntryPoint(handler: self, environment: environment, log: log).serve())
    case .cgi: exit(CGIEntryPoint(handler: self, environment: environment, log: log).serve())
    case .watchdog: exit(WatchdogEntryPoint(handler: self, environment: environment, log: log).serve())
    case .lambda: exit(LambdaEntryPoint(handler: self, environment: environment, log: log).serve())
    case .unexpected(let word):
      let words = Array(CommandLine.arguments.dropFirst())
      if let options = description.options(words) {
        exit(PipeEntryPoint(handler: self, environment: environment, log: log, options: options).serve())
      }
      _ = StandardError.write(description.complaint(about: words.first(where: description.mustBeOnStdin) ?? word))
      exit(ExitStatus.usage)
    }
  }

  /// Removes a variable from this process, and its value from the memory that the process was started with.
  private func forget(_ name: String) {
    if let value = getenv(name) { memset(value, 0, strlen(value)) }
    unsetenv(name)
  }

  /// Drops the rights that this process does not need before it reads outside input. Writing to a broken pipe then
  /// returns an error; it does not end the process. Disabling core dumps keeps customer data out of core files and
  /// stops other processes of the same user from tracing this one.
  private func confine(_ environment: [String: String], _ entryPoint: EntryPoint, _ log: Log) {
    _ = leadpipe_not_dumpable()
    if environment["LEADPIPE_SUPERVISED"] != nil { _ = leadpipe_parent_death_signal(SIGTERM) }
    signal(SIGPIPE, SIG_IGN)
    var reach = Reach(description.destinations, environment)
    reach.allowFiles(for: description)
    if entryPoint == .lambda, let api = LambdaEntryPoint.address(in: environment) { reach.ports.append(api.port) }
    let isLongLived = entryPoint == .stream || entryPoint == .lambda
    let confinement = Confinement(.ours, reach: reach, seconds: isLongLived ? nil : description.processorSeconds)
    if let refusal = confinement.apply() { log.warn("Confinement is incomplete", ["reason": refusal]) }
  }
}
