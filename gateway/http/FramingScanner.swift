import Contract
import Host

/// Checks the bytes of a connection before the parser gets them, and reports those that are not strict HTTP/1
/// (RFC 9112). The parser is tolerant, and two tolerant programs in a row can read the same bytes as different
/// requests.
///
/// The scanner tracks where each message begins and ends, and therefore whether one has begun.
struct FramingScanner: Sendable {
  /// A rule that a request breaks.
  enum Violation: Error, Equatable {
    case malformed(String)
    case lineTooLong
    case headersTooLarge
    /// The method is one that no route may have. The rest of the line is valid.
    case unknownMethod(String, target: String)
  }

  /// How many bytes may follow the size of a chunk on its line.
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
  /// For the current message: the empty lines before it, and the size of its head or trailers so far.
  private var emptyLines = 0
  private var headBytes = 0
  private var fields = 0
  private var isHTTP10 = false
  private var length: Int?
  private var isChunked = false

  /// The first violation. Nothing after it is read.
  private(set) var violation: Violation?
  /// How many bytes of an incomplete request line have arrived, including an empty line before it.
  private(set) var lineBytes = 0
  /// True if the bytes of the last `feed` went to the end of a message.
  private(set) var hasEnded = false

  init(_ budgets: Budgets = Budgets()) {
    lineLimit = budgets.requestLine
    headersLimit = budgets.headers
  }

  /// True if a head has begun and not ended.
  var isInHead: Bool { phase == .requestLine ? lineBytes > 0 : phase == .field }

  /// Reads the next bytes, at most to the end of a message. Returns how many it has read; those from a violation on are
  /// not included.
  mutating func feed(_ bytes: some RandomAccessCollection<UInt8>) -> Int {
    var rest = bytes[...]
    hasEnded = false
    while violation == nil, !hasEnded, let byte = rest.first {
      switch phase {
      case .body(let left):
        let count = min(left, rest.count)
        rest = rest.dropFirst(count)
        if count == left { endMessage() } else { phase = .body(left: left - count) }
      case .chunk(let left):
        let count = min(left, rest.count)
        rest = rest.dropFirst(count)
        phase = count == left ? .chunkEnd : .chunk(left: left - count)
      default:
        let wasInLine = phase == .requestLine
        let plain = takePlain(rest)
        if plain > 0 {
          rest = rest.dropFirst(plain)
          if wasInLine { lineBytes += plain }
          continue
        }
        take(byte)
        guard violation == nil else { break }
        rest = rest.dropFirst()
        if wasInLine, phase == .requestLine { lineBytes += 1 }
      }
    }
    return bytes.count - rest.count
  }

  /// Reads the bytes up to the first one that ends the line or breaks a rule. Returns how many these are.
  private mutating func takePlain(_ bytes: some RandomAccessCollection<UInt8>) -> Int {
    guard !hasCarriageReturn else { return 0 }
    let plain = bytes.prefix(max(0, lengthLimit - line.count)).prefix { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    line += plain
    return plain.count
  }

  /// Reads one byte of a line. Only CR and LF together end a line.
  private mutating func take(_ byte: UInt8) {
    switch byte {
    case _ where hasCarriageReturn:
      guard byte == 0x0A else { return refuse("a CR without LF") }
      hasCarriageReturn = false
    case 0x0A: return refuse("a LF without CR")
    case 0x0D: hasCarriageReturn = true
    case 0x00..<0x09, 0x0B..<0x20, 0x7F: return refuse("a control character in the head or in the framing of a chunk")
    default: line.append(byte)
    }
    if line.count > lengthLimit { return refuseLength() }
    if byte == 0x0A {
      let complete = line
      line.removeAll(keepingCapacity: true)
      end(complete)
    }
  }

  /// The maximum length of the current line, without CR and LF.
  private var lengthLimit: Int {
    switch phase {
    case .requestLine: lineLimit - 2
    case .field, .trailer: headersLimit - headBytes
    case .chunkSize: Self.sizeDigits + Self.extensionLimit
    case .chunkEnd, .body, .chunk: 0
    }
  }

  private mutating func refuseLength() {
    switch phase {
    case .requestLine: violation = .lineTooLong
    case .field, .trailer: violation = .headersTooLarge
    case .chunkSize: refuse("the size line of a chunk is too long")
    case .chunkEnd, .body, .chunk: refuse("a chunk is longer than its size")
    }
  }

  private mutating func end(_ line: [UInt8]) {
    switch phase {
    case .requestLine:
      guard line.isEmpty else { return requestLine(line) }
      // RFC 9112 §2.2 allows one empty line.
      emptyLines += 1
      if emptyLines > 1 { refuse("more than one empty line before the request") }
    case .field: line.isEmpty ? endOfHead() : field(line)
    case .trailer: line.isEmpty ? endMessage() : field(line)
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
    guard RouteMethods.all.contains(parts[0]) else {
      violation = .unknownMethod(parts[0], target: parts[1])
      return
    }
    beginMessage()
    isHTTP10 = parts[2] == "HTTP/1.0"
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
    guard fields <= MessageHead.fieldLimit else {
      violation = .headersTooLarge
      return
    }
    let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
    guard name.utf8.count < line.count, Header.isToken(name) else { return refuse("a header is malformed") }
    // In headers that delimit the body or name the host, at most one space may precede the value.
    var value = line.dropFirst(name.utf8.count + 1)
    if value.first == 0x20 { value = value.dropFirst() }
    switch (name.lowercased(), phase) {
    case ("host", .field):
      let ends = [value.first, value.last].compactMap { $0 }
      if ends.contains(0x20) || ends.contains(0x09) { refuse("the Host header is malformed") }
    case ("content-length", .trailer), ("transfer-encoding", .trailer), ("host", .trailer):
      refuse("a trailer is malformed")
    case ("content-length", _):
      guard length == nil, !isChunked else { return refuse("the body has more than one length") }
      guard 1...18 ~= value.count, value.allSatisfy({ 0x30...0x39 ~= $0 }) else {
        return refuse("Content-Length is malformed")
      }
      length = value.reduce(0) { $0 * 10 + Int($1) - 0x30 }
    case ("transfer-encoding", _):
      guard length == nil, !isChunked else { return refuse("the body has more than one length") }
      guard !isHTTP10, value.map({ $0 | 0x20 }) == Array("chunked".utf8) else {
        return refuse("Transfer-Encoding must be chunked")
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
      endMessage()
    }
  }

  private mutating func endMessage() {
    beginMessage()
    hasEnded = true
  }

  /// Reads hexadecimal digits and an optional extension after a semicolon.
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

  private mutating func refuse(_ reason: String) { violation = .malformed(reason) }
}
