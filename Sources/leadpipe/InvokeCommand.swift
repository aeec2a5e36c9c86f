import ArgumentParser
import Glibc
import Host

struct InvokeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invoke", abstract: "Run a handler once, with the settings that the gateway or worker would give it.",
    discussion: "Reads one JSON document from a file or stdin, prints the reply, and exits with the handler's status.")

  @Argument(help: "The handler's name.", completion: HandlerName.completion) var name: String
  @Argument(help: "A file with the request; defaults to stdin.", completion: .file()) var file: String?

  func run() throws {
    let handler = try HandlerName.find(name, in: try Layout().folder())
    if let file {
      let descriptor = open(file, O_RDONLY)
      guard descriptor >= 0 else { throw CommandError("\(file): \(String(cString: strerror(errno)))") }
      dup2(descriptor, 0)
    }
    var settings = KnownSettings.given()
    settings["LEADPIPE_CHANNELS"] = ServiceEnvironment.channels(settings)
    let envp = handler.environment(from: settings).map { strdup("\($0.key)=\($0.value)") } + [nil]
    let command = handler.command()
    execve(command.path, ([command.path] + command.arguments).map { strdup($0) } + [nil], envp)
    throw CommandError("\(command.path): \(String(cString: strerror(errno)))")
  }
}
