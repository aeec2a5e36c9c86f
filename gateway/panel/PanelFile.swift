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
    guard let gzip, AcceptedEncoding.takesGzip(encodings) else { return plain }
    return gzip
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
