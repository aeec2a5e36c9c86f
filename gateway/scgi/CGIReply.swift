import NIOHTTP1

/// The head of a reply as a CGI program writes it (RFC 3875 §6.3).
enum CGIReply {
  /// The headers that the web server writes itself, and `Status`, which is none of HTTP.
  private static let ofTheServer: Set<String> = [
    "connection", "date", "keep-alive", "proxy-connection", "status", "trailer", "transfer-encoding", "upgrade",
  ]

  /// Returns the status and the headers, with the empty line after them. The status is always written: a reply with
  /// Location and without a status would be a redirect inside the web server.
  static func head(_ head: HTTPResponseHead) -> String {
    let fields = head.headers.filter { !ofTheServer.contains($0.name.lowercased()) }.map { "\($0.name): \($0.value)" }
    let lines = ["Status: \(head.status.code) \(head.status.reasonPhrase)"] + fields
    return lines.joined(separator: "\r\n") + "\r\n\r\n"
  }
}
