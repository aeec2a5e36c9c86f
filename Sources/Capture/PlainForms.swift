import Contract
import Forms
import Leads
import StoreAccess
import Wire

/// Forms that a browser posts without a script: which pages may send them, and the page or the redirect that answers.
package struct PlainForms: Sendable {
  package static let settings: [Setting] = [.frontendURL, .allowedOrigins, .formThanks]

  private let origins: [WebOrigin]
  private let thanks: String?

  package init(_ settings: Settings) {
    let site = settings["FRONTEND_URL"].flatMap { WebOrigin(ofAddress: $0) }
    origins = [site].compactMap { $0 } + (settings["ALLOWED_ORIGINS"].flatMap { WebOrigin.list($0) } ?? [])
    thanks = settings["FORM_THANKS_URL"].flatMap { WebAddress($0)?.text }
  }

  /// Returns the body of a request: JSON, or the fields of a posted form, as the JSON that a script would send. Fields
  /// that the form does not have are left out.
  package func content(of request: Request, for form: Form) throws(Problem) -> JSON {
    guard let sentForm = request.form else { return try request.json() }
    try checkOrigin(of: request)
    let posted = try sentForm.get()
    var sent: [String: String] = [:]
    for field in form.fields { sent[field.name] = posted[field.name] }
    if form.fields.contains(where: { $0.name == "language" }) {
      sent["language"] = VisitorLanguage(request, posted).rawValue
    }
    // The order of the members must not depend on the run: identical forms are recognised by their content.
    let guarded = GuardFields.names.compactMap { name in posted[name].map { JSON.Member(name, .string($0)) } }
    return .object((form.document(query: sent).members ?? []) + guarded)
  }

  /// Returns the reply for a person to a posted form, from the reply for a program; to any other request the reply as it
  /// is.
  package func shown(
    _ result: Result<Reply, Problem>, to request: Request, _ words: FormWords, log: Log
  ) -> Result<Reply, Problem> {
    guard let form = request.form else { return result }
    let posted: PostedForm? = if case .success(let read) = form { read } else { nil }
    let language = VisitorLanguage(request, posted)
    switch result {
    case .success(let reply):
      // A redirect has the page too: the classic watchdog of OpenFaaS passes no status and no header on.
      let target = target(named: posted?["thanks"], request)
      let page = Page(
        language: language, title: words.title(language), body: "<p>\(Page.escaped(words.thanks(language)))</p>")
      var headers = reply.headers.filter { $0.key == "idempotency-replayed" }
      headers["location"] = target
      return .success(page.reply(status: target == nil ? reply.status : 303, headers: headers))
    case .failure(let problem):
      if problem.code == .invalidFields, let posted {
        let targets = target(named: posted["thanks"], request).flatMap { WebOrigin(ofAddress: $0) }
        return .success(
          FormPage(
            words: words, form: posted, errors: problem.fields, language: language,
            targets: [targets].compactMap { $0 }
          ).reply)
      }
      // The page has no details, which are for developers.
      let facts: KeyValuePairs = ["status": String(problem.kind.status), "code": problem.code.rawValue]
      if problem.kind.status < 500 {
        log.info("A posted form was refused", facts)
      } else {
        log.warn("A posted form could not be stored", facts)
      }
      let text = RefusalPage.explanation(status: problem.kind.status, retryAfter: problem.retryAfter, language)
      let page = Page(
        language: language, title: words.title(language), body: "<p role=\"alert\">\(Page.escaped(text))</p>")
      return .success(
        page.reply(
          status: problem.kind.status, headers: problem.retryAfter.map { ["retry-after": String($0)] } ?? [:]))
    }
  }

  /// Refuses a form from a page of another site. A browser names the page's origin in Origin, or, if an old one does not,
  /// its address in Referer.
  private func checkOrigin(of request: Request) throws(Problem) {
    let named: WebOrigin? =
      if let origin = request.headers["origin"] {
        WebOrigin(origin)
      } else {
        request.headers["referer"].flatMap { WebOrigin(ofAddress: $0) }
      }
    guard let named, origins.contains(named) || isOwn(named, request) else { throw Problem(.formOriginNotAllowed) }
  }

  /// True for the origin at which the request arrived: pages of this server. A proxy in front decides the scheme, so only
  /// host and port are compared.
  private func isOwn(_ origin: WebOrigin, _ request: Request) -> Bool {
    guard let host = request.headers["host"]?.lowercased(), !host.isEmpty else { return false }
    return ["http", "https"].contains { WebOrigin(ofAddress: "\($0)://\(host)") == origin }
  }

  /// Returns where the visitor goes after a success: the page that the form names, if its origin is allowed, else
  /// FORM_THANKS_URL. Any other address would make this server a way to send people anywhere.
  private func target(named name: String?, _ request: Request) -> String? {
    if let address = name.flatMap({ WebAddress(trimmed($0)) }), let origin = WebOrigin(ofAddress: address.text),
      origins.contains(origin) || isOwn(origin, request)
    {
      return address.text
    }
    return thanks
  }
}
