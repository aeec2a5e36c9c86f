import Handler
import Leads
import Wire

extension DeliveryLine {
  /// How long a claimed or begun delivery belongs to the worker that has it, in seconds. Not less than the worker lets a
  /// send and its record take, or it would take its own deliveries for lost and send them twice.
  package static let leaseSetting = Setting.number("DELIVERY_LEASE_SECONDS", 30...3600)

  package static func leaseSeconds(_ settings: Settings) -> Int {
    settings.number("DELIVERY_LEASE_SECONDS", default: 30)
  }

  /// What becomes of a message of which nobody knows whether it arrived.
  package static let unknownSetting = Setting.choice("UNKNOWN_OUTCOME", UnknownOutcome.allCases.map(\.rawValue))

  package static func unknownOutcome(_ settings: Settings) -> UnknownOutcome {
    settings["UNKNOWN_OUTCOME"].flatMap(UnknownOutcome.init) ?? .resend
  }

  /// The delivery that a step was asked about.
  package init(of request: Request) throws(Problem) {
    guard let line = DeliveryLine(try request.json()) else {
      throw Problem(.badInput, "the body is no delivery, as event-claim writes it")
    }
    self = line
  }
}
