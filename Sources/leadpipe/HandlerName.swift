import ArgumentParser
import Contract
import Host
import Terminal

/// The name of a handler as an argument. A shell completes it from the handler folder.
enum HandlerName {
  static let completion = CompletionKind.custom { _, _, _ in
    (try? HandlerFolder.names(in: Layout().handlers)) ?? []
  }

  /// Returns the handler, or throws an error that suggests a similar name.
  static func find(_ name: String, in folder: HandlerFolder) throws -> HostedHandler {
    if let handler = folder[name] { return handler }
    let names = folder.handlers.map(\.description.name)
    throw CommandError("no handler is named \(Listing.plain(name))\(Spelling.hint(name, among: names))")
  }
}
