import Handler
import Host

/// Goes over the bytes of a connection ahead of the parser, and says where they are no HTTP/1 that every reader would
/// understand alike (RFC 9112): the parser is made to be tolerant, and two tolerant readers in a row can be told apart.
///
/// It knows where each message begins and ends, and so also whether one has begun.
struct FramingScanner: Sendable {
  enum Fault: Sendable, Equatable {
    case malformed(String)
    case lineTooLong
    case headersTooLarge
    /// A method that no route can have; the line is in order otherwise.
    case unknownMethod(String, target: String)
  }

  /// The methods that routes may have.
  static let methods: Set<String> = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
  static let fieldLimit = 100
  /// Of a chunk's size line: what stands behind the size means nothing to anybody.
  private static let extensionLimit = 256
  private static let sizeDigits = 16

  private enum Phase: Equatable {
    case requestLine, field, chunkSize, chunkEnd, trailer
    case body(left: Int)
    case chunk(left: Int)
  }

  private let lineLimit: Int
  private let headersLimit: Int
  private var phase = Phase.requestLine
  private var line: [UInt8] = []
  private var hasCarriageReturn = false
  /// Of this message: its empty lines before the first, and how large its head or its trailers are so far.
  private var emptyLines = 0
  private var headBytes = 0
  private var fields = 0
  private var isOld = false
  private var length: Int?
  private var isChunked = false

  /// Set once, with the first byte that is wrong. Nothing is read after it.
  private(set) var fault: Fault?
  /// How many bytes of a request line that is not complete have come, and of an empty one before it.
  private(set) var lineBytes = 0

  init(_ budgets: Budgets = Budgets()) {
    lineLimit = budgets.requestLine
    headersLimit = budgets.headers
  }

  /// Whether a head has begun and not ended.
  var isInHead: Bool { phase == .requestLine ? lineBytes > 0 : phase == .field }

  /// Takes the next bytes; how many of them stand before a fault, all of them where there is none.
  mutating func feed(_ bytes: some RandomAccessCollection<UInt8>) -> Int {
    var rest = bytes[...]
    while fault == nil, let byte = rest.first {
      switch phase {
      case .body(let left):
        let count = min(left, rest.count)
        rest = rest.dropFirst(count)
        phase = count == left ? .requestLine : .body(left: left - count)
      case .chunk(let left):
        let count = min(left, rest.count)
        rest = rest.dropFirst(count)
        phase = count == left ? .chunkEnd : .chunk(left: left - count)
      default:
        let wasInLine = phase == .requestLine
        take(byte)
        guard fault == nil else { break }
        rest = rest.dropFirst()
        if wasInLine, phase == .requestLine { lineBytes += 1 }
      }
    }
    return bytes.count - rest.count
  }

  /// One byte of a line. Only CR and LF together end one.
  private mutating func take(_ byte: UInt8) {
    switch byte {
    case _ where hasCarriageReturn:
      guard byte == 0x0A else { return refuse("a CR stands alone") }
      hasCarriageReturn = false
    case 0x0A: return refuse("a LF stands alone")
    case 0x0D: hasCarriageReturn = true
    case 0x00..<0x09, 0x0B..<0x20, 0x7F: return refuse("a control character is in the head or in a chunk's frame")
    default: line.append(byte)
    }
    check(length: line.count)
    if fault == nil, byte == 0x0A {
      let complete = line
      line.removeAll(keepingCapacity: true)
      end(complete)
    }
  }

  private mutating func check(length: Int) {
    switch phase {
    case .requestLine: if length > lineLimit - 2 { fault = .lineTooLong }
    case .field, .trailer: if headBytes + length > headersLimit { fault = .headersTooLarge }
    case .chunkSize:
      if length > Self.sizeDigits + Self.extensionLimit { refuse("the size line of a chunk is too long") }
    case .chunkEnd: if length > 0 { refuse("a chunk is longer than its size") }
    case .body, .chunk: break
    }
  }

