import Contract
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Wire

/// The sink's HTTP server: the addresses of Slack, Telegram and Resend, the page, and the fault plan.
struct SinkHTTP: Sendable {
  private static let bodyLimit = 262_144
  let box: SinkBox
  let book: FaultBook

  /// Serves 127.0.0.1 until the task is cancelled. Calls `ready` with the port once it is bound.
  func run(port: Int, ready: @escaping @Sendable (Int) -> Void) async throws {
    // Logs nothing: messages are written to the file, and the page needs no access log.
    let logger = Logger(label: "sink") { _ in SwiftLogNoOpLogHandler() }
    let app = Application(
      responder: CallbackResponder<SinkContext> { request, context in
        await respond(to: request, over: context.channel)
      },
      server: .http1(configuration: .init(idleTimeout: .seconds(60))),
      configuration: .init(address: .hostname("127.0.0.1", port: port)),
      onServerRunning: { ready($0.localAddress?.port ?? 0) },
      logger: logger)
    try await app.run()
  }

  private func respond(to request: Request, over connection: any Channel) async -> Response {
    // Rejects other host names, so that a website cannot read the page by DNS rebinding.
    guard Self.isLocal(request.head.authority ?? "") else {
      return Self.response(SinkReply(403, "text/plain", Array("this host is not served\n".utf8)))
    }
    let path = request.uri.path
    let provider = Self.provider(request.method, path)
    let fault = provider.flatMap(book.next)
    if let provider, let fault, fault.stage == .head {
      await box.count(provider, fault.kind)
      return await Self.leave(connection, fault.way)
    }
    var request = request
    guard let buffer = try? await request.collectBody(upTo: Self.bodyLimit) else {
      return Self.response(SinkReply(413, "text/plain", Array("the body is too large\n".utf8)))
    }
    let body = Array(buffer.readableBytesView)
    guard let provider else { return Self.response(await page(request.method, path, body)) }
    guard let fault else { return Self.response(await take(provider, request, body)) }
    return await fail(fault, provider, request, body, connection)
  }

  private static func provider(_ method: HTTPRequest.Method, _ path: String) -> SinkProvider? {
    guard method == .post else { return nil }
    if path.hasPrefix("/services/") { return .slack }
    if path == "/emails" { return .resend }
    return path.hasPrefix("/bot") && path.hasSuffix("/sendMessage") ? .telegram : nil
  }

  private func take(
    _ provider: SinkProvider, _ request: Request, _ body: [UInt8], unanswered: String? = nil
  ) async -> SinkReply {
    switch provider {
    case .slack: await box.slack(body, path: request.uri.path, unanswered: unanswered)
    case .telegram: await box.telegram(body, unanswered: unanswered)
    case .email, .resend:
      await box.resend(
        body, authorization: request.headers[.authorization],
        key: HTTPField.Name("Idempotency-Key").flatMap {
          request.headers[$0]
        }, unanswered: unanswered)
    }
  }

  /// Applies a fault to a request that was received completely.
  private func fail(
    _ fault: SinkFault, _ provider: SinkProvider, _ request: Request, _ body: [UInt8], _ connection: any Channel
  ) async -> Response {
    await box.count(provider, fault.kind)
    // A slow provider accepts the message before it replies, so the message is stored even if the client does not wait.
    let isKept = fault.isTaken || fault.way == .slow
    let unanswered = fault.isTaken ? fault.kind : nil
    let reply = isKept ? await take(provider, request, body, unanswered: unanswered) : nil
    switch fault.way {
    case .slow:
      try? await Task.sleep(for: .milliseconds(fault.milliseconds ?? 0))
      return Self.response(reply ?? ProviderErrors.garbled)
    case .refuse, .greylist, .tls: return Self.response(ProviderErrors.refusal(fault, on: provider))
    case .garble: return Self.response(ProviderErrors.garbled)
    case .cut: return Self.cut(reply ?? ProviderErrors.garbled)
    case .hang, .drop, .reset: return await Self.leave(connection, fault.way)
    }
  }

  /// Ends a connection without a reply. The returned response is not sent.
  private static func leave(_ connection: any Channel, _ way: SinkFault.Way) async -> Response {
    if way == .hang { try? await Task.sleep(for: .seconds(60)) }
    if way == .reset { await connection.reset() } else { try? await connection.close() }
    return response(SinkReply(500, "text/plain", []))
  }

  private struct Cut: Error {}

  /// Sends the reply's length, and ends the connection in the middle of the reply.
  private static func cut(_ reply: SinkReply) -> Response {
    var response = response(reply)
    response.headers[.contentLength] = String(reply.body.count)
    response.body = ResponseBody(contentLength: reply.body.count) { writer in
      try await writer.write(ByteBuffer(bytes: reply.body.prefix(reply.body.count / 2)))
      throw Cut()
    }
    return response
  }

  private func page(_ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]) async -> SinkReply {
    switch (method, path) {
    case (.get, "/"): return SinkReply(200, "text/html; charset=utf-8", Array(await box.page.utf8))
    case (.get, "/style.css"): return SinkReply(200, "text/css; charset=utf-8", Array(SinkPage.style.utf8))
    case (.get, "/messages"): return SinkReply(200, "application/x-ndjson", await box.ndjson)
    case (.get, "/counts"): return Self.json(200, await box.countDocument)
    case (.get, "/behaviour"): return Self.json(200, book.document)
    case (.put, "/behaviour"):
      do throws(Problem) { book.follow(try FaultPlan(reading: body)) } catch {
        return Self.json(400, error.document(requestID: UUIDText.ordered().text))
      }
      return Self.json(200, book.document)
    case (.delete, "/behaviour"):
      book.follow(FaultPlan())
      return Self.json(200, book.document)
    default: return SinkReply(404, "text/plain", Array("not found\n".utf8))
    }
  }

  private static func json(_ status: Int, _ document: JSON) -> SinkReply {
    SinkReply(status, "application/json", document.bytes + [0x0A])
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
    headers[.retryAfter] = reply.retryAfter.map { String($0) }
    return Response(
      status: .init(code: reply.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: reply.body)))
  }
}

/// The context of a request, with its connection, which some faults close.
struct SinkContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    channel = source.channel
  }
}
