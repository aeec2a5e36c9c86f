import ArgumentParser
import Contract
import FoundationEssentials
import Host
import OpenAPI
import Sandbox
import Wire

struct Routes: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the handlers with their routes, trust classes and limits.",
    discussion:
      "BYTES is the largest body, MS the time limit. --explain NAME shows what a handler's process receives with these settings on this machine."
  )

  @Option(
    help: ArgumentHelp("Show everything that this handler's process receives.", valueName: "name"),
    completion: HandlerName.completion)
  var explain: String?

  @Flag(help: "Write the routes into the folder of the handlers, where leadpipe-cgi reads them.")
  var write = false

  func run() throws {
    let layout = Layout()
    let folder = try layout.folder()
    if write {
      let path = layout.handlers + "/" + RouteFile.name
      do { try Data(RouteFile(folder).document.bytes + [0x0A]).write(to: URL(filePath: path), options: .atomic) } catch
      {
        throw CommandError("\(path) cannot be written: \(error)")
      }
      return
    }
    if let explain {
      let handler = try HandlerName.find(explain, in: folder)
      var settings = KnownSettings.given()
      settings["LEADPIPE_CHANNELS"] = ServiceEnvironment.channels(settings)
      print(Explanation(handler, settings: settings, level: .here).text)
      return
    }
    let gateway = HostedHandler(ofGateway: OpenAPI.itself)
    let rows = (folder.handlers + [gateway]).map { handler in
      let description = handler.description
      let trust = handler == gateway ? "gateway" : handler.trust.rawValue
      let routes = description.routes.map(\.key).joined(separator: ", ")
      return [
        description.name, trust, String(description.bodyLimit), String(description.timeLimitMs),
        routes.isEmpty ? "(step)" : routes,
      ]
    }
    Listing.table(["HANDLER", "CLASS", "BYTES", "MS", "ROUTES"], rows)
  }
}
