import Contract
import Host
import Limits

/// The HTTP request that an SCGI head describes. The bytes get the checks, and the limits, that `FramingScanner` has
/// for HTTP.
struct SCGIHead: Sendable, Equatable {
  /// Headers that are not read. CONTENT_LENGTH and CONTENT_TYPE replace theirs, the web server has decoded chunks, and
  /// `Proxy` is no header of HTTP.
  private static let ignored: Set<String> = ["content-length", "content-type", "transfer-encoding", "proxy"]

  let method: String
  let target: String
  let isHTTP10: Bool
  /// The headers with names in lower case. `Connection: close` is among them, because a connection has one request.
  private(set) var names: [String] = []
  private(set) var values: [String] = []
  let bodyLength: Int
  /// The client of the web server.
  let client: TrustedProxies.Peer

  init(_ bytes: [UInt8], _ budgets: Budgets = Budgets()) throws(FramingScanner.Violation) {
    let variables = try SCGIVariables(bytes)
    bodyLength = try Self.length(variables[.contentLength] ?? [])
    let target = variables[.target] ?? Self.target(variables)
    let version = variables[.httpVersion] ?? Array("HTTP/1.1".utf8)
    isHTTP10 = try Self.isHTTP10(version)
    let name = variables[.method] ?? []
    guard name.count + target.count + version.count + 4 <= budgets.requestLine else { throw .lineTooLong }
    method = String(decoding: name, as: UTF8.self)
    self.target = String(decoding: target, as: UTF8.self)
    guard Header.isToken(method), !name.contains(where: { 0x61...0x7A ~= $0 }), !target.isEmpty,
      target.allSatisfy({ 0x21...0x7E ~= $0 })
    else { throw .malformed("REQUEST_METHOD or REQUEST_URI is malformed") }
    guard RouteMethods.all.contains(method) else { throw .unknownMethod(method, target: self.target) }
    client = Self.client(variables[.client] ?? [])
    add("connection", "close")
    if bodyLength > 0 { add("content-length", String(bodyLength)) }
    var left = budgets.headers
    if let type = variables[.contentType], !type.isEmpty {
      add("content-type", try Self.value(of: "content-type", type, &left))
    }
    guard variables.headers.count <= MessageHead.fieldLimit else { throw .headersTooLarge }
    for (name, bytes) in variables.headers {
      let name = String(decoding: name.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 }, as: UTF8.self)
        .lowercased()
      let value = try Self.value(of: name, bytes, &left)
      if !Self.ignored.contains(name) { add(name, value) }
    }
    if !names.contains("host"), let host = variables[.serverName] {
      add("host", try Self.value(of: "host", host, &left))
    }
  }

  private mutating func add(_ name: String, _ value: String) {
    names.append(name)
    values.append(value)
  }

  /// Returns the value of a header without the spaces around it.
  /// - Parameter left: the size that the headers may still have, as HTTP would write them.
  private static func value(
    of name: String, _ bytes: [UInt8], _ left: inout Int
  ) throws(FramingScanner.Violation) -> String {
    left -= name.utf8.count + bytes.count + ": \r\n".utf8.count
    guard left >= 0 else { throw .headersTooLarge }
    guard Header.isToken(name), bytes.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
      throw .malformed("a header is malformed")
    }
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    if name == "host", bytes.contains(where: isSpace) { throw .malformed("the Host header is malformed") }
    let end = bytes.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? 0
    return String(decoding: bytes[..<end].drop(while: isSpace), as: UTF8.self)
  }

  private static func length(_ digits: [UInt8]) throws(FramingScanner.Violation) -> Int {
    guard 1...18 ~= digits.count, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      throw .malformed("CONTENT_LENGTH is malformed")
    }
    return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
  }

  /// The version of the client's HTTP. The web server has translated later versions than 1.1.
  private static func isHTTP10(_ version: [UInt8]) throws(FramingScanner.Violation) -> Bool {
    switch String(decoding: version, as: UTF8.self) {
    case "HTTP/1.0": return true
    case "HTTP/1.1", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/3": return false
    default: throw .malformed("SERVER_PROTOCOL must be HTTP/1.0, 1.1, 2 or 3")
    }
  }

  /// The target for a web server that sends none: the decoded path, encoded again, and the query.
  private static func target(_ variables: SCGIVariables) -> [UInt8] {
    let path = (variables[.script] ?? []) + (variables[.path] ?? [])
    let digits = Array("0123456789ABCDEF".utf8)
    let encoded = path.flatMap { byte in
      isUnreserved(byte)
        ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    guard let query = variables[.query], !query.isEmpty else { return encoded }
    return encoded + [UInt8(ascii: "?")] + query
  }

  /// True for bytes that a path has as they are (RFC 3986 §3.3).
  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-._~!$&'()*+,;=:@/".utf8.contains(byte)
    }
  }

  /// The peer of the web server. nginx writes `unix:` for a client on a unix socket. All clients without a valid
  /// address share one rate limit.
  private static func client(_ text: [UInt8]) -> TrustedProxies.Peer {
    if text == Array("unix:".utf8) { return .unixSocket }
    return ClientAddress(String(decoding: text, as: UTF8.self)).map { .address($0) } ?? .unknown
  }
}
