import Contract

/// A page for people whose browser runs no script: no style, no script, nothing from elsewhere. Its Content-Security-Policy
/// allows nothing but posting the form on it.
struct Page {
  let language: PageLanguage
  let title: String
  /// HTML. All text in it must have gone through `escaped`.
  let body: String
  /// The origins, besides the page's own, to which the reply to its form may redirect: browsers apply form-action to
  /// redirects too.
  var targets: [WebOrigin] = []

  func reply(status: Int, headers: [String: String] = [:]) -> Reply {
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
  static func escaped(_ text: String) -> String {
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": scalars.append(contentsOf: "&amp;".unicodeScalars)
      case "<": scalars.append(contentsOf: "&lt;".unicodeScalars)
      case ">": scalars.append(contentsOf: "&gt;".unicodeScalars)
      case "\"": scalars.append(contentsOf: "&quot;".unicodeScalars)
      case "'": scalars.append(contentsOf: "&#39;".unicodeScalars)
      case "\n", "\r", "\t": scalars.append(scalar)
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": scalars.append("\u{FFFD}")
      default: scalars.append(scalar)
      }
    }
    return String(scalars)
  }
}
