import ArgumentParser
import Contract
import Host
import OpenAPI

/// Prints the pages of docs/reference/ that are generated from the code.
struct ReferenceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reference", abstract: "Print a page of docs/reference/ that is generated from the code.")

  @Argument(help: "The page.") var page: ReferencePage

  func run() throws {
    switch page {
    case .settings: print(try ReferencePages.settings(try Layout().folder().handlers))
    case .routes:
      print(ReferencePages.routes(try Layout().folder().handlers + [HostedHandler(ofGateway: OpenAPI.itself)]))
    case .statuses: print(ReferencePages.statuses)
    case .errors: print(ReferencePages.errors)
    case .trustClasses: print(ReferencePages.trustClasses)
    case .logLines: print(ReferencePages.logLines)
    }
  }
}
