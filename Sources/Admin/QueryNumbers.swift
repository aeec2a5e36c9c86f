import Leads
import Wire

/// The phone numbers in a search query, read by the same code as those of captured leads.
enum QueryNumbers {
  /// Returns each number as it stands in the query, with its digits in E.164: an argument of the search functions.
  /// These also find the parts of numbers, so a run of digits that is not a whole number needs no entry.
  static func found(in query: String) -> JSON {
    if let number = PhoneNumber(query) { return [entry(query, number)] }
    let scalars = Array(query.unicodeScalars)
    var entries: [JSON] = []
    var index = scalars.startIndex
    while index < scalars.endIndex {
      let end = scalars[index...].firstIndex { !isPart($0) } ?? scalars.endIndex
      if let found = number(in: scalars, index..<end) {
        entries.append(found.entry)
        index = found.end
      } else {
        index = max(end, index + 1)
      }
    }
    return .array(entries)
  }

  /// Reads a run of digits and separators as one number, with `tel:` if that precedes it and the extension if one
  /// follows it. Nil if it is none, or if it is part of a word or an email address.
  private static func number(in scalars: [Unicode.Scalar], _ run: Range<Int>) -> (entry: JSON, end: Int)? {
    guard var start = scalars[run].firstIndex(where: { isDigit($0) || "+＋(".unicodeScalars.contains($0) }),
      let last = scalars[run].lastIndex(where: isDigit), start < last
    else { return nil }
    let prefix = scalars[..<start].suffix(4)
    if String(String.UnicodeScalarView(prefix)).lowercased() == "tel:" { start -= 4 }
    let isApart = { (scalar: Unicode.Scalar?) in
      scalar.map { $0.properties.isWhitespace || isPart($0) || ",;:!?\"'،؛؟".unicodeScalars.contains($0) } ?? true
    }
    guard isApart(scalars[..<start].last) else { return nil }
    let read = { (last: Int) -> (text: String, number: PhoneNumber)? in
      guard isApart(scalars[(last + 1)...].first) else { return nil }
      let text = String(String.UnicodeScalarView(scalars[start...last]))
      return PhoneNumber(text).map { (text, $0) }
    }
    if let last = end(ofExtensionAfter: last, in: scalars), let found = read(last), found.number.phoneExtension != nil {
      return (entry(found.text, found.number), last + 1)
    }
    return read(last).map { (entry($0.text, $0.number), run.upperBound) }
  }

  /// Returns the last of the digits that follow within 20 characters; nil if there are none.
  private static func end(ofExtensionAfter last: Int, in scalars: [Unicode.Scalar]) -> Int? {
    let near = scalars[(last + 1)...].prefix(20)
    guard let first = near.firstIndex(where: isDigit) else { return nil }
    return near[first...].prefix(while: isDigit).indices.last
  }

  private static func entry(_ text: String, _ number: PhoneNumber) -> JSON {
    ["text": .string(text), "digits": .string(String(number.e164.dropFirst()))]
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType == .decimal }

  /// True for a scalar that may be inside a number.
  private static func isPart(_ scalar: Unicode.Scalar) -> Bool {
    let categories: [Unicode.GeneralCategory] = [.format, .spaceSeparator, .dashPunctuation]
    return isDigit(scalar) || categories.contains(scalar.properties.generalCategory)
      || "+＋()./".unicodeScalars.contains(scalar)
  }
}
