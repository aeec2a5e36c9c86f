import Wire

/// Checks Telegram's HTML (Bot API, "HTML style") as strictly as the stand-in needs: only supported tags, properly
/// nested, and only supported entities.
enum TelegramMarkUp {
  private static let tags: Set<String> = [
    "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "a", "blockquote", "tg-spoiler",
  ]
  private static let entities: Set<String> = ["lt", "gt", "amp", "quot"]

  /// Returns the error that Telegram would report. Nil if there is none.
  static func fault(_ text: String) -> String? {
    var open: [String] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "&") {
        let name = String(decoding: rest.prefix { $0 != UInt8(ascii: ";") }.prefix(8), as: UTF8.self)
        let isNumber = name.first == "#" && name.dropFirst().allSatisfy { $0.isASCII && $0.isNumber } && name.count > 1
        // Telegram accepts a bare ampersand as text. Here it is an error, because it shows that escaping is missing.
        if !isNumber, !entities.contains(name) { return "Unexpected ampersand" }
      } else if byte == UInt8(ascii: "<") {
        guard let end = rest.firstIndex(of: UInt8(ascii: ">")) else { return "Unclosed start tag" }
        let tag = String(decoding: rest[..<end], as: UTF8.self)
        rest = rest[(end + 1)...]
        if tag.hasPrefix("/") {
          guard open.popLast() == String(tag.dropFirst()) else { return "Unexpected end tag" }
        } else {
          let name = String(tag.prefix { $0 != " " })
          guard tags.contains(name) else { return "Unsupported start tag \"\(name)\"" }
          open.append(name)
        }
      } else if byte == UInt8(ascii: ">") {
        return "Unexpected \">\""
      }
    }
    return open.last.map { "Can't find end tag corresponding to start tag \"\($0)\"" }
  }
}

/// Checks the limits of Block Kit that the stand-in enforces, in Unicode scalars.
enum BlockRules {
  /// Not in Slack's documentation; in practice the limit is about 13,200.
  private static let messageLimit = 13_200

  /// Returns Slack's error code for invalid blocks. Nil if they are valid.
  static func fault(_ blocks: [JSON]) -> String? {
    guard blocks.count <= 50 else { return "invalid_blocks" }
    for block in blocks where !isSound(block) { return "invalid_blocks" }
    return blocks.reduce(0) { $0 + count($1) } > messageLimit ? "msg_blocks_too_long" : nil
  }

  private static func isSound(_ block: JSON) -> Bool {
    switch block["type"]?.string {
    case "header": isText(block["text"], 150) && block["text"]?["type"] == "plain_text"
    case "section":
      (block["text"] != nil || block["fields"] != nil) && (block["text"].map { isText($0, 3000) } ?? true)
        && (block["fields"].map { ($0.array?.count).map { 1...10 ~= $0 } == true } ?? true)
        && (block["fields"]?.array ?? []).allSatisfy { isText($0, 2000) }
    case "actions":
      (block["elements"]?.array?.count).map { 1...25 ~= $0 } == true
        && (block["elements"]?.array ?? []).allSatisfy {
          isText($0["text"], 75) && ($0["url"]?.string?.unicodeScalars.count ?? 0) <= 3000
        }
    default: false
    }
  }

  private static func isText(_ text: JSON?, _ limit: Int) -> Bool {
    guard let said = text?["text"]?.string, ["plain_text", "mrkdwn"].contains(text?["type"]?.string) else {
      return false
    }
    return 1...limit ~= said.unicodeScalars.count
  }

  private static func count(_ json: JSON) -> Int {
    switch json {
    case .array(let items): items.reduce(0) { $0 + count($1) }
    case .object(let members): members.reduce(0) { $0 + ($1.key == "type" ? 0 : count($1.value)) }
    case .string(let text): text.unicodeScalars.count
    default: 0
    }
  }
}
