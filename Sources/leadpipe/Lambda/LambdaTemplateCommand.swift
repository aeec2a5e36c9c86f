import ArgumentParser
import Contract
import Host
import Wire

struct LambdaTemplateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lambda-template", abstract: "Print deploy/aws/template.yaml: all endpoints and the worker on AWS.",
    discussion: "Generated from the handlers' descriptions, for AWS SAM. `make reference` writes the file again.")

  func run() throws {
    // Foreign handlers have no part in the product's own template.
    let handlers = try Layout().folder().handlers.filter { TrustClass.ours.contains($0.description.name) }
    print(LambdaTemplate.heading + LambdaTemplate.document(of: handlers).yaml, terminator: "")
  }
}
