import Host

/// Reads the one request of an SCGI connection: a netstring with the head, and a body of exactly CONTENT_LENGTH bytes.
/// Like `FramingScanner`, it accepts what can be read in one way only. How the bytes are split makes no difference.
struct SCGIDecoder: Sendable {
  enum Part: Sendable, Equatable {
    case head(SCGIHead)
    case body([UInt8])
    case end
  }

  private enum Phase: Equatable {
    case length(digits: Int, value: Int)
    case head(left: Int)
    case comma
    case body(left: Int)
    case ended
  }

  /// How much longer than the HTTP head that it contains a head may be: for the variables of the web server.
  private static let variablesLimit = 8192

  private let budgets: Budgets
  private var phase = Phase.length(digits: 0, value: 0)
  private var head: [UInt8] = []

  /// The first violation. Nothing after it is read.
  private(set) var violation: FramingScanner.Violation?

  init(_ budgets: Budgets = Budgets()) { self.budgets = budgets }

  /// True if a request has begun and not ended.
  var isInRequest: Bool { phase != .ended && phase != .length(digits: 0, value: 0) }

  /// The maximum length of the netstring. A web server sends the target up to three times: as REQUEST_URI, DOCUMENT_URI
  /// and QUERY_STRING.
  private var headLimit: Int { budgets.headers + 3 * budgets.requestLine + Self.variablesLimit }

  /// Reads the next bytes. Returns the parts of the request that they complete. Bytes after the request are ignored,
  /// because a connection has one request.
  mutating func feed(_ bytes: some RandomAccessCollection<UInt8>) -> [Part] {
    var rest = bytes[...]
    var parts: [Part] = []
    while violation == nil, phase != .ended, let byte = rest.first {
      switch phase {
      case .length(let digits, let value):
        rest = rest.dropFirst()
        length(byte, digits, value)
      case .head(let left):
        let part = rest.prefix(left)
        rest = rest.dropFirst(part.count)
        head += part
        phase = part.count == left ? .comma : .head(left: left - part.count)
      case .comma:
        rest = rest.dropFirst()
        guard byte == UInt8(ascii: ",") else {
          refuse("the length of the SCGI head is wrong")
          break
        }
        parts += endOfHead()
      case .body(let left):
        let part = Array(rest.prefix(left))
        rest = rest.dropFirst(part.count)
        parts.append(.body(part))
        phase = .body(left: left - part.count)
        if part.count == left { parts.append(end()) }
      case .ended: break
      }
    }
    return parts
  }

  /// The client sends no more. It is a violation if a request has begun and is not complete.
  mutating func endOfInput() {
    if violation == nil, isInRequest { refuse("the request ends early") }
  }

  private mutating func length(_ byte: UInt8, _ digits: Int, _ value: Int) {
    switch byte {
    case 0x30...0x39 where digits == 0 || value > 0:
      let value = value * 10 + Int(byte - 0x30)
      guard value <= headLimit else {
        violation = .headersTooLarge
        return
      }
      phase = .length(digits: digits + 1, value: value)
    case UInt8(ascii: ":") where value > 0:
      head.reserveCapacity(value)
      phase = .head(left: value)
    default: refuse("the length of the SCGI head is malformed")
    }
  }

  private mutating func endOfHead() -> [Part] {
    do throws(FramingScanner.Violation) {
      let complete = try SCGIHead(head, budgets)
      head = []
      phase = .body(left: complete.bodyLength)
      return [.head(complete)] + (complete.bodyLength == 0 ? [end()] : [])
    } catch {
      violation = error
      return []
    }
  }

  private mutating func end() -> Part {
    phase = .ended
    return .end
  }

  private mutating func refuse(_ reason: String) { violation = .malformed(reason) }
}
