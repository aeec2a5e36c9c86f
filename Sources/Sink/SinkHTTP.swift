import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// The sink's HTTP half: Slack's and Telegram's addresses, and the page.
struct SinkHTTP: Sendable {
  private static let bodyLimit = 262_144
  let box: SinkBox

  /// Serves 127.0.0.1 until the task is cancelled; `ready` is told the port once it is bound.
  func run(port: Int, ready: @escaping @Sendable (Int) -> Void) async throws {
    // Silent: what arrives is written to the file, and a page needs no access log.
    let logger = Logger(label: "sink") { _ in SwiftLogNoOpLogHandler() }
    let app = Application(
      responder: CallbackResponder<BasicRequestContext> { request, _ in await respond(to: request) },
      server: .http1(configuration: .init(idleTimeout: .seconds(60))),
      configuration: .init(address: .hostname("127.0.0.1", port: port)),
      onServerRunning: { ready($0.localAddress?.port ?? 0) },
      logger: logger)
    try await app.run()
  }

  private func respond(to request: Request) async -> Response {
    // Names that resolve to this machine only for a browser's sake (DNS rebinding) do not get to read the page.
    guard Self.isLocal(request.head.authority ?? "") else {
      return Self.response(SinkReply(403, "text/plain", Array("this host is not served\n".utf8)))
    }
    var request = request
    guard let body = try? await request.collectBody(upTo: Self.bodyLimit) else {
      return Self.response(SinkReply(413, "text/plain", Array("the body is too large\n".utf8)))
    }
    return Self.response(await answer(request.method, request.uri.path, Array(body.readableBytesView)))
  }

  private func answer(_ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]) async -> SinkReply {
    switch (method, path) {
    case (.post, _) where path.hasPrefix("/services/"): return await box.slack(body, path: path)
    case (.post, _) where path.hasPrefix("/bot") && path.hasSuffix("/sendMessage"): return await box.telegram(body)
    case (.get, "/"): return SinkReply(200, "text/html; charset=utf-8", Array(await box.page.utf8))
    case (.get, "/style.css"): return SinkReply(200, "text/css; charset=utf-8", Array(SinkPage.style.utf8))
    case (.get, "/messages"): return SinkReply(200, "application/x-ndjson", await box.ndjson)
    default: return SinkReply(404, "text/plain", Array("not found\n".utf8))
    }
  }

  private static func isLocal(_ authority: String) -> Bool {
    ["127.0.0.1", "localhost"].contains(String(authority.prefix { $0 != ":" }).lowercased())
  }

  private static func response(_ reply: SinkReply) -> Response {
    var headers = HTTPFields()
    headers[.contentType] = reply.contentType
    headers[.contentSecurityPolicy] = SinkPage.policy
    headers[.xContentTypeOptions] = "nosniff"
    headers[.cacheControl] = "no-store"
    return Response(
      status: .init(code: reply.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: reply.body)))
  }
}
