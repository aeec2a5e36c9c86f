import Contract
import Deliveries
import Wire

extension Delivery {
  /// The lease of a claimed or begun delivery, in seconds. It must not be shorter than the time that the worker allows
  /// for a send and its record: otherwise the worker would lose its own deliveries and send them twice.
  package static let leaseSetting = Setting.number("DELIVERY_LEASE_SECONDS", 30...3600)

  package static func leaseSeconds(_ settings: Settings) -> Int {
    settings.number("DELIVERY_LEASE_SECONDS", default: 30)
  }

  /// The longest time that a send and its record may take, in seconds.
  package static let longestSend = 13

  /// What happens to a message if it is unknown whether it arrived.
  package static let unknownSetting = Setting.choice("UNKNOWN_OUTCOME", UnknownOutcome.allCases.map(\.rawValue))

  package static func unknownOutcome(_ settings: Settings) -> UnknownOutcome {
    settings["UNKNOWN_OUTCOME"].flatMap(UnknownOutcome.init) ?? .resend
  }

  /// Whether leads that were stored without an event are announced directly.
  package static let directSetting = Setting.choice("DIRECT_NOTIFICATIONS", ["true", "false"])

  package static func isDirect(_ settings: Settings) -> Bool { settings["DIRECT_NOTIFICATIONS"] == "true" }

  /// Returns a log whose lines carry the id of the request that caused the delivery.
  package func log(_ log: Log) -> Log { requestID.map { log.with("requestId", $0) } ?? log }

  /// Reads the delivery in the request of a step.
  package init(of request: Request) throws(Problem) {
    guard let line = Delivery(try request.json()) else {
      throw Problem(.invalidDelivery)
    }
    self = line
  }

  /// Handles a batch of requests. The deliveries for which `concerns` is true are passed to `work` together; the others
  /// are returned unchanged.
  package static func answer(
    _ requests: [Request], where concerns: (Delivery) -> Bool,
    by work: ([Delivery], Instant) throws(Problem) -> [JSON]
  ) -> [Result<Reply, Problem>] {
    let lines = requests.map { request in
      Result { () throws(Problem) in
        let delivery = try Delivery(of: request)
        return (delivery: delivery, isConcerned: concerns(delivery))
      }
    }
    let concerned = lines.compactMap { try? $0.get() }.filter(\.isConcerned).map(\.delivery)
    let deadline = requests.compactMap(\.deadline).min() ?? .steady
    var answers = together(concerned, deadline, work).makeIterator()
    return lines.map { line in
      switch line {
      case .failure(let problem): .failure(problem)
      case .success(let line) where !line.isConcerned: .success(Reply(line.delivery.document))
      case .success: answers.next()?.map { Reply($0) } ?? .failure(.internalError("the handler made no reply"))
      }
    }
  }

  /// Runs `work` on all deliveries together. If it fails with an internal error or on a lock, one of them may be the
  /// cause: each is then done alone, so that it does not block the others.
  private static func together(
    _ deliveries: [Delivery], _ deadline: Instant, _ work: ([Delivery], Instant) throws(Problem) -> [JSON]
  ) -> [Result<JSON, Problem>] {
    guard !deliveries.isEmpty else { return [] }
    do throws(Problem) {
      return try work(deliveries, deadline).map { .success($0) }
    } catch {
      let mayBeOne = error.kind == .internalError || error.code == .databaseBusy
      guard mayBeOne, deliveries.count > 1 else { return deliveries.map { _ in .failure(error) } }
      return deliveries.flatMap { together([$0], deadline, work) }
    }
  }
}
