import ArgumentParser
import Contract
import Host
import OpenAPI
import Sandbox

struct Routes: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the handlers with their routes, trust classes and limits.",
    discussion: "--explain NAME shows what a handler's process receives with these settings on this machine.")

  @Option(help: ArgumentHelp("Show everything that this handler's process receives.", valueName: "name"))
  var explain: String?

  func run() throws {
    let folder = try Layout().folder()
    if let explain {
      guard let handler = folder[explain] else { throw CommandError("no handler is named \(explain)") }
      var settings = KnownSettings.given()
      settings["LEADPIPE_CHANNELS"] = ServiceEnvironment.channels(settings)
      print(Explanation(handler, settings: settings, level: .here).text)
      return
    }
    let gateway = HostedHandler(ofGateway: OpenAPI.itself)
    for handler in folder.handlers + [gateway] {
      let description = handler.description
      let trust = handler == gateway ? "gateway" : handler.trust.rawValue
      let routes = description.routes.map(\.key).joined(separator: ", ")
      let limits = "\(description.bodyLimit) B, \(description.timeLimitMs) ms"
      print("\(description.name)\t\(trust)\t\(routes.isEmpty ? "(step)" : routes)\t\(limits)")
    }
  }
}
