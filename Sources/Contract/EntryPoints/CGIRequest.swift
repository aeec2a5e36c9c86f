import Limits
import Wire

/// A request as a CGI server passes it: in environment variables and on stdin (RFC 3875).
package struct CGIRequest {
  private let head: MessageHead
  /// The head with the target below SCRIPT_NAME; nil if the target is not below it.
  private let mounted: MessageHead?
  package let peer: TrustedProxies.Peer
  /// The length of the body in bytes; nil without a body.
  package let bodyLength: Int?

  /// Throws if the variables do not describe a request.
  package init(_ environment: [String: String]) throws(Problem) {
    let method = environment["REQUEST_METHOD"] ?? ""
    guard Header.isToken(method), method == method.uppercased() else {
      throw Problem(.malformedRequest, ["reason": "REQUEST_METHOD is missing or malformed"])
    }
    let length = environment["CONTENT_LENGTH"].flatMap { $0.isEmpty ? nil : $0 }
    bodyLength = try length.map { text throws(Problem) in
      guard 1...18 ~= text.utf8.count, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = Int(text) else {
        throw Problem(.malformedRequest, ["reason": "Content-Length is malformed"])
      }
      return number
    }
    let isHTTP10 = environment["SERVER_PROTOCOL"] == "HTTP/1.0"
    let fields = Self.fields(environment, bodyLength)
    let query = environment["QUERY_STRING"].flatMap { $0.isEmpty ? nil : "?" + $0 } ?? ""
    let scriptName = Percent.encode(path: environment["SCRIPT_NAME"] ?? "")
    let pathInfo = Percent.encode(path: environment["PATH_INFO"] ?? "")
    let target = environment["REQUEST_URI"].flatMap { $0.isEmpty ? nil : $0 } ?? scriptName + pathInfo + query
    let made = { MessageHead(method: method, target: $0, isHTTP10: isHTTP10, fields: fields) }
    head = made(target)
    let isMounted = !scriptName.isEmpty && target.hasPrefix(scriptName + "/")
    mounted = isMounted ? made(String(target.dropFirst(scriptName.count))) : nil
    peer = environment["REMOTE_ADDR"].flatMap { ClientAddress($0) }.map { .address($0) } ?? .unknown
  }

  /// Returns the head of the request. A server may mount a program below a path of its own, such as
  /// /cgi-bin/lead-capture/api/chatbot/leads; the path of the route is what follows. It is taken from the target,
  /// because servers decode and normalise PATH_INFO.
  /// - Parameter hasRoute: true if the path of a head has a route.
  package func head(where hasRoute: (MessageHead) -> Bool) -> MessageHead {
    mounted.flatMap { !hasRoute(head) && hasRoute($0) ? $0 : nil } ?? head
  }

  /// Returns the header fields. The type and the length of the body have variables of their own.
  private static func fields(_ environment: [String: String], _ bodyLength: Int?) -> [(name: String, value: String)] {
    var fields = MessageHead.fields(in: environment, prefix: "HTTP_", without: ["content-type"])
    if let type = environment["CONTENT_TYPE"], !type.isEmpty { fields.append((name: "content-type", value: type)) }
    if let bodyLength { fields.append((name: "content-length", value: String(bodyLength))) }
    if !fields.contains(where: { $0.name == "host" }), let server = environment["SERVER_NAME"] {
      fields.append((name: "host", value: server))
    }
    return fields
  }
}

extension CGIRequest {
  private static let names: Set<String> = [
    "GATEWAY_INTERFACE", "SERVER_PROTOCOL", "SERVER_NAME", "REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO",
    "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_ADDR",
  ]

  /// True for the environment variables that describe a request to a handler.
  package static func isVariable(_ name: String) -> Bool {
    names.contains(name) || name.hasPrefix("HTTP_") && name != "HTTP_PROXY"
  }
}

extension Percent {
  /// Encodes the bytes of a decoded path that a target may not contain, and `%` and `?`.
  static func encode(path: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in path.utf8 {
      if isAllowed(byte), byte != UInt8(ascii: "%"), byte != UInt8(ascii: "?") {
        bytes.append(byte)
      } else {
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
