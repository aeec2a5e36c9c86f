/// The request header Accept-Encoding.
enum AcceptedEncoding {
  /// True unless gzip is missing or has the weight 0 (RFC 9110 §12.5.3). Without the header nothing is compressed: a
  /// client that can decompress says so.
  static func takesGzip(_ header: String?) -> Bool {
    var any = false
    for part in (header ?? "").lowercased().split(separator: ",") {
      let words = part.split { " \t;".contains($0) }
      guard let name = words.first else { continue }
      let isTaken = !words.dropFirst().contains(where: isZero)
      if name == "gzip" || name == "x-gzip" { return isTaken }
      if name == "*" { any = isTaken }
    }
    return any
  }

  /// True for `q=0`, `q=0.0` and so on.
  private static func isZero(_ weight: Substring) -> Bool {
    weight.hasPrefix("q=0") && weight.dropFirst(3).allSatisfy { "0.".contains($0) }
  }
}
