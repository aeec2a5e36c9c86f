import Deliveries
import Wire

/// What a step says of a delivery, as far as the lane goes by it: the rest of the delivery the lane has itself.
package struct StepReply: Sendable, Equatable {
  package let id: String
  package let begunAt: Instant?
  package let sendBefore: Instant?
  package let outcome: DeliveryOutcome?

  /// Nil for a problem, and for anything else that is no delivery.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string else { return nil }
    self.id = id
    begunAt = document["begunAt"]?.string.flatMap(Instant.init(iso8601:))
    sendBefore = document["sendBefore"]?.string.flatMap(Instant.init(iso8601:))
    outcome = document["outcome"].flatMap(DeliveryOutcome.init)
    if outcome == nil, document["outcome"] != nil { return nil }
  }
}
