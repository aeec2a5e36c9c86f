import Contract
import Wire

/// A file of the panel, as it is sent to browsers.
struct PanelFile: Sendable {
  /// The same content in one encoding. Each has its own ETag (RFC 9110 §8.8.3.3).
  struct Variant: Sendable {
    let bytes: [UInt8]
    let etag: String
  }

  let type: String
  let plain: Variant
  /// Nil if there is no compressed copy, or it is not smaller.
  let gzip: Variant?

  /// - Parameter compressed: the file in gzip's format.
  init(_ bytes: [UInt8], type: String, compressed: [UInt8]? = nil) {
    self.type = type
    let digest = hexadecimal(SHA256Digest.of(bytes).prefix(8))
    plain = Variant(bytes: bytes, etag: "\"\(digest)\"")
    gzip = compressed.flatMap { $0.count < bytes.count ? Variant(bytes: $0, etag: "\"\(digest)-gzip\"") : nil }
  }

  /// Returns the variant for a request with this Accept-Encoding header.
  func variant(accepting encodings: String?) -> Variant {
    guard let gzip, let encodings, Self.takesGzip(encodings) else { return plain }
    return gzip
  }

  /// True unless gzip is missing or has the weight 0 (RFC 9110 §12.5.3).
  private static func takesGzip(_ header: String) -> Bool {
    var any = false
    for part in header.lowercased().split(separator: ",") {
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

  /// The media types by the ends of names. A file with another end is refused.
  static let types: [String: String] = [
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
    "json": "application/json", "webmanifest": "application/manifest+json", "txt": "text/plain; charset=utf-8",
    "svg": "image/svg+xml", "png": "image/png", "ico": "image/x-icon", "webp": "image/webp", "woff2": "font/woff2",
  ]

  /// Returns what follows the last dot of a name; nil without a dot.
  static func end(of name: some StringProtocol) -> String? {
    name.lastIndex(of: ".").map { String(name[name.index(after: $0)...]) }
  }
}
