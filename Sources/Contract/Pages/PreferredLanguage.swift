import Forms
import Wire

extension VisitorLanguage {
  /// The language that the form names in the field `language`, else the one that the browser prefers.
  package init(_ request: Request, _ form: PostedForm? = nil) {
    self = form?["language"].flatMap({ Self(tag: $0[...]) }) ?? Self(accepting: request.headers["accept-language"])
  }

  /// The language that a browser prefers (RFC 9110 §12.5.4), else English.
  package init(accepting header: String?) {
    var best: (language: VisitorLanguage, weight: Double)?
    for item in (header ?? "").split(separator: ",").prefix(20) {
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
