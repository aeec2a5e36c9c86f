import Forms
import Wire

/// A handler's request: the API Gateway HTTP API payload format 2.0, or a bare body passed directly.
package struct Request: Sendable {
  package var method: String
  /// As received, not decoded.
  package var path: String
  package var rawQuery = ""
  /// Names in lower case.
  package var headers: [String: String] = [:]
  package var query: [String: String] = [:]
  package var pathParameters: [String: String] = [:]
  package var body: [UInt8] = []
  package var requestID: String
  package var receivedAt: Instant
  /// The client's address as determined by the gateway. Empty for a bare request.
  package var sourceIP = ""
  /// When the reply is no longer useful, on the steady clock. In an envelope it is a time of the wall clock, which is
  /// converted when the envelope is written and read. If nil, only the handler's own time limit applies.
  package var deadline: Instant?
  /// True for a request passed directly, without an envelope. Its sender already has the handler's database login, so
  /// no key is required. The reply has no envelope either.
  package var isBare = false
  /// The parsed body of a bare request.
  var document: JSON?
  /// What `ReadAhead.check` has found; nil if the request has not been read ahead.
  package var checked: (any Sendable)?
  /// The fields of a posted form, or why they cannot be read. Nil for any other request, and if the handler takes none.
  package internal(set) var form: Result<PostedForm, Problem>?
  /// True if `json` replaces broken characters.
  var repairsText = false

  package init(method: String, path: String, requestID: String, receivedAt: Instant) {
    self.method = method
    self.path = path
    self.requestID = requestID
    self.receivedAt = receivedAt
  }
}

extension Request {
  /// Reads an envelope. Members that other producers omit are optional. Members that we use must have the right type.
  package init(envelope: JSON) throws(Problem) {
    guard let context = envelope["requestContext"], let http = context["http"], let method = http["method"]?.string
    else {
      throw Problem(.malformedEnvelope, ["reason": "requestContext.http.method is missing"])
    }
    self.init(
      method: method, path: envelope["rawPath"]?.string ?? http["path"]?.string ?? "/",
      requestID: context["requestId"]?.string.flatMap(Self.cleanID) ?? UUIDText.ordered().text,
      receivedAt: try Self.instant(context["timeEpoch"]) ?? .now)
    rawQuery = envelope["rawQueryString"]?.string ?? ""
    for (name, value) in Self.pairs(envelope["headers"]) { headers[name.lowercased()] = value }
    query = Self.pairs(envelope["queryStringParameters"])
    pathParameters = Self.pairs(envelope["pathParameters"])
    // API Gateway moves cookies out of the headers.
    if headers["cookie"] == nil, let cookies = envelope["cookies"]?.array {
      headers["cookie"] = cookies.compactMap(\.string).joined(separator: "; ")
    }
    sourceIP = http["sourceIp"]?.string ?? ""
    deadline = try Self.instant(context["x"]?["deadlineMs"])?.onSteadyClock
    let text = envelope["body"]?.string ?? ""
    guard envelope["isBase64Encoded"]?.bool == true else {
      body = Array(text.utf8)
      return
    }
    guard let decoded = Base64.decode(text) else {
      throw Problem(.malformedEnvelope, ["reason": "the body is not valid Base64"])
    }
    body = decoded
  }

  /// Returns the envelope of this request. It includes every context member that other decoders require.
  package func envelope(routeKey: String, userAgent: String, host: String) -> JSON {
    let text = body.contains(0) ? nil : String(validating: body, as: UTF8.self)
    var members: [JSON.Member] = [
      .init("version", "2.0"), .init("routeKey", .string(routeKey)), .init("rawPath", .string(path)),
      .init("rawQueryString", .string(rawQuery)), .init("headers", Self.object(headers)),
    ]
    if let cookies = headers["cookie"] {
      let pairs = cookies.split(separator: ";").map { JSON.string(String($0.drop { $0 == " " })) }
      members.append(.init("cookies", .array(pairs)))
    }
    if !query.isEmpty { members.append(.init("queryStringParameters", Self.object(query))) }
    if !pathParameters.isEmpty { members.append(.init("pathParameters", Self.object(pathParameters))) }
    if !body.isEmpty { members.append(.init("body", .string(text ?? Base64.encode(body)))) }
    members.append(.init("isBase64Encoded", .bool(text == nil)))
    let context: JSON = [
      "accountId": "anonymous", "apiId": "leadpipe", "domainName": .string(host), "domainPrefix": "",
      "stage": "$default", "requestId": .string(requestID), "routeKey": .string(routeKey),
      "time": .string(receivedAt.logTime), "timeEpoch": JSON(receivedAt.milliseconds),
      "http": [
        "method": .string(method), "path": .string(path), "protocol": "HTTP/1.1", "sourceIp": .string(sourceIP),
        "userAgent": .string(userAgent),
      ],
      "x": deadline.map { ["deadlineMs": JSON($0.onWallClock.milliseconds)] } ?? [:],
    ]
    members.append(.init("requestContext", context))
    return .object(members)
  }

