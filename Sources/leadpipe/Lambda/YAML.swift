import Wire

extension JSON {
  /// The value as a YAML 1.2 document in block style, terminated by a line feed. Every string that could be read as
  /// something else is in double quotes.
  var yaml: String { yamlLines.map { $0 + "\n" }.joined() }

  private var yamlLines: [String] {
    switch self {
    case .object(let members) where !members.isEmpty:
      members.flatMap { member in
        let lines = member.value.yamlLines
        let key = Self.yaml(member.key)
        return member.value.isBlock ? ["\(key):"] + lines.map { "  " + $0 } : ["\(key): \(lines[0])"]
      }
    case .array(let items) where !items.isEmpty:
      items.flatMap { item in
        let lines = item.yamlLines
        return ["- \(lines[0])"] + lines.dropFirst().map { "  " + $0 }
      }
    case .string(let text): [Self.yaml(text)]
    default: [text]
    }
  }

  /// True if it is written on lines of its own.
  private var isBlock: Bool { !(members ?? []).isEmpty || !(array ?? []).isEmpty }

  /// The text without quotes if no YAML reader takes it for anything but this string; otherwise as JSON writes it.
  private static func yaml(_ text: String) -> String {
    let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
    guard let first = text.utf8.first, isLetter(first), text.utf8.allSatisfy(isPlain),
      text.utf8.last != UInt8(ascii: ":"), !words.contains(text.lowercased())
    else { return JSON.string(text).text }
    return text
  }

  private static func isLetter(_ byte: UInt8) -> Bool { 0x41...0x5A ~= byte || 0x61...0x7A ~= byte }

  private static func isPlain(_ byte: UInt8) -> Bool {
    isLetter(byte) || 0x30...0x39 ~= byte || "_./-:".utf8.contains(byte)
  }
}
