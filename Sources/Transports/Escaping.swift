/// Makes text that people typed safe for its destination.
package enum Escaping {
  /// Escapes Slack's three control characters, so that the text cannot contain mentions or links.
  package static func slack(_ text: String) -> String {
    replace(text) { scalar in
      switch scalar {
      case "&": "&amp;"
      case "<": "&lt;"
      case ">": "&gt;"
      default: nil
      }
    }
  }

  private static func replace(_ text: String, by entity: (Unicode.Scalar) -> String?) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      if let entity = entity(scalar) { out += entity } else { out.unicodeScalars.append(scalar) }
    }
    return out
  }

  /// Puts text with right-to-left letters between FSI and PDI, so that it does not change the order of what follows.
  package static func isolated(_ text: String) -> String {
    let turns = text.unicodeScalars.contains { scalar in
      switch scalar.value {
      case 0x590...0x8FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFC, 0x10800...0x10FFF, 0x1E800...0x1EFFF: true
      default: false
      }
    }
    return turns ? "\u{2068}\(text)\u{2069}" : text
  }
}

/// Truncates text to a provider's limit: before escaping, between Unicode scalars, with an ellipsis that counts towards
/// the limit.
package enum Cut {
  /// `limit` is in Unicode scalars.
  package static func scalars(_ text: String, to limit: Int) -> String { cut(text, to: limit) { _ in 1 } }

  /// `limit` is in UTF-16 units, as Telegram counts.
  package static func utf16(_ text: String, to limit: Int) -> String {
    cut(text, to: limit) { $0.value > 0xFFFF ? 2 : 1 }
  }

  /// `limit` is in Unicode scalars of the text after escaping for Slack.
  package static func slack(_ text: String, to limit: Int) -> String {
    cut(text, to: limit) { $0 == "&" ? 5 : $0 == "<" || $0 == ">" ? 4 : 1 }
  }

  private static func cut(_ text: String, to limit: Int, cost: (Unicode.Scalar) -> Int) -> String {
    var kept = String.UnicodeScalarView()
    var fitting = 0
    var total = 0
    for scalar in text.unicodeScalars {
      total += cost(scalar)
      if total > limit { return String(String.UnicodeScalarView(kept.prefix(fitting))) + (limit > 0 ? "…" : "") }
      kept.append(scalar)
      if total < limit { fitting += 1 }
    }
    return text
  }
}