  private mutating func end(_ line: [UInt8]) {
    switch phase {
    case .requestLine:
      guard line.isEmpty else { return requestLine(line) }
      // RFC 9112 §2.2 wants one forgiven.
      emptyLines += 1
      if emptyLines > 1 { refuse("empty lines stand before the request") }
    case .field: line.isEmpty ? endOfHead() : field(line)
    case .trailer: line.isEmpty ? beginMessage() : field(line)
    case .chunkSize: chunkSize(line)
    case .chunkEnd: phase = .chunkSize
    case .body, .chunk: break
    }
  }

  private mutating func requestLine(_ line: [UInt8]) {
    let parts = line.split(separator: 0x20, omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard parts.count == 3, line.allSatisfy({ 0x20...0x7E ~= $0 }), Header.isToken(parts[0]), !parts[1].isEmpty,
      parts[0].utf8.allSatisfy({ !(0x61...0x7A ~= $0) })
    else { return refuse("the request line is malformed") }
    guard parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0" else {
      return refuse("the protocol must be HTTP/1.1 or HTTP/1.0")
    }
    guard Self.methods.contains(parts[0]) else {
      fault = .unknownMethod(parts[0], target: parts[1])
      return
    }
    beginMessage()
    isOld = parts[2] == "HTTP/1.0"
    phase = .field
  }

  private mutating func beginMessage() {
    phase = .requestLine
    (lineBytes, emptyLines, headBytes, fields) = (0, 0, 0, 0)
    (length, isChunked) = (nil, false)
  }

  private mutating func field(_ line: [UInt8]) {
    headBytes += line.count + 2
    fields += 1
    guard fields <= Self.fieldLimit else {
      fault = .headersTooLarge
      return
    }
    let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
    guard name.utf8.count < line.count, Header.isToken(name) else { return refuse("a header is malformed") }
    // What frames the body or names the host is written plainly: one blank at most, and the value.
    var value = line.dropFirst(name.utf8.count + 1)
    if value.first == 0x20 { value = value.dropFirst() }
    switch (name.lowercased(), phase) {
    case ("host", .field):
      let ends = [value.first, value.last].compactMap { $0 }
      if ends.contains(0x20) || ends.contains(0x09) { refuse("the Host is malformed") }
    case ("content-length", .trailer), ("transfer-encoding", .trailer), ("host", .trailer):
      refuse("a trailer is malformed")
    case ("content-length", _):
      guard length == nil, !isChunked else { return refuse("the body is delimited twice") }
      guard 1...18 ~= value.count, value.allSatisfy({ 0x30...0x39 ~= $0 }) else {
        return refuse("Content-Length is malformed")
      }
      length = value.reduce(0) { $0 * 10 + Int($1) - 0x30 }
    case ("transfer-encoding", _):
      guard length == nil, !isChunked else { return refuse("the body is delimited twice") }
      guard !isOld, value.map({ $0 | 0x20 }) == Array("chunked".utf8) else {
        return refuse("Transfer-Encoding may only be chunked")
      }
      isChunked = true
    default: break
    }
  }

  private mutating func endOfHead() {
    if isChunked {
      phase = .chunkSize
    } else if let length, length > 0 {
      beginMessage()
      phase = .body(left: length)
    } else {
      beginMessage()
    }
  }

  /// Hexadecimal digits, and perhaps an extension behind a semicolon.
  private mutating func chunkSize(_ line: [UInt8]) {
    let digits = line.prefix { $0 != UInt8(ascii: ";") }
    var size = 0
    for digit in digits {
      let value: UInt8
      switch digit {
      case 0x30...0x39: value = digit - 0x30
      case 0x41...0x46: value = digit - 0x41 + 10
      case 0x61...0x66: value = digit - 0x61 + 10
      default: return refuse("the size of a chunk is malformed")
      }
      guard size < 1 << 58 else { return refuse("the size of a chunk is malformed") }
      size = size << 4 | Int(value)
    }
    guard 1...Self.sizeDigits ~= digits.count, line.allSatisfy({ $0 < 0x80 }),
      line.count - digits.count <= Self.extensionLimit
    else { return refuse("the size line of a chunk is malformed") }
    phase = size == 0 ? .trailer : .chunk(left: size)
  }

  private mutating func refuse(_ reason: String) { fault = .malformed(reason) }
}
