import Testing
import Wire

@testable import Contract

@Suite("The page instead of a problem") struct RefusalPageTests {
  private static let form = "application/x-www-form-urlencoded"
  private let description = Description(name: "a-a", kind: .endpoint, summary: "s").takingForms

  private func made(_ type: String, _ accept: String, _ language: String = "") -> RefusalPage? {
    RefusalPage(["content-type": type, "accept": accept, "accept-language": language], to: description)
  }

  @Test(
    "is for a browser that has posted a form",
    arguments: [
      (form, "text/html,application/xhtml+xml,*/*;q=0.8"), ("\(form); charset=utf-8", "TEXT/HTML ; q=0.1"),
      ("multipart/form-data; boundary=b", "application/xml, text/html;q=1"), ("text/plain", "text/html"),
    ])
  func pages(type: String, accept: String) { #expect(made(type, accept) != nil) }

  @Test(
    "is not for programs",
    arguments: [
      (form, "*/*"), (form, ""), (form, "text/html;q=0"), (form, "text/html; q=0.0"), (form, "application/json"),
      (form, "text/htmlx"), ("application/json", "text/html"), ("", "text/html"), ("application/xml", "text/html"),
    ])
  func problems(type: String, accept: String) { #expect(made(type, accept) == nil) }

  @Test("is only for handlers that take forms") func otherHandlers() {
    let other = Description(name: "a-a", kind: .endpoint, summary: "s")
    #expect(RefusalPage(["content-type": Self.form, "accept": "text/html"], to: other) == nil)
  }

  @Test("has status and headers of the problem, and says it in both languages", arguments: VisitorLanguage.allCases)
  func shown(language: VisitorLanguage) throws {
    let page = try #require(made(Self.form, "text/html", language.rawValue))
    let reply = page.shown(Problem(.rateLimited, retryAfter: 41).reply(requestID: "r"))
    let text = String(decoding: reply.body, as: UTF8.self)
    #expect(reply.status == 429 && reply.headers["retry-after"] == "41")
    #expect(reply.headers["content-type"] == "text/html; charset=utf-8")
    #expect(reply.headers["content-language"] == language.rawValue)
    #expect(text.contains("<html lang=\"\(language.rawValue)\" dir=\"\(language.direction)\">"))
    for language in VisitorLanguage.allCases {
      #expect(text.contains(RefusalPage.explanation(status: 429, retryAfter: 41, language)))
    }
    #expect(text.contains("in 41 seconds"))
  }

  @Test("leaves other replies as they are") func others() throws {
    let page = try #require(made(Self.form, "text/html"))
    for reply in [Reply(["a": 1]), Reply(status: 400, headers: ["content-type": "text/html"], body: [0x61])] {
      #expect(page.shown(reply) == reply)
    }
  }
}
