import Wire

/// The reply of a step about one delivery. It has only the members that the lane needs; the lane holds the rest of the
/// delivery.
package struct StepReply: Sendable, Equatable {
  package let id: String
  package let begunAt: JSON?
  package let sendBefore: JSON?
  package let outcome: JSON?

  /// Nil if the document is a problem or has no delivery id.
  package init?(_ document: JSON) {
    guard let id = document["id"]?.string else { return nil }
    self.id = id
    begunAt = document["begunAt"]
    sendBefore = document["sendBefore"]
    outcome = document["outcome"]
  }
}
