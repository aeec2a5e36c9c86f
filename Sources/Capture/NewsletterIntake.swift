import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// Stores and ends newsletter subscriptions.
package struct NewsletterIntake {
  private let database: Database
  private let wake: WakeCall
  private let formGuard: FormGuard
  private let plainForms: PlainForms

  package static let settings = Database.settings + WakeCall.settings + FormGuard.settings + PlainForms.settings

  package static let settingsToEnd = Database.settings + PlainForms.settings

  package init(_ settings: Settings, _ afterwards: Afterwards = Afterwards()) throws(Problem) {
    database = Database.ofProcess(settings)
    wake = WakeCall(settings, over: database, afterwards)
    formGuard = try FormGuard(settings)
    plainForms = PlainForms(settings)
  }

  /// Returns the body of a request, JSON or a posted form, as JSON.
  package func content(of request: Request, for form: Form) throws(Problem) -> JSON {
    try plainForms.content(of: request, for: form)
  }

  /// Reads a request to end a subscription.
  package func unsubscription(in request: Request) throws(Problem) -> Unsubscription {
    let body = try content(of: request, for: Unsubscription.form)
    return try checking { () throws(FormError) in try Unsubscription(checking: body) }
  }

  /// Answers a request; a posted form gets a page or a redirect.
  package func answer(
    _ request: Request, _ words: FormWords, log: Log, by answer: () throws(Problem) -> Reply
  ) throws(Problem) -> Reply {
    try plainForms.shown(Result(catching: answer), to: request, words, log: log).get()
  }

  /// Adds a subscriber with a record of the consent, and wakes the workers if an event was stored. Returns the id of
  /// the subscription.
  package func subscribe(
    _ subscription: Subscription, sent body: JSON, asked request: Request, log: Log
  ) throws(Problem) -> String {
    let verdict = formGuard.judge(body, of: request)
    let agent = request.headers["user-agent"].map { cleanText(String($0.unicodeScalars.prefix(500))) }
    let subscribed = try database.attempt(.subscribe, log: log) { () throws(StoreFailure) in
      try database.subscribe(
        subscription, receivedAt: request.receivedAt, ipAddress: request.sourceIP, userAgent: agent,
        requestID: request.requestID, signs: verdict.signs, deadline: request.deadline ?? .steady)
    }
    if subscribed.isSpam {
      log.info("Kept a subscription aside as spam", ["subscriber": subscribed.id])
      return subscribed.id
    }
    log.info("Subscribed to the newsletter", ["subscriber": subscribed.id])
    if subscribed.isNew { log.emitted("newsletter.subscribed", subscribed.eventID) }
    if subscribed.eventID != nil { wake.send() }
    return subscribed.id
  }

  /// Ends a subscription. Returns false if the token or address has none.
  package func unsubscribe(
    _ unsubscription: Unsubscription, asked request: Request, log: Log
  ) throws(Problem) -> Bool {
    let id = try database.attempt(.unsubscribe, log: log) { () throws(StoreFailure) in
      try database.unsubscribe(unsubscription, deadline: request.deadline ?? .steady)
    }
    if let id { log.info("Unsubscribed from the newsletter", ["subscriber": id]) }
    return id != nil
  }
}
