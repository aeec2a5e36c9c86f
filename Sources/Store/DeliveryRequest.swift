import Handler
import Leads
import Wire

extension DeliveryLine {
  /// The delivery that a step was asked about.
  package init(of request: Request) throws(Problem) {
    guard let line = DeliveryLine(try request.json()) else {
      throw Problem(.badInput, "the body is no delivery, as event-claim writes it")
    }
    self = line
  }
}
