/// The variables of an SCGI head: pairs of a name and a value, each ended by a NUL.
struct SCGIVariables: Sendable {
  /// The variables that are read. Each may occur once. Others are ignored, except HTTP_*.
  enum Name: String, Sendable {
    case contentLength = "CONTENT_LENGTH"
    case contentType = "CONTENT_TYPE"
    case protocolVersion = "SCGI"
    case method = "REQUEST_METHOD"
    case target = "REQUEST_URI"
    case script = "SCRIPT_NAME"
    case path = "PATH_INFO"
    case query = "QUERY_STRING"
    case httpVersion = "SERVER_PROTOCOL"
    case serverName = "SERVER_NAME"
    case client = "REMOTE_ADDR"
  }

  private var values: [Name: [UInt8]] = [:]
  /// The HTTP headers in their order, with the names that follow HTTP_. A web server may send one several times.
  private(set) var headers: [(name: String, value: [UInt8])] = []

  subscript(name: Name) -> [UInt8]? { values[name] }

  /// Throws unless the first name is CONTENT_LENGTH, and SCGI is 1, as the specification of SCGI requires.
  init(_ bytes: [UInt8]) throws(FramingScanner.Violation) {
    guard bytes.last == 0 else { throw .malformed("the SCGI head does not end with a NUL") }
    let words = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
    guard words.count % 2 == 0 else { throw .malformed("the SCGI head has a name without a value") }
    guard words[0].elementsEqual(Name.contentLength.rawValue.utf8) else {
      throw .malformed("the SCGI head must begin with CONTENT_LENGTH")
    }
    for index in stride(from: 0, to: words.count, by: 2) {
      let (text, value) = (String(decoding: words[index], as: UTF8.self), Array(words[index + 1]))
      guard !text.isEmpty else { throw .malformed("the SCGI head has an empty name") }
      if text.hasPrefix("HTTP_") {
        headers.append((String(text.dropFirst("HTTP_".count)), value))
      } else if let name = Name(rawValue: text) {
        guard values.updateValue(value, forKey: name) == nil else {
          throw .malformed("the SCGI head has \(text) twice")
        }
      }
    }
    guard values[.protocolVersion] == [UInt8(ascii: "1")] else { throw .malformed("the SCGI head must have SCGI=1") }
  }
}
