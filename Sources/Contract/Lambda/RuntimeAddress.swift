import Wire

/// The address of Lambda's runtime API: the value of AWS_LAMBDA_RUNTIME_API, `host:port`.
package struct RuntimeAddress: Sendable, Equatable {
  /// A name or an IPv4 address.
  package let host: String
  package let port: Int

  /// Nil unless the text is a host of letters, digits, dots and hyphens, and a port from 1 to 65535.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, 1...253 ~= parts[0].utf8.count, parts[0].utf8.allSatisfy(Self.isOfName),
      let port = Int(strict: parts[1]), 1...65_535 ~= port
    else { return nil }
    host = String(parts[0])
    self.port = port
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || "-.".utf8.contains(byte)
  }
}
