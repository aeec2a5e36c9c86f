import Contract
import Deliveries
import Store
import StoreAccess
import Wire

extension Delivery {
  /// The delivery as it goes on: with the time until when it may be sent, or as lost.
  func after(_ beginning: Database.Beginning, at time: Instant, leaseSeconds: Int, log: Log) -> Delivery {
    var delivery = self
    switch beginning {
    case .begun: delivery.begin(at: time, sendBefore: time.adding(seconds: leaseSeconds - Self.longestSend))
    case .paused:
      log.info("Delivery \(id.text) was given back: its channel is paused")
      delivery.outcome = DeliveryOutcome(.lost, reason: "its channel was paused; it has been given back")
    case .early:
      delivery.outcome = DeliveryOutcome(.lost, reason: "its channel's turn comes later; it has been given back")
    case .lost:
      log.warn("Delivery \(id.text) was lost to another worker")
      delivery.outcome = DeliveryOutcome(.lost)
    }
    return delivery
  }
}
