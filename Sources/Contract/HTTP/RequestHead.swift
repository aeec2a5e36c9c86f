import Wire

/// A checked head of a request. The server that received the request has already checked its bytes.
package struct RequestHead: Sendable {
  package let method: String
  package let target: RequestTarget
  /// The host without its port.
  package let host: String
  /// The headers for the handler, with names in lower case and the values of a repeated header joined with `,`. Headers
  /// that concern only this connection are left out.
  package let headers: [String: String]
  /// The X-Forwarded-For fields in their order, even if `Connection` lists them.
  package let forwardedFor: [String]
  package let hasBody: Bool
  /// The length of the body in bytes; nil if the body is chunked.
  package let bodyLength: Int?
  package let expectsContinue: Bool

  package init(_ head: MessageHead) throws(Problem) {
    method = head.method
    // Parsers replace bytes that are not UTF-8 with U+FFFD.
    guard head.fields.allSatisfy({ !$0.value.unicodeScalars.contains("\u{FFFD}") }) else {
      throw Problem(.malformedHeader)
    }
    guard head["idempotency-key"].count <= 1 else {
      throw Problem(.severalIdempotencyKeys)
    }
    target = try RequestTarget(head.target)
    host = try Self.host(head, target.authority)
    let length = head["content-length"].first.map { Int(strict: $0.drop { $0 == "0" }) ?? 0 }
    bodyLength = head["transfer-encoding"].isEmpty ? length ?? 0 : nil
    hasBody = bodyLength != 0
    expectsContinue = try Self.expectsContinue(head)
    forwardedFor = head["x-forwarded-for"]
    headers = Self.passedOn(head)
  }

  /// Returns the host without its port. Throws unless there is exactly one Host in HTTP/1.1, or at most one in
  /// HTTP/1.0, and it consists of a host and an optional port.
  private static func host(_ head: MessageHead, _ authority: String?) throws(Problem) -> String {
    let hosts = head["host"]
    guard hosts.count == 1 || (hosts.isEmpty && head.isHTTP10) else {
      throw Problem(.hostRequired)
    }
    for text in hosts + [authority].compactMap({ $0 }) {
      guard isHost(text) else { throw Problem(.malformedHost) }
    }
    let text = authority ?? hosts.first ?? ""
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), text.last != "]" else { return text }
    return String(text[..<colon])
  }

  private static func isHost(_ text: String) -> Bool {
    var name = text[...]
    if let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), text.last != "]" {
      let port = text[text.index(after: colon)...]
      guard port.isEmpty || Int(strictPort: port) != nil else { return false }
      name = text[..<colon]
    }
    if name.hasPrefix("["), name.hasSuffix("]") {
      return name.dropFirst().dropLast().utf8.allSatisfy { Self.isHex($0) || $0 == 0x3A || $0 == 0x2E }
    }
    return name.utf8.allSatisfy {
      0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-._~".utf8.contains($0)
    }
  }

  private static func isHex(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x41...0x46 ~= byte || 0x61...0x66 ~= byte
  }

  private static func expectsContinue(_ head: MessageHead) throws(Problem) -> Bool {
    let expectations = head["expect"]
    if expectations.isEmpty { return false }
    guard expectations.count == 1, expectations[0].lowercased() == "100-continue" else {
      throw Problem(.expectationFailed)
    }
    return !head.isHTTP10
  }

  /// Returns the headers for the handler. `Proxy` is left out because it becomes HTTP_PROXY in a CGI program, and names
  /// with `_` because CGI confuses it with `-`.
  private static func passedOn(_ head: MessageHead) -> [String: String] {
    let ofThisConnection = Set(head.list("connection"))
    var passed: [String: String] = [:]
    for (name, value) in head.fields {
      if name == "proxy" || name == "expect" || name.utf8.contains(UInt8(ascii: "_")) { continue }
      if name != "content-length", Header.hopByHop.contains(name) || ofThisConnection.contains(name) { continue }
      passed[name] = passed[name].map { "\($0),\(value)" } ?? value
    }
    return passed
  }
}

extension Int {
  /// Parses a port of at most five digits, up to 65535.
  fileprivate init?(strictPort text: Substring) {
    guard text.utf8.count <= 5, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let port = Int(text), port <= 65_535 else {
      return nil
    }
    self = port
  }
}
