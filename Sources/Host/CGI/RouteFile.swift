import Contract
import Glibc
import Wire

/// The routes of our own endpoints in a file, for programs that serve one request and cannot describe every handler
/// first. `leadpipe routes --write` writes it into the folder of the handlers.
package struct RouteFile: Sendable {
  /// Why the file cannot be used, as a message for the operator.
  package struct Failure: Error, Sendable { package let reason: String }

  /// The file's name in the folder of the handlers. Files whose name begins with a dot are no handlers.
  package static let name = ".routes.json"
  private static let sizeLimit = 1_048_576
  /// Members of a description that are not written: schemas that only the handler needs.
  private static let omitted: Set<String> = [
    "input", "output", "query", "headers", "replyHeaders", "statuses", "problems", "types", "feed", "summary",
  ]

  package let handlers: [HostedHandler]

  /// Takes our own endpoints of a folder. Foreign handlers have no CGI entry point.
  package init(_ folder: HandlerFolder) {
    handlers = folder.handlers.filter { $0.isOurs && $0.description.kind == .endpoint }
  }

  /// The contents of the file.
  package var document: JSON {
    .array(
      handlers.map { handler in
        let members = handler.description.document.members ?? []
        return .object(members.filter { !Self.omitted.contains($0.key) } + [.init("summary", "")])
      })
  }

  /// Reads the file in a folder of handlers.
  package init(in folder: String) throws(Failure) {
    let path = folder + "/" + Self.name
    guard let file = fopen(path, "re") else {
      throw Failure(
        reason: "\(path) cannot be read: \(String(cString: strerror(errno))); run `leadpipe routes --write`")
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0, bytes.count <= Self.sizeLimit {
      bytes += buffer[..<count]
    }
    do {
      guard let list = try JSON(reading: bytes).array else { throw Failure(reason: "it is not a list") }
      handlers = try list.compactMap { item in
        let description = try Description(reading: item)
        // The file grants nothing: the class comes from our own table, and the name must be in it.
        guard let trust = TrustClass.table[description.name] else { return nil }
        return HostedHandler(
          path: folder + "/" + description.name, description: description, trust: trust, grants: nil, isListed: false,
          launcher: "")
      }
    } catch {
      throw Failure(reason: "\(path) is not a list of routes; run `leadpipe routes --write`")
    }
  }
}
