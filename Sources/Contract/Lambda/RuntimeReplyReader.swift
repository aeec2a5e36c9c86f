import Wire

/// Reads one HTTP/1.1 reply (RFC 9112) from bytes that arrive in pieces of any size. It reads nothing and waits for
/// nothing itself. Whatever a correct server does not write is a failure: the reply of a broken one must not pass for
/// an event.
package struct RuntimeReplyReader {
  /// The maximum size of the status line with all headers, in bytes. The same limit applies to the trailers.
  static let headLimit = 65_536

  private enum State {
    case head
    /// The number of bytes of the body that are still missing.
    case body(Int)
    /// The body ends when the server closes the connection.
    case untilEnd
    case chunkSize
    case chunk(Int)
    case chunkEnd
    case trailers
    case complete
  }

  private let bodyLimit: Int
  private var state = State.head
  private var pending: [UInt8] = []
  /// The position in `pending` up to which everything has been read.
  private var at = 0
  private var status = 0
  private var headers: [String: String] = [:]
  private var isKeptAlive = false
  private var body: [UInt8] = []
  private var trailerSize = 0

  package init(bodyLimit: Int) { self.bodyLimit = bodyLimit }

  /// Adds bytes that have arrived. Returns the reply when it is complete, nil while bytes are missing.
  package mutating func add(_ bytes: some Collection<UInt8>) throws(RuntimeFailure) -> RuntimeReply? {
    pending += bytes
    while try advance() {}
    pending.removeSubrange(..<at)
    at = 0
    guard case .complete = state else { return nil }
    guard pending.isEmpty else { throw RuntimeFailure("there are bytes after the reply") }
    return reply
  }

  /// Reports that the server has closed the connection. Returns the reply if that is how it ends.
  package mutating func end() throws(RuntimeFailure) -> RuntimeReply {
    guard case .untilEnd = state else { throw RuntimeFailure("the connection ended within the reply") }
    return reply
  }

  private var reply: RuntimeReply {
    RuntimeReply(status: status, headers: headers, body: body, isKeptAlive: isKeptAlive)
  }

  /// Reads the next part. Returns false if it has not arrived completely.
  private mutating func advance() throws(RuntimeFailure) -> Bool {
    switch state {
    case .head:
      guard let head = try takeHead() else { return false }
      try read(head: head)
    case .body(let missing):
      let rest = try takeBody(missing)
      state = rest == 0 ? .complete : .body(rest)
      return rest == 0
    case .untilEnd:
      _ = try takeBody(Int.max)
      return false
    case .chunkSize:
      guard let line = try takeLine(limit: 1024) else { return false }
      let size = try Self.chunkSize(line)
      if body.count + size > bodyLimit { throw Self.tooLarge }
      state = size == 0 ? .trailers : .chunk(size)
    case .chunk(let missing):
      let rest = try takeBody(missing)
      state = rest == 0 ? .chunkEnd : .chunk(rest)
      return rest == 0
    case .chunkEnd:
      guard let line = try takeLine(limit: 2) else { return false }
      guard line.isEmpty else { throw RuntimeFailure("a chunk is longer than its size") }
      state = .chunkSize
    case .trailers:
      guard let line = try takeLine(limit: Self.headLimit) else { return false }
      trailerSize += line.count
      guard trailerSize <= Self.headLimit else { throw RuntimeFailure("the trailers are too large") }
      if line.isEmpty { state = .complete }
    case .complete: return false
    }
    return true
  }

  // MARK: - Head

  /// Returns the lines of the head, without the empty line that ends it, once that line has arrived.
  private mutating func takeHead() throws(RuntimeFailure) -> [ArraySlice<UInt8>]? {
    let start = at
    var lines: [ArraySlice<UInt8>] = []
    while let line = try takeLine(limit: Self.headLimit) {
      guard at - start <= Self.headLimit else { break }
      if line.isEmpty { return lines }
      lines.append(line)
    }
    guard pending.count - start <= Self.headLimit else { throw RuntimeFailure("the headers are too large") }
    at = start
    return nil
  }

  private mutating func read(head lines: [ArraySlice<UInt8>]) throws(RuntimeFailure) {
    let first = lines.first.map { Array($0) } ?? []
    // HTTP/1.1 200 OK; the text may be missing.
    guard first.count >= 12, first.starts(with: Array("HTTP/1.".utf8)), first[7] == 0x30 || first[7] == 0x31,
      first[8] == 0x20, first.count == 12 || first[12] == 0x20, let status = Self.number(first[9..<12]), status >= 100
    else { throw RuntimeFailure("the status line is malformed") }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let (name, value) = try Self.field(line)
      headers[name] = headers[name].map { "\($0),\(value)" } ?? value
    }
    // An interim reply is followed by the final one.
    if status < 200 { return }
    self.status = status
    self.headers = headers
    let options = (headers["connection"] ?? "").lowercased().split { ", \t".contains($0) }
    isKeptAlive = first[7] == 0x31 ? !options.contains("close") : options.contains("keep-alive")
    try chooseBody()
  }

  private mutating func chooseBody() throws(RuntimeFailure) {
    if let coding = headers["transfer-encoding"] {
      guard coding.lowercased() == "chunked", headers["content-length"] == nil else {
        throw RuntimeFailure("the framing of the reply is ambiguous")
      }
      state = .chunkSize
    } else if let text = headers["content-length"] {
      guard text.utf8.count <= 10, let length = Self.number(Array(text.utf8)[...]) else {
        throw RuntimeFailure("the Content-Length is malformed")
      }
      if length > bodyLimit { throw Self.tooLarge }
      body.reserveCapacity(length)
      state = length == 0 ? .complete : .body(length)
    } else if status == 204 || status == 304 {
      state = .complete
    } else {
      isKeptAlive = false
      state = .untilEnd
    }
  }

  private static func field(_ line: ArraySlice<UInt8>) throws(RuntimeFailure) -> (name: String, value: String) {
    guard let colon = line.firstIndex(of: 0x3A),
      let name = String(validating: line[..<colon], as: UTF8.self), Header.isToken(name),
      let value = String(validating: line[(colon + 1)...], as: UTF8.self), Header.isClean(value)
    else { throw RuntimeFailure("a header of the reply is malformed") }
    let blanks: Set<Unicode.Scalar> = [" ", "\t"]
    let scalars = value.unicodeScalars.drop { blanks.contains($0) }.reversed().drop { blanks.contains($0) }.reversed()
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars)
    return (name.lowercased(), text)
  }

  // MARK: - Parts

  /// Returns the next line without its CRLF. Nil if it has not arrived completely.
  private mutating func takeLine(limit: Int) throws(RuntimeFailure) -> ArraySlice<UInt8>? {
    guard let end = pending[at...].firstIndex(of: 0x0A) else {
      if pending.count - at > limit { throw RuntimeFailure("a line of the reply is too long") }
      return nil
    }
    guard end > at, pending[end - 1] == 0x0D, end - at <= limit else {
      throw RuntimeFailure("a line of the reply is malformed")
    }
    defer { at = end + 1 }
    return pending[at..<(end - 1)]
  }

  /// Moves at most `missing` bytes to the body. Returns how many of them are still missing.
  private mutating func takeBody(_ missing: Int) throws(RuntimeFailure) -> Int {
    let count = min(missing, pending.count - at)
    if body.count + count > bodyLimit { throw Self.tooLarge }
    body += pending[at..<(at + count)]
    at += count
    return missing - count
  }

  /// Reads the size of a chunk: at most eight hexadecimal digits, then perhaps extensions, which are ignored.
  private static func chunkSize(_ line: ArraySlice<UInt8>) throws(RuntimeFailure) -> Int {
    let digits = line.prefix { $0 != 0x3B && $0 != 0x20 && $0 != 0x09 }
    guard 1...8 ~= digits.count else { throw RuntimeFailure("the size of a chunk is malformed") }
    var size = 0
    for digit in digits {
      switch digit {
      case 0x30...0x39: size = size * 16 + Int(digit) - 0x30
      case 0x41...0x46: size = size * 16 + Int(digit) - 0x37
      case 0x61...0x66: size = size * 16 + Int(digit) - 0x57
      default: throw RuntimeFailure("the size of a chunk is malformed")
      }
    }
    return size
  }

  /// Reads a number of digits only.
  private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
    guard !digits.isEmpty, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1) - 0x30 }
  }

  private static let tooLarge = RuntimeFailure("the body of the reply is too large")
}
