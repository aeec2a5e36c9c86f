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
    let argument: JSON = [
      "receivedAt": .string(request.receivedAt.iso8601), "email": .string(subscription.email.text),
      "source": JSON(subscription.source), "ipAddress": .string(request.sourceIP), "userAgent": JSON(agent),
      "payload": [
        "email": .string(subscription.email.text), "source": JSON(subscription.source),
        "subscribedAt": .string(request.receivedAt.iso8601),
      ],
    ]
    let reply = try call(.subscribe, argument, request, log)
    guard let id = reply["id"]?.string else { throw Problem(.internalError, "the database gave no id") }
    let event = reply["eventId"]?.string
    log.info("Subscribed to the newsletter", ["subscriber": id])
    if reply["isNew"]?.bool == true { log.emitted("newsletter.subscribed", event) }
    if event != nil { wake.send() }
    return id
  }

  /// Ends a subscription. False when there is none to the token or address.
  package func unsubscribe(
    _ unsubscription: Unsubscription, asked request: Request, log: Log
  ) throws(Problem) -> Bool {
    let argument: JSON =
      switch unsubscription {
      case .email(let email): ["email": .string(email.text)]
      case .token(let token): ["token": .string(token.text)]
      }
    let id = try call(.unsubscribe, argument, request, log)["id"]?.string
    if let id { log.info("Unsubscribed from the newsletter", ["subscriber": id]) }
    return id != nil
  }

  private func call(_ function: Function, _ argument: JSON, _ request: Request, _ log: Log) throws(Problem) -> JSON {
    try database.call(function, argument, deadline: request.deadline ?? .now, log: log)
  }
}
