import ArgumentParser
import Handler
import Host
import Wire

struct OpenAPICommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openapi", abstract: "Print the HTTP interface as an OpenAPI 3.1 document.",
    discussion: "Made from the handlers' own descriptions; the gateway serves the same under /api/openapi.json.")

  func run() throws { print(OpenAPI.document(of: try Layout().folder().handlers.map(\.description)).text) }
}
