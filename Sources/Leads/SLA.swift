import Wire

/// The promise to customers: how soon a first answer is due, round the clock.
package enum SLA {
  /// Hot leads in 15 minutes, warm ones in an hour, cold ones in a day, from receipt.
  package static func deadline(quality: String, receivedAt: Instant) -> Instant {
    receivedAt.adding(seconds: quality == "hot" ? 15 * 60 : quality == "warm" ? 60 * 60 : 24 * 60 * 60)
  }
}
