/// A language of what visitors without an account see: pages and receipts.
package enum VisitorLanguage: String, Sendable, CaseIterable {
  case english = "en"
  case arabic = "ar"

  package var isRightToLeft: Bool { self == .arabic }

  /// The value of HTML's `dir`.
  package var direction: String { isRightToLeft ? "rtl" : "ltr" }

  package var other: VisitorLanguage { self == .arabic ? .english : .arabic }

  /// Chooses the text.
  package func text(_ english: String, _ arabic: String) -> String { self == .arabic ? arabic : english }
}
