import Contract
import Wire

/// The page with one button that ends a subscription. Without a token that can be one, it asks for the address.
package struct UnsubscribePage {
  private let request: Request

  package init(_ request: Request) { self.request = request }

  package var reply: Reply {
    let language = VisitorLanguage(request)
    let words = FormWords.unsubscribe
    let token = request.query["token"].flatMap { UUIDText($0) }
    let field =
      token.map { "<input type=\"hidden\" name=\"token\" value=\"\(Page.escaped($0.text))\">" }
      ?? "<p><label for=\"field-email\">\(Page.escaped(words.fields[0].label(language)))</label><br>"
      + "<input type=\"email\" id=\"field-email\" name=\"email\" autocomplete=\"email\" required></p>"
    let body = """
      <form method="post" action="../api/newsletter/unsubscribe" accept-charset="utf-8">
      \(field)
      <input type="hidden" name="language" value="\(language.rawValue)">
      <p><button>\(Page.escaped(words.button(language)))</button></p>
      </form>
      """
    return Page(language: language, title: words.title(language), body: body).reply(status: 200)
  }
}
