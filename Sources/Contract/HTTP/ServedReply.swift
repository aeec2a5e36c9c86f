/// A reply as the client of a server without a gateway receives it.
package struct ServedReply: Sendable {
  package let status: Int
  /// Names in lower case. Content-Length is included; Date and Connection are not.
  package let headers: [(name: String, value: String)]
  /// Empty for a reply to HEAD.
  package let body: [UInt8]
  package let exitStatus: Int32
  /// The body, if it follows: then there is no Content-Length.
  let following: FollowingBody?

  /// - Parameters:
  ///   - method: the method of the request.
  ///   - origin: the origin of the page that may read the reply; nil if there is none.
  package init(
    _ reply: Reply, to method: String, requestID: String, origin: WebOrigin?, access: Description.Access,
    quota: [(String, String)] = [], exitStatus: Int32? = nil
  ) {
    var headers = ReplyHeaders.all(of: reply, requestID: requestID, origin: origin, access: access, quota: quota)
    let isBodiless = ReplyHeaders.isBodiless(reply.status)
    following = method == "HEAD" ? nil : reply.following
    if !isBodiless, !reply.bodyFollows { headers.append(("content-length", String(reply.body.count))) }
    status = reply.status
    self.headers = headers.map { (name: $0.0, value: $0.1) }
    body = isBodiless || method == "HEAD" ? [] : reply.body
    self.exitStatus = exitStatus ?? ExitStatus.of(status: reply.status)
  }
}

extension ServedReply {
  /// Headers that are orders to nginx, lighttpd or Apache when they are in the reply of a CGI program.
  private static let orders = ["x-accel-", "x-sendfile", "x-lighttpd-"]

  /// The output of a CGI program (RFC 3875 §6).
  package var cgiOutput: [UInt8] {
    var head = "Status: \(status) \(phrase)\r\n"
    for (name, value) in headers where !Self.orders.contains(where: name.hasPrefix) { head += "\(name): \(value)\r\n" }
    return Array(head.utf8) + [0x0D, 0x0A] + body
  }

  /// The reason phrase, which may be empty (RFC 9110 §15).
  private var phrase: String {
    let phrases = [200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 304: "Not Modified"]
    return phrases[status] ?? ProblemKind.allCases.first { $0.status == status }?.title ?? ""
  }
}
