import Wire

/// What a handler is asked: the API Gateway HTTP API payload 2.0, or a bare body given by hand.
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
  /// The address of the client as the gateway believes it; empty for a bare request.
  package var sourceIP = ""
  /// When the answer is no longer of use; nil leaves the handler's own time limit.
  package var deadline: Instant?
  /// Given by hand, without an envelope: the one who did it holds the login of the handler, so no key is asked for, and
  /// the reply is bare too.
  package var isBare = false
  /// What a bare body has been read as.
  var document: JSON?

  package init(method: String, path: String, requestID: String, receivedAt: Instant) {
    self.method = method
    self.path = path
    self.requestID = requestID
    self.receivedAt = receivedAt
  }
}

extension Request {
  /// Reads an envelope. What other producers leave out may be absent; what we use must have its type.
  package init(envelope: JSON) throws(Problem) {
    guard let context = envelope["requestContext"], let http = context["http"], let method = http["method"]?.string
    else {
      throw Problem(.malformedEnvelope, ["reason": "requestContext.http.method is missing"])
    }
    self.init(
      method: method, path: envelope["rawPath"]?.string ?? http["path"]?.string ?? "/",
      requestID: context["requestId"]?.string.flatMap(Self.cleanID) ?? UUIDText.random().text,
      receivedAt: try Self.instant(context["timeEpoch"]) ?? .now)
    rawQuery = envelope["rawQueryString"]?.string ?? ""
    for (name, value) in Self.pairs(envelope["headers"]) { headers[name.lowercased()] = value }
    query = Self.pairs(envelope["queryStringParameters"])
    pathParameters = Self.pairs(envelope["pathParameters"])
    // API Gateway takes cookies out of the headers.
    if headers["cookie"] == nil, let cookies = envelope["cookies"]?.array {
      headers["cookie"] = cookies.compactMap(\.string).joined(separator: "; ")
    }
    sourceIP = http["sourceIp"]?.string ?? ""
    deadline = try Self.instant(context["x"]?["deadlineMs"])
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

  /// The envelope of this request. All the context that other decoders insist on is written.
  package func envelope(routeKey: String, userAgent: String, host: String) -> JSON {
    let text = body.contains(0) ? nil : String(validating: body, as: UTF8.self)
    var envelope: JSON = [
      "version": "2.0", "routeKey": .string(routeKey), "rawPath": .string(path), "rawQueryString": .string(rawQuery),
      "headers": Self.object(headers),
    ]
    if let cookies = headers["cookie"] {
      let pairs = cookies.split(separator: ";").map { JSON.string(String($0.drop { $0 == " " })) }
      envelope = envelope.setting("cookies", .array(pairs))
    }
    if !query.isEmpty { envelope = envelope.setting("queryStringParameters", Self.object(query)) }
    if !pathParameters.isEmpty { envelope = envelope.setting("pathParameters", Self.object(pathParameters)) }
    if !body.isEmpty { envelope = envelope.setting("body", .string(text ?? Base64.encode(body))) }
    envelope = envelope.setting("isBase64Encoded", .bool(text == nil))
    var own: JSON = [:]
    if let deadline { own = own.setting("deadlineMs", JSON(deadline.milliseconds)) }
    return envelope.setting(
      "requestContext",
      [
        "accountId": "anonymous", "apiId": "leadpipe", "domainName": .string(host), "domainPrefix": "",
        "stage": "$default", "requestId": .string(requestID), "routeKey": .string(routeKey),
        "time": .string(receivedAt.logTime), "timeEpoch": JSON(receivedAt.milliseconds),
        "http": [
          "method": .string(method), "path": .string(path), "protocol": "HTTP/1.1", "sourceIp": .string(sourceIP),
          "userAgent": .string(userAgent),
        ],
        "x": own,
      ])
  }

  /// Milliseconds since 1970, up to the year 9999: what lies beyond no clock of ours can reckon with.
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

  /// A request id that may stand in a log line and a header: 1 to 128 ASCII letters, digits and `-_.:=/`. An
  /// address or a sentence is none.
  package static func cleanID(_ id: String) -> String? {
    let isTaken = id.utf8.allSatisfy {
      0x30...0x3A ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_.=/".utf8.contains($0)
    }
    return 1...128 ~= id.utf8.count && isTaken ? id : nil
  }

  /// The body as JSON. An enveloped body must say that it is JSON in UTF-8 (415 otherwise), and any must be well formed.
  package func json() throws(Problem) -> JSON {
    if let document { return document }
    if !isBare { try requireJSONBody() }
    do { return try JSON(reading: body) } catch {
      throw Problem(.malformedJSON, ["reason": error.reason, "offset": error.offset])
    }
  }

  /// `application/json`, alone or with charset utf-8, and no content coding: anything else would let a form on another
  /// site post here without a preflight. Else a problem with status 415.
  package func requireJSONBody() throws(Problem) {
    if headers["content-type"] == "application/json", headers["content-encoding"] == nil { return }
    let parts = (headers["content-type"] ?? "").lowercased().split(separator: ";")
      .map { String($0.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()) }
    let charset = parts.dropFirst().filter { $0.hasPrefix("charset=") }
    guard parts.first == "application/json", charset.allSatisfy({ $0 == "charset=utf-8" || $0 == "charset=\"utf-8\"" })
    else { throw Problem(.unsupportedMediaType) }
    guard ["", "identity"].contains((headers["content-encoding"] ?? "").lowercased()) else {
      throw Problem(.unsupportedContentEncoding)
    }
  }
}

extension Instant {
  /// `12/Mar/2020:19:03:58 +0000`, the envelope's `time`.
  fileprivate var logTime: String {
    let text = Array(iso8601)
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let month = Int(String(text[5...6])).map { months[$0 - 1] } ?? "Jan"
    return "\(String(text[8...9]))/\(month)/\(String(text[0...3])):\(String(text[11...18])) +0000"
  }
}