  /// Reads milliseconds since 1970, up to the year 9999. Later times would overflow our calculations.
  private static func instant(_ json: JSON?) throws(Problem) -> Instant? {
    guard let json, !json.isNull else { return nil }
    guard let milliseconds = json.integer, 0...253_402_300_799_999 ~= milliseconds else {
      throw Problem(.malformedEnvelope, ["reason": "a time is out of range"])
    }
    return Instant(milliseconds: milliseconds)
  }

  private static func object(_ pairs: [String: String]) -> JSON {
    .object(pairs.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) })
  }

  private static func pairs(_ json: JSON?) -> [String: String] {
    var pairs: [String: String] = [:]
    for member in json?.members ?? [] { pairs[member.key] = member.value.string }
    return pairs
  }

  /// Returns a request id that is safe in a log line and a header: 1 to 128 ASCII letters, digits and `-_.:=/`. Nil for
  /// anything else, such as an email address or a sentence.
  package static func cleanID(_ id: String) -> String? {
    let isTaken = id.utf8.allSatisfy {
      0x30...0x3A ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_.=/".utf8.contains($0)
    }
    return 1...128 ~= id.utf8.count && isTaken ? id : nil
  }

  /// Returns the body as JSON. It must be well formed. An enveloped request must declare JSON in UTF-8, or the problem
  /// is a 415.
  package func json() throws(Problem) -> JSON {
    if let document { return document }
    if !isBare { try requireJSONBody() }
    do { return try JSON(reading: body, repairing: repairsText) } catch {
      throw Problem(.malformedJSON, ["reason": error.reason, "offset": error.offset])
    }
  }

  /// Requires `application/json`, optionally with charset utf-8 or utf8, and no content coding; otherwise throws a
  /// problem with status 415. Any other type would let a form on another site post here without a preflight request.
  package func requireJSONBody() throws(Problem) {
    if headers["content-type"] == "application/json", headers["content-encoding"] == nil { return }
    let parts = (headers["content-type"] ?? "").lowercased().split(separator: ";")
      .map { String($0.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()) }
    let charset = parts.dropFirst().filter { $0.hasPrefix("charset=") }
    let isUTF8 = { ["utf-8", "\"utf-8\"", "utf8", "\"utf8\""].contains($0) }
    guard parts.first == "application/json", charset.allSatisfy({ isUTF8(String($0.dropFirst("charset=".count))) })
    else { throw Problem(.unsupportedMediaType) }
    try requireNoCoding()
  }

  /// True if the body is what an HTML form posts without a script. Never true for a bare body, which is JSON.
  var isForm: Bool { !isBare && FormType.isNamed(in: headers["content-type"] ?? "") }

  /// Reads the fields of a posted form. The problem is a 400 if they cannot be read.
  func postedForm() throws(Problem) -> PostedForm {
    try requireNoCoding()
    let form: PostedForm?
    do throws(PostedFormError) {
      form = try FormType(contentType: headers["content-type"] ?? "").map { type throws(PostedFormError) in
        try PostedForm(body, as: type)
      }
    } catch { throw Problem(.malformedForm, ["reason": error.reason]) }
    guard let form else { throw Problem(.unsupportedMediaType) }
    return form
  }

  /// Requires a body without content coding; otherwise throws a problem with status 415.
  func requireNoCoding() throws(Problem) {
    guard ["", "identity"].contains((headers["content-encoding"] ?? "").lowercased()) else {
      throw Problem(.unsupportedContentEncoding)
    }
  }
}

extension Instant {
  /// The format of the envelope's `time`: `12/Mar/2020:19:03:58 +0000`.
  fileprivate var logTime: String {
    let text = Array(iso8601.utf8)
    let part = { (start: Int, count: Int) in String(decoding: text[start..<start + count], as: UTF8.self) }
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let month = Int(part(5, 2)).map { months[$0 - 1] } ?? "Jan"
    return "\(part(8, 2))/\(month)/\(part(0, 4)):\(part(11, 8)) +0000"
  }
}
