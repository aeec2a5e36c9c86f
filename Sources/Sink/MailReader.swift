import Wire

/// Parses the parts of an email that the page shows: enough of RFC 5322, 2045 and 2047 for what mail programs write.
struct MailReader {
  /// The headers in order, with names in lower case and values unfolded.
  let headers: [(name: String, value: String)]
  private let body: ArraySlice<UInt8>

  init(_ content: [UInt8]) { self.init(content[...]) }

  private init(_ content: ArraySlice<UInt8>) {
    var headers: [(name: String, value: String)] = []
    var rest = content
    while let end = rest.firstIndex(of: 0x0A) {
      let line = String(decoding: rest[..<end].filter { $0 != 0x0D }, as: UTF8.self)
      rest = rest[(end + 1)...]
      if line.isEmpty { break }
      if line.first == " " || line.first == "\t", let last = headers.indices.last {
        headers[last].value += " " + line.drop { $0 == " " || $0 == "\t" }
      } else if let colon = line.firstIndex(of: ":") {
        let value = line[line.index(after: colon)...].drop { $0 == " " }
        headers.append((line[..<colon].lowercased(), String(value)))
      }
    }
    self.headers = headers
    body = rest
  }

  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  var subject: String { EncodedText.decode(header("subject") ?? "") }

  /// The plain text part of a multipart email, or the body of a simple one.
  var text: String { text(depth: 0) }

  private func text(depth: Int) -> String {
    let type = header("content-type") ?? "text/plain"
    if type.lowercased().hasPrefix("multipart/"), let boundary = parameter("boundary", of: type), depth < 4 {
      let parts = parts(boundary)
      let plain = parts.first { ($0.header("content-type") ?? "text/plain").lowercased().hasPrefix("text/plain") }
      return (plain ?? parts.first)?.text(depth: depth + 1) ?? ""
    }
    let bytes: [UInt8]
    switch header("content-transfer-encoding")?.lowercased() {
    case "base64":
      let packed = body.filter { $0 > 0x20 }
      bytes = Base64.decode(String(decoding: packed, as: UTF8.self)) ?? Array(body)
    case "quoted-printable": bytes = EncodedText.unquote(body, underscoreIsBlank: false)
    default: bytes = Array(body)
    }
    return String(decoding: bytes.filter { $0 != 0x0D }, as: UTF8.self)
  }

  private func parameter(_ name: String, of value: String) -> String? {
    for part in value.split(separator: ";").dropFirst() {
      let pair = part.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, pair[0].drop(while: { $0 == " " }).lowercased() == name else { continue }
      return String(pair[1].filter { $0 != "\"" && $0 != " " })
    }
    return nil
  }

  private func parts(_ boundary: String) -> [MailReader] {
    let mark = Array("--\(boundary)".utf8)
    var parts: [MailReader] = []
    var start: Int?
    var at = body.startIndex
    while at < body.endIndex, parts.count < 20 {
      let end = body[at...].firstIndex(of: 0x0A) ?? body.endIndex - 1
      if body[at...end].starts(with: mark) {
        if let start { parts.append(MailReader(body[start..<at])) }
        start = end + 1
      }
      at = end + 1
    }
    return parts
  }
}

/// Decodes encoded words (RFC 2047 §2) in UTF-8. Those in other character sets are left as they are.
enum EncodedText {
  static func decode(_ text: String) -> String {
    var out: [UInt8] = []
    var wasEncoded = false
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      let bytes = decode(word: word)
      // The space between two encoded words is not part of the text.
      if !out.isEmpty, !(wasEncoded && bytes != nil) { out.append(0x20) }
      out += bytes ?? Array(word.utf8)
      wasEncoded = bytes != nil
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func decode(word: Substring) -> [UInt8]? {
    let parts = word.split(separator: "?", omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "=", parts[4] == "=", parts[1].lowercased() == "utf-8" else { return nil }
    return parts[2].lowercased() == "b"
      ? Base64.decode(String(parts[3])) : unquote(Array(parts[3].utf8)[...], underscoreIsBlank: true)
  }

  /// Decodes quoted-printable (RFC 2045 §6.7) and its variant in headers (RFC 2047 §4.2).
  static func unquote(_ bytes: ArraySlice<UInt8>, underscoreIsBlank: Bool) -> [UInt8] {
    var out: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
      if byte == 0x5F && underscoreIsBlank {
        out.append(0x20)
      } else if byte != 0x3D {
        out.append(byte)
      } else if rest.starts(with: [0x0D, 0x0A]) {
        rest = rest.dropFirst(2)
      } else if let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16), rest.count >= 2 {
        out.append(value)
        rest = rest.dropFirst(2)
      } else {
        out.append(byte)
      }
    }
    return out
  }
}
