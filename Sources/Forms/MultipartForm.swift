extension PostedForm {
  /// The maximum number of parts, and the maximum size of the headers of a part in bytes.
  private static let partLimit = 100
  private static let headLimit = 2048

  /// Reads `multipart/form-data` (RFC 7578). Parts are slices of the body until they are decoded, so a body costs at most
  /// a few times its size. A file is refused; the empty file of an input that was not used is ignored.
  package init(multipart body: [UInt8], boundary: [UInt8]) throws(PostedFormError) {
    self.init()
    var scanner = BoundaryScanner(body, boundary)
    guard scanner.skipPreamble() else { throw PostedFormError(reason: "its boundary does not occur in it") }
    var count = 0
    while let part = try scanner.nextPart() {
      count += 1
      guard count <= Self.partLimit else {
        throw PostedFormError(reason: "it has more than \(Self.partLimit) parts")
      }
      try add(part: part)
    }
  }

  private mutating func add(part: ArraySlice<UInt8>) throws(PostedFormError) {
    let (head, content) = try Self.split(part)
    guard let disposition = Self.header("content-disposition", in: head),
      disposition.value.lowercased() == "form-data", let name = disposition["name"]
    else { throw PostedFormError(reason: "a part has no Content-Disposition of form-data with a name") }
    if let encoding = Self.header("content-transfer-encoding", in: head)?.value.lowercased(),
      !["7bit", "8bit", "binary"].contains(encoding)
    {
      throw PostedFormError(reason: "a part has a transfer encoding")
    }
    if disposition["filename"] != nil || disposition["filename*"] != nil {
      guard content.isEmpty else { throw PostedFormError(reason: "it contains a file, which this form does not take") }
      return
    }
    try add(name: Self.unescaped(name), value: content)
  }

  /// Splits a part at its first empty line. A part without headers begins with the empty line.
  private static func split(
    _ part: ArraySlice<UInt8>
  ) throws(PostedFormError) -> (head: ArraySlice<UInt8>, content: ArraySlice<UInt8>) {
    if part.starts(with: [0x0D, 0x0A]) { return (part.prefix(0), part.dropFirst(2)) }
    var index = part.startIndex
    while index + 3 < part.endIndex, index - part.startIndex <= headLimit {
      if part[index] == 0x0D, part[index + 1] == 0x0A, part[index + 2] == 0x0D, part[index + 3] == 0x0A {
        return (part[..<index], part[(index + 4)...])
      }
      index += 1
    }
    throw PostedFormError(
      reason: "the headers of a part do not end, or are longer than \(headLimit) bytes")
  }

  /// Returns a header of a part. Of several, the first; a line that is no header is ignored.
  private static func header(_ name: String, in head: ArraySlice<UInt8>) -> HeaderParameters? {
    for line in head.split(separator: 0x0A) {
      let line = line.last == 0x0D ? line.dropLast() : line
      guard let colon = line.firstIndex(of: 0x3A) else { continue }
      if String(decoding: line[..<colon], as: UTF8.self).lowercased() == name {
        return HeaderParameters(line[(colon + 1)...])
      }
    }
    return nil
  }

  /// Browsers escape a quotation mark and line ends in a name as %22, %0D and %0A, and nothing else (HTML §4.10.21.8).
  private static func unescaped(_ name: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = Array(name.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == 0x25, rest.count >= 2, let high = digit(rest[rest.startIndex]),
        let low = digit(rest[rest.startIndex + 1]), [0x22, 0x0D, 0x0A].contains(high << 4 | low)
      {
        bytes.append(high << 4 | low)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return bytes
  }
}

/// Finds the delimiter lines of a multipart body (RFC 2046 §5.1.1). Visits each byte once, apart from the length of the
/// boundary.
private struct BoundaryScanner {
  private let body: [UInt8]
  private let delimiter: [UInt8]
  private var position = 0
  private var isAtEnd = false

  init(_ body: [UInt8], _ boundary: [UInt8]) {
    self.body = body
    delimiter = [0x2D, 0x2D] + boundary
  }

  /// A delimiter line: where the content before it ends, where the next part starts, and whether it is the last.
  private struct Line {
    let contentEnd: Int
    let next: Int
    let isLast: Bool
  }

  /// Goes to the first part. The first line may be the delimiter; otherwise a preamble is skipped. False if there is no
  /// delimiter.
  mutating func skipPreamble() -> Bool {
    guard let line = line(at: 0, contentEnd: 0) ?? next(from: 0) else { return false }
    (position, isAtEnd) = (line.next, line.isLast)
    return true
  }

  /// Returns the next part, with its headers; nil after the last one. What follows the last delimiter is ignored.
  mutating func nextPart() throws(PostedFormError) -> ArraySlice<UInt8>? {
    if isAtEnd { return nil }
    // The delimiter of an empty part begins with the line end of the delimiter before it.
    guard let line = next(from: position - 2) else {
      throw PostedFormError(reason: "it ends before its last boundary")
    }
    let part = body[position..<max(position, line.contentEnd)]
    (position, isAtEnd) = (line.next, line.isLast)
    return part
  }

  private func next(from start: Int) -> Line? {
    var index = max(0, start)
    while index + 2 + delimiter.count <= body.count {
      if body[index] == 0x0D, body[index + 1] == 0x0A, let line = line(at: index + 2, contentEnd: index) {
        return line
      }
      index += 1
    }
    return nil
  }

  /// Reads a delimiter at `start`: the boundary, `--` for the last one, blanks, and the end of the line or the body. Nil
  /// for anything else, such as a longer word that begins with the boundary.
  private func line(at start: Int, contentEnd: Int) -> Line? {
    guard start + delimiter.count <= body.count, body[start..<start + delimiter.count].elementsEqual(delimiter) else {
      return nil
    }
    var index = start + delimiter.count
    let isLast = index + 1 < body.count && body[index] == 0x2D && body[index + 1] == 0x2D
    if isLast { index += 2 }
    while index < body.count, body[index] == 0x20 || body[index] == 0x09 { index += 1 }
    if isLast, index == body.count { return Line(contentEnd: contentEnd, next: index, isLast: true) }
    guard index + 1 < body.count, body[index] == 0x0D, body[index + 1] == 0x0A else { return nil }
    return Line(contentEnd: contentEnd, next: index + 2, isLast: isLast)
  }
}
