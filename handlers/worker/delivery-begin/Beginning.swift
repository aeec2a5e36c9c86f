import Contract
import Deliveries
import Store
import StoreAccess
import Wire

extension Delivery {
  /// Returns the delivery for the next step: with the time before which it must be sent, or with the outcome `lost`.
  func after(_ beginning: Database.Beginning, at time: Instant, leaseSeconds: Int, log: Log) -> Delivery {
    var delivery = self
    let log = self.log(log)
    switch beginning {
    case .begun: delivery.begin(at: time, sendBefore: time.adding(seconds: leaseSeconds - Self.longestSend))
    case .paused:
      log.info("Delivery \(id.text) was returned to the queue: its channel is paused")
      delivery.outcome = DeliveryOutcome(.lost, reason: "its channel was paused; it was returned to the queue")
    case .early:
      delivery.outcome = DeliveryOutcome(
        .lost, reason: "its channel's next message is due later; it was returned to the queue")
    case .lost:
      log.warn("Delivery \(id.text) has passed to another worker")
      delivery.outcome = DeliveryOutcome(.lost)
    }
    return delivery
  }
}
