import ArgumentParser
import Contract
import Host
import OpenAPI
import Wire

struct OpenAPICommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "openapi", abstract: "Print the HTTP interface as an OpenAPI 3.1 document.",
    discussion: "Generated from the handlers' descriptions. The gateway serves the same document at /api/openapi.json.")

  func run() throws {
    let handlers = try Layout().folder().handlers
    print(OpenAPI.document(of: handlers.map(\.description), ours: TrustClass.ours).text)
  }
}
