import Wire

/// A page for people whose browser runs no script: no style, no script, nothing from elsewhere. Its Content-Security-Policy
/// allows nothing but posting the form on it.
package struct Page: Sendable {
  package let language: VisitorLanguage
  package let title: String
  /// HTML. All text in it must have gone through `escaped`.
  package let body: String
  /// The origins, besides the page's own, to which the reply to its form may redirect: browsers apply form-action to
  /// redirects too.
  package var targets: [WebOrigin]

  package init(language: VisitorLanguage, title: String, body: String, targets: [WebOrigin] = []) {
    self.language = language
    self.title = title
    self.body = body
    self.targets = targets
  }

  package func reply(status: Int, headers: [String: String] = [:]) -> Reply {
    let html = """
      <!DOCTYPE html>
      <html lang="\(language.rawValue)" dir="\(language.direction)">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="robots" content="noindex">
      <title>\(Self.escaped(title))</title>
      </head>
      <body>
      <main>
      <h1>\(Self.escaped(title))</h1>
      \(body)
      </main>
      </body>
      </html>

      """
    let actions = (["'self'"] + targets.map(\.text)).joined(separator: " ")
    let own = [
      "content-type": "text/html; charset=utf-8", "cache-control": "no-store", "content-language": language.rawValue,
      "x-content-type-options": "nosniff",
      // Not no-referrer: a browser would then send `Origin: null` with the form on the page.
      "referrer-policy": "same-origin",
      "content-security-policy":
        "default-src 'none'; form-action \(actions); base-uri 'none'; frame-ancestors 'none'",
    ]
    return Reply(status: status, headers: own.merging(headers) { $1 }, body: Array(html.utf8))
  }

  /// Returns text as HTML, for content and for attribute values in double quotes. Characters that no HTML document may
  /// contain become U+FFFD.
  package static func escaped(_ text: String) -> String {
    let kept = text.unicodeScalars.map { scalar -> Unicode.Scalar in
      switch scalar {
      case "\n", "\r", "\t": scalar
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": "\u{FFFD}"
      default: scalar
      }
    }
    var scalars = String.UnicodeScalarView()
    scalars.append(contentsOf: kept)
    return HTML.escaped(String(scalars))
  }
}
