import Contract
import Forms

/// A language of the pages that people without a script see.
package enum PageLanguage: String, Sendable {
  case english = "en"
  case arabic = "ar"

  var direction: String { self == .arabic ? "rtl" : "ltr" }

  /// Chooses the text.
  func text(_ english: String, _ arabic: String) -> String { self == .arabic ? arabic : english }

  /// The language that the form names in the field `language`, else the one that the browser prefers (RFC 9110 §12.5.4),
  /// else English.
  package init(_ request: Request, _ form: PostedForm? = nil) {
    if let named = form?["language"].flatMap({ Self(tag: $0[...]) }) {
      self = named
      return
    }
    var best: (language: PageLanguage, weight: Double)?
    for item in (request.headers["accept-language"] ?? "").split(separator: ",").prefix(20) {
      let parts = item.split(separator: ";")
      guard let language = parts.first.flatMap({ Self(tag: $0) }) else { continue }
      let weight =
        parts.dropFirst().compactMap { part -> Double? in
          let text = part.filter { $0 != " " }
          // `0` to `1` with at most three decimal places; Double would also read words and other bases.
          guard text.hasPrefix("q="), text.utf8.count <= 7, text.dropFirst(2).allSatisfy({ "0123456789.".contains($0) })
          else { return nil }
          return Double(text.dropFirst(2))
        }.first ?? 1
      if weight > best?.weight ?? 0 { best = (language, weight) }
    }
    self = best?.language ?? .english
  }

  /// `ar`, `ar-AE`, `AR`; nil for other languages.
  private init?(tag: Substring) {
    let word = tag.drop { $0 == " " }.prefix { $0 != "-" && $0 != " " && $0 != "_" }.lowercased()
    self.init(rawValue: word)
  }
}
