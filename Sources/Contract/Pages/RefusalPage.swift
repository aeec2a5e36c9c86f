import Forms
import Wire

/// The page instead of a problem for a person whose browser has posted a form without a script. Servers use it for what
/// they refuse before the handler, which makes its own pages, sees the form.
package struct RefusalPage: Sendable {
  private let language: VisitorLanguage

  /// Nil unless a browser has posted a form to a handler that takes forms, and shows the reply as a page. `text/plain` is
  /// the third type that a browser can post; no handler takes it.
  package init?(_ headers: [String: String], to description: Description) {
    let type = headers["content-type"] ?? ""
    guard description.takesForms, Self.takesPages(headers["accept"] ?? ""),
      FormType.isNamed(in: type) || HeaderParameters(type).value.lowercased() == "text/plain"
    else { return nil }
    // The form's own language is in its body, which has not been read.
    language = VisitorLanguage(accepting: headers["accept-language"])
  }

  /// True if an Accept header names HTML. `*/*` alone is what scripts send.
  private static func takesPages(_ accept: String) -> Bool {
    accept.split(separator: ",").contains { item in
      let parameters = HeaderParameters(String(item))
      let isRefused = parameters["q"].map { $0.allSatisfy { $0 == "0" || $0 == "." } } ?? false
      return parameters.value.lowercased() == "text/html" && !isRefused
    }
  }

  /// Returns the page instead of a problem, with the problem's status and headers; any other reply as it is. The sentence
  /// is in both languages, because the browser's may not be the form's.
  package func shown(_ reply: Reply) -> Reply {
    guard reply.status >= 400, reply.headers["content-type"] == "application/problem+json" else { return reply }
    let seconds = reply.headers["retry-after"].flatMap { Int($0) }
    let sentences = [language, language.other].map { language in
      let role = language == self.language ? "role=\"alert\"" : "dir=\"\(language.direction)\""
      let text = Self.explanation(status: reply.status, retryAfter: seconds, language)
      return "<p lang=\"\(language.rawValue)\" \(role)>\(Page.escaped(text))</p>"
    }
    let page = Page(
      language: language, title: language.text("The form was not accepted", "لم يتم قبول النموذج"),
      body: sentences.joined(separator: "\n"))
    return page.reply(status: reply.status, headers: reply.headers.filter { $0.key != "content-type" })
  }

  /// Returns the text for a failure that is not about a field. Only a failure of which that is certain says that nothing
  /// was stored.
  package static func explanation(status: Int, retryAfter seconds: Int? = nil, _ language: VisitorLanguage) -> String {
    switch status {
    case 403: language.text("This page may not send the form.", "لا يُسمح لهذه الصفحة بإرسال النموذج.")
    case 404: language.text("There is no such subscription.", "لا يوجد اشتراك كهذا.")
    case 408:
      language.text(
        "The form did not arrive in time, and nothing was stored. Please go back and send it again.",
        "لم يصل النموذج في الوقت المحدد ولم يتم حفظ أي شيء. يرجى الرجوع وإرساله من جديد.")
    case 413:
      language.text(
        "The form is too large, and nothing was stored. Please go back, shorten the text and send it again.",
        "النموذج كبير جداً ولم يتم حفظ أي شيء. يرجى الرجوع واختصار النص وإرساله من جديد.")
    case 415:
      language.text(
        "The page sends the form in a format that cannot be read, and nothing was stored.",
        "ترسل الصفحة النموذج بصيغة لا يمكن قراءتها، ولم يتم حفظ أي شيء.")
    case 422:
      language.text(
        "This form was sent before with other content. Please open it again.",
        "تم إرسال هذا النموذج سابقاً بمحتوى مختلف. يرجى فتحه من جديد.")
    case 429:
      if let seconds {
        language.text(
          "Too many forms were sent from here, and this one was not stored. Please go back and send it again in \(seconds) "
            + "\(seconds == 1 ? "second." : "seconds.")",
          "أُرسلت نماذج كثيرة من هنا ولم يتم حفظ هذا النموذج. يرجى الرجوع وإرساله من جديد. مدة الانتظار بالثواني: \(seconds)."
        )
      } else {
        language.text(
          "Too many forms were sent from here, and this one was not stored. Please go back and send it again in a minute.",
          "أُرسلت نماذج كثيرة من هنا ولم يتم حفظ هذا النموذج. يرجى الرجوع وإرساله من جديد بعد دقيقة.")
      }
    case 400..<500: language.text("The form could not be read.", "تعذرت قراءة النموذج.")
    default:
      language.text(
        "This did not work. Please go back and try again in a moment.", "لم ينجح ذلك. يرجى الرجوع والمحاولة بعد قليل.")
    }
  }
}
