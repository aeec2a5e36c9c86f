/// The parts of a postgresql:// URL that confinement needs. libpq reads the rest
/// (https://www.postgresql.org/docs/15/libpq-connect.html, 34.1.1.2).
struct DatabaseAddress {
  /// The TCP ports of the named hosts.
  private(set) var ports: [Int] = []
  /// True if it leads to a Unix socket.
  private(set) var isLocal = false
  /// The certificate, key and password files that it names.
  private(set) var files: [String] = []
  private(set) var namesUser = false

  private static let fileWords: Set<String> = [
    "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "passfile",
  ]

  /// Nil if `url` is not a postgresql:// URL.
  init?(_ url: String) {
    guard let scheme = ["postgresql://", "postgres://"].first(where: url.hasPrefix) else { return nil }
    var rest = url.dropFirst(scheme.count)
    // As in libpq, the login ends at the first @ before any slash, whatever other characters it contains.
    if let at = rest.firstIndex(where: { "@/".contains($0) }), rest[at] == "@" {
      namesUser = rest.first != ":" && rest.first != "@"
      rest = rest[rest.index(after: at)...]
    }
    let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let hosts = parts[0].prefix { $0 != "/" }
    var names: [String] = []
    var numbers: [String] = []
    for host in hosts.split(separator: ",", omittingEmptySubsequences: false) {
      let (name, port) = Self.parted(host)
      names.append(name)
      numbers.append(port)
    }
    for (word, value) in parts.count > 1 ? Self.words(parts[1]) : [] {
      switch word {
      case "host", "hostaddr": names = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      case "port": numbers = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      case "user": namesUser = true
      case _ where Self.fileWords.contains(word): files.append(value)
      default: break
      }
    }
    for (index, name) in names.enumerated() {
      if name.isEmpty || name.hasPrefix("/") || name.hasPrefix("@") {
        isLocal = true
      } else {
        // A single port applies to all hosts.
        let number = numbers.count == names.count ? numbers[index] : numbers.first ?? ""
        ports.append(Int(number) ?? 5432)
      }
    }
  }

  /// Splits a host from the port after it.
  private static func parted(_ text: Substring) -> (String, String) {
    guard let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") else { return (decoded(text), "") }
    return (decoded(text[..<colon]), String(text[text.index(after: colon)...]))
  }

  private static func words(_ query: Substring) -> [(String, String)] {
    query.split(separator: "&").map { word in
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (decoded(parts[0]), parts.count > 1 ? decoded(parts[1]) : "")
    }
  }

  /// Decodes percent-encoding.
  private static func decoded(_ text: Substring) -> String {
    guard text.utf8.contains(0x25) else { return String(text) }
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
      let digits = bytes.dropFirst(at + 1).prefix(2)
      if bytes[at] == 0x25, digits.count == 2, let byte = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) {
        out.append(byte)
        at += 3
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
