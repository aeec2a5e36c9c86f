import Wire

/// The reply to an HTTP event: what the routes of the handler refuse, and what the handler answers. An HTTP API also
/// sends what no route of its own fits, so the method and the path are checked here.
struct HTTPEventAnswer {
  let handler: Handler
  let answer: Handler.BatchAnswer
  /// On the steady clock. Nil if only the handler's own time limit applies.
  let deadline: Instant?
  let log: Log

  /// Returns a reply for any event, with the id of its request.
  func reply(to event: JSON) -> Reply {
    var request: Request
    do throws(Problem) { request = try Request(envelope: event) } catch {
      return AnsweredRequest(refusing: error).reply
    }
    request.requestID = request.headers["x-request-id"].flatMap(Request.cleanID) ?? request.requestID
    let isHead = request.method == "HEAD"
    var reply = reply(to: request)
    reply.headers["x-request-id"] = request.requestID
    // A HEAD gets the headers of a GET. The HTTP API computes no Content-Length from what is missing.
    if isHead { reply.body = [] }
    return reply
  }

  private func reply(to request: Request) -> Reply {
    let fitting = handler.description.routes.compactMap { route in
      Self.parameters(of: request.path, in: route.path).map { (route.method, $0) }
    }
    guard !fitting.isEmpty else { return Problem(.routeNotFound).reply(requestID: request.requestID) }
    let methods = request.method == "HEAD" ? ["HEAD", "GET"] : [request.method]
    guard let (method, parameters) = fitting.first(where: { methods.contains($0.0) }) else {
      return Self.otherMethod(request, of: fitting.map(\.0))
    }
    var request = request
    request.method = method
    // An HTTP API has decoded them; a function URL has none.
    request.pathParameters = parameters.merging(request.pathParameters) { $1 }
    return handler.answer(request, by: answer, log: log, deadline: deadline).reply
  }

  private static func otherMethod(_ request: Request, of methods: [String]) -> Reply {
    let allowed = Set(methods + ["OPTIONS"] + (methods.contains("GET") ? ["HEAD"] : []))
    let allow = ["allow": allowed.sorted().joined(separator: ", ")]
    if request.method == "OPTIONS" { return Reply(status: 204, headers: allow, body: []) }
    var reply = Problem(.methodNotAllowed, ["method": request.method]).reply(requestID: request.requestID)
    reply.headers.merge(allow) { $1 }
    return reply
  }

  /// The parameters of a path as they are written in it. Nil if the route does not fit.
  private static func parameters(of path: String, in route: String) -> [String: String]? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let segments = route.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == segments.count else { return nil }
    var parameters: [String: String] = [:]
    for (part, segment) in zip(parts, segments) {
      if segment.hasPrefix("{"), segment.hasSuffix("}") {
        guard !part.isEmpty else { return nil }
        parameters[String(segment.dropFirst().dropLast())] = String(part)
      } else if !part.utf8.elementsEqual(segment.utf8) {
        return nil
      }
    }
    return parameters
  }
}
