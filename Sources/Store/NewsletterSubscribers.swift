import Leads
import Wire

/// The result of a newsletter subscription.
package struct Subscribed: Sendable {
  package let id: String
  /// True if the address was not subscribed before.
  package let isNew: Bool
  /// Nil if no event was stored.
  package let eventID: String?
  /// True if the address was stored as a robot's, and is not subscribed.
  package let isSpam: Bool
}

extension Database {
  /// Adds a subscriber, with a record of the consent: IP address, user agent, source and time.
  package func subscribe(
    _ subscription: Subscription, receivedAt: Instant, ipAddress: String, userAgent: String?, requestID: String,
    signs: [SpamSign], deadline: Instant
  ) throws(StoreFailure) -> Subscribed {
    let facts: JSON = ["email": .string(subscription.email.text), "source": JSON(subscription.source)]
    let payload = facts.setting("subscribedAt", .string(receivedAt.iso8601))
    let argument = facts.setting("receivedAt", .string(receivedAt.iso8601)).setting("ipAddress", .string(ipAddress))
      .setting("userAgent", JSON(userAgent)).setting("payload", payload)
      .setting("requestId", .string(requestID))
      .setting("spam", .array(signs.map { .string($0.rawValue) }))
    let reply = try call(.subscribe, argument, deadline: deadline)
    guard let id = reply["id"]?.string else { throw .noAnswer }
    return Subscribed(
      id: id, isNew: reply["isNew"]?.bool == true, eventID: reply["eventId"]?.string,
      isSpam: reply["isSpam"]?.bool == true)
  }

  /// Ends a subscription. Returns its id. Nil if the token or address has none.
  package func unsubscribe(_ unsubscription: Unsubscription, deadline: Instant) throws(StoreFailure) -> String? {
    let argument: JSON =
      switch unsubscription {
      case .email(let email): ["email": .string(email.text)]
      case .token(let token): ["token": .string(token.text)]
      }
    return try call(.unsubscribe, argument, deadline: deadline)["id"]?.string
  }
}
