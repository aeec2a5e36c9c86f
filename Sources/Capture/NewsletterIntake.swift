import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// The newsletter's subscribers.
package struct NewsletterIntake {
  private let database: Database
  private let wake: WakeCall

  package init(_ settings: Settings, _ afterwards: Afterwards = Afterwards()) {
    database = Database(settings)
    wake = WakeCall(settings, over: database, afterwards)
  }

  /// Adds a subscriber, with what shows where the consent came from, and wakes the workers where the address was not
  /// subscribed already. The id of the subscription.
  package func subscribe(
    _ subscription: Subscription, asked request: Request, log: Log
  ) throws(Problem) -> String {
    let agent = request.headers["user-agent"].map { cleanText(String($0.unicodeScalars.prefix(500))) }
    let subscribed = try database.attempt(.subscribe, log: log) { () throws(StoreFailure) in
      try database.subscribe(
        subscription, receivedAt: request.receivedAt, ipAddress: request.sourceIP, userAgent: agent,
        deadline: request.deadline ?? .now)
    }
    log.info("Subscribed to the newsletter", ["subscriber": subscribed.id])
    if subscribed.isNew { log.emitted("newsletter.subscribed", subscribed.eventID) }
    if subscribed.eventID != nil { wake.send() }
    return subscribed.id
  }

  /// Ends a subscription. False when there is none to the token or address.
  package func unsubscribe(
    _ unsubscription: Unsubscription, asked request: Request, log: Log
  ) throws(Problem) -> Bool {
    let id = try database.attempt(.unsubscribe, log: log) { () throws(StoreFailure) in
      try database.unsubscribe(unsubscription, deadline: request.deadline ?? .now)
    }
    if let id { log.info("Unsubscribed from the newsletter", ["subscriber": id]) }
    return id != nil
  }
}
