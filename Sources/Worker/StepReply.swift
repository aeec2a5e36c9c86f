import Wire

/// What a step says of a delivery. The lane goes by a few members and passes them on as they are; the rest of the delivery
/// it has itself.
package struct StepReply: Sendable, Equatable {
  package let id: String
  package let begunAt: JSON?
  package let sendBefore: JSON?
  package let outcome: JSON?

  /// Nil for a problem, and for anything else that names no delivery.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string else { return nil }
    self.id = id
    begunAt = document["begunAt"]
    sendBefore = document["sendBefore"]
    outcome = document["outcome"]
  }
}
