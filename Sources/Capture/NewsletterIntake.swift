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

  package init(_ settings: Settings, _ afterwards: Afterwards = Afterwards()) {
    database = Database.ofProcess(settings)
    wake = WakeCall(settings, over: database, afterwards)
  }

  /// Adds a subscriber with a record of the consent, and wakes the workers if an event was stored. Returns the id of
  /// the subscription.
  package func subscribe(
    _ subscription: Subscription, asked request: Request, log: Log
  ) throws(Problem) -> String {
    let agent = request.headers["user-agent"].map { cleanText(String($0.unicodeScalars.prefix(500))) }
    let subscribed = try database.attempt(.subscribe, log: log) { () throws(StoreFailure) in
      try database.subscribe(
        subscription, receivedAt: request.receivedAt, ipAddress: request.sourceIP, userAgent: agent,
        requestID: request.requestID, deadline: request.deadline ?? .steady)
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
