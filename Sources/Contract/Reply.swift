import Wire

/// A handler's reply: the response half of the API Gateway HTTP API payload format 2.0.
package struct Reply: Sendable, Equatable {
  package var status: Int
  /// Names in lower case.
  package var headers: [String: String]
  /// One `Set-Cookie` value each.
  package var cookies: [String] = []
  package var body: [UInt8]
  /// In a stream, the id of the request that this reply answers.
  package var requestID: String?
  /// True if the body is not in the envelope but follows it, as raw bytes up to the end of the output.
  package private(set) var bodyFollows = false
  /// What writes that body, in the handler.
  package private(set) var following: FollowingBody?

  package init(status: Int, headers: [String: String], cookies: [String] = [], body: [UInt8]) {
    self.status = status
    self.headers = headers
    self.cookies = cookies
    self.body = body
  }

  /// Creates a reply with a JSON body.
  package init(status: Int = 200, _ body: JSON, headers: [String: String] = [:]) {
    self.init(
      status: status, headers: headers.merging(["content-type": "application/json"]) { own, _ in own }, body: body.bytes
    )
  }

  /// Creates the head of a reply whose body follows. The handler's description must say so (`bodyFollows`). For a HEAD,
  /// `following` is nil.
  package init(headers: [String: String], following: FollowingBody?) {
    self.init(status: 200, headers: headers, body: [])
    self.following = following
    bodyFollows = true
  }

  /// The reply with the body that follows it, for an entry point that takes only whole replies.
  func whole(limit: Int) throws(Problem) -> Reply {
    guard let following else { return self }
    var reply = self
    reply.body = try following.collected(limit: limit)
    reply.following = nil
    reply.bodyFollows = false
    return reply
  }

  /// Creates a reply with one JSON document per line (application/x-ndjson). A step uses it to pass on several
  /// deliveries.
  package init(lines: [JSON]) {
    var body: [UInt8] = []
    for line in lines { body += line.bytes + [0x0A] }
    self.init(status: 200, headers: ["content-type": "application/x-ndjson"], body: body)
  }
}

extension Reply {
  /// The reply's envelope. A body that is not UTF-8 or contains NUL is encoded in base64.
  package var envelope: JSON {
    let text = body.contains(0) ? nil : String(validating: body, as: UTF8.self)
    var envelope: JSON = [
      "statusCode": JSON(status),
      "headers": .object(headers.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }),
    ]
    if let requestID { envelope = envelope.setting("requestId", .string(requestID)) }
    if !cookies.isEmpty { envelope = envelope.setting("cookies", .array(cookies.map(JSON.string))) }
    if bodyFollows { return envelope.setting("bodyFollows", true) }
    return envelope.setting("body", .string(text ?? Base64.encode(body))).setting("isBase64Encoded", .bool(text == nil))
  }

  /// Reads a handler's output strictly: the status must be 200 to 599, header names must be tokens, and values must not
  /// contain control characters. A document without `statusCode` is the body of a 200, unless `needsStatus` is set,
  /// which the caller does for a process that has failed. Hop-by-hop headers and Content-Length are dropped because the
  /// transport computes them. `bodyFollows` is read as it is: the caller decides whether it may. The error describes
  /// what is wrong with the reply.
  package init(reading output: [UInt8], needsStatus: Bool = false) throws(InvalidReply) {
    let document: JSON
    do { document = try JSON(readingReply: output) } catch {
      throw InvalidReply(reason: "the reply is not a JSON document: \(error.reason) at byte \(error.offset)")
    }
    guard let statusCode = document["statusCode"] else {
      if needsStatus { throw InvalidReply(reason: "the reply has no statusCode") }
      let body = document.string.map { Array($0.utf8) } ?? document.bytes
      self.init(status: 200, headers: ["content-type": "application/json"], body: body)
      return
    }
    guard let status = statusCode.integer, 200...599 ~= status else {
      throw InvalidReply(reason: "statusCode is not between 200 and 599")
    }
    var headers: [String: String] = [:]
    for member in document["headers"]?.members ?? [] {
      guard Header.isToken(member.key), let value = Header.text(member.value), Header.isClean(value) else {
        throw InvalidReply(reason: "a header of the reply is malformed")
      }
      let name = member.key.lowercased()
      if !Header.hopByHop.contains(name) { headers[name] = value }
    }
    let cookies = try (document["cookies"]?.array ?? []).map { item throws(InvalidReply) -> String in
      guard let cookie = item.string, Header.isClean(cookie) else {
        throw InvalidReply(reason: "a cookie of the reply is malformed")
      }
      return cookie
    }
    let text = document["body"]?.string ?? ""
    var body = Array(text.utf8)
    if document["isBase64Encoded"]?.bool == true {
      guard let decoded = Base64.decode(text) else {
        throw InvalidReply(reason: "the body of the reply is not valid Base64")
      }
      body = decoded
    }
    if headers["content-type"] == nil, !body.isEmpty { headers["content-type"] = "application/json" }
    self.init(status: status, headers: headers, cookies: cookies, body: body)
    requestID = document["requestId"]?.string
    bodyFollows = document["bodyFollows"]?.bool == true
    guard !bodyFollows || body.isEmpty else {
      throw InvalidReply(reason: "the reply has a body, and says that the body follows")
    }
  }
}

/// Why bytes are not a reply.
package struct InvalidReply: Error, Sendable {
  package let reason: String

  package init(reason: String) { self.reason = reason }
}

/// The grammar of header fields (RFC 9110 §5).
package enum Header {
  /// Headers that apply to one connection only, and Content-Length, which the transport computes.
  package static let hopByHop: Set<String> = [
    "connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
  ]

  package static func isToken(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "!#$%&'*+-.^_`|~".utf8.contains($0)
      }
  }

  /// True for a type and subtype without parameters.
  package static func isMediaType(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { isToken(String($0)) }
  }

  /// True if the value has no control character except the tab. Such a value cannot inject a second header, and servers
  /// accept it.
  package static func isClean(_ value: String) -> Bool {
    value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
  }

  fileprivate static func text(_ value: JSON) -> String? {
    switch value {
    case .string(let text), .number(let text): text
    case .bool(let flag): flag ? "true" : "false"
    default: nil
    }
  }
}
