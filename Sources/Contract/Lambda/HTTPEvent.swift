import Limits
import Wire

/// An HTTP event, as the request that it quotes: API Gateway HTTP API payload 2.0.
struct HTTPEvent {
  let head: MessageHead
  let peer: TrustedProxies.Peer
  /// Nil if it is not valid Base64.
  private let content: [UInt8]?

  /// Headers about the connection to API Gateway, and those that the event has in another place.
  private static let left: Set<String> = ["content-length", "transfer-encoding", "connection", "expect"]

  /// Nil if the event has no method.
  init?(_ event: JSON) {
    guard let context = event["requestContext"], let http = context["http"], let method = http["method"]?.string else {
      return nil
    }
    let text = event["body"]?.string ?? ""
    content = event["isBase64Encoded"]?.bool == true ? Base64.decode(text) : Array(text.utf8)
    peer = http["sourceIp"]?.string.flatMap { ClientAddress($0) }.map { .address($0) } ?? .unknown
    var fields: [(name: String, value: String)] = []
    for member in event["headers"]?.members ?? [] {
      let name = member.key.lowercased()
      if let value = member.value.string, !Self.left.contains(name) { fields.append((name: name, value: value)) }
    }
    func add(_ name: String, _ value: String?) {
      if let value, !value.isEmpty, !fields.contains(where: { $0.name == name }) {
        fields.append((name: name, value: value))
      }
    }
    add("cookie", (event["cookies"]?.array ?? []).compactMap(\.string).joined(separator: "; "))
    add("host", context["domainName"]?.string ?? "localhost")
    add("x-request-id", context["requestId"]?.string.flatMap(Request.cleanID))
    if !text.isEmpty { add("content-length", String(content?.count ?? text.utf8.count)) }
    head = MessageHead(method: method, target: Self.target(event, http), isHTTP10: false, fields: fields)
  }

  /// Returns the body.
  func body() throws(Problem) -> [UInt8] {
    guard let content else { throw Problem(.malformedEnvelope, ["reason": "the body is not valid Base64"]) }
    return content
  }

  /// An HTTP API decodes the path, a function URL does not. A path that may stand in a target as it is stays as it is.
  private static func target(_ event: JSON, _ http: JSON) -> String {
    let path = event["rawPath"]?.string ?? http["path"]?.string ?? "/"
    let isTarget = path.utf8.allSatisfy { Percent.isAllowed($0) && $0 != UInt8(ascii: "?") }
    let query = event["rawQueryString"]?.string.flatMap { $0.isEmpty ? nil : "?" + $0 } ?? ""
    return (isTarget ? path : Percent.encode(path: path)) + query
  }
}

extension ServedReply {
  /// The envelope for an HTTP API, which computes Content-Length itself.
  var envelope: JSON {
    var named: [String: String] = [:]
    for (name, value) in headers where name != "content-length" && name != "set-cookie" {
      named[name] = named[name].map { "\($0), \(value)" } ?? value
    }
    let cookies = headers.filter { $0.name == "set-cookie" }.map(\.value)
    return Reply(status: status, headers: named, cookies: cookies, body: body).envelope
  }
}
