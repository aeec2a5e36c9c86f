import Contract
import Deliveries
import Wire

extension Delivery {
  /// How long a claimed or begun delivery belongs to the worker that has it, in seconds. Not less than the worker lets a
  /// send and its record take, or it would take its own deliveries for lost and send them twice.
  package static let leaseSetting = Setting.number("DELIVERY_LEASE_SECONDS", 30...3600)

  package static func leaseSeconds(_ settings: Settings) -> Int {
    settings.number("DELIVERY_LEASE_SECONDS", default: 30)
  }

  /// How much of the lease a send and its record may need, in seconds.
  package static let longestSend = 13

  /// What becomes of a message of which nobody knows whether it arrived.
  package static let unknownSetting = Setting.choice("UNKNOWN_OUTCOME", UnknownOutcome.allCases.map(\.rawValue))

  package static func unknownOutcome(_ settings: Settings) -> UnknownOutcome {
    settings["UNKNOWN_OUTCOME"].flatMap(UnknownOutcome.init) ?? .resend
  }

  /// The delivery that a step was asked about.
  package init(of request: Request) throws(Problem) {
    guard let line = Delivery(try request.json()) else {
      throw Problem(.invalidDelivery)
    }
    self = line
  }

  /// Answers the deliveries of requests that came together: those that `concerns` picks by what `work` makes of them all
  /// at once, the others untouched.
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
    let deadline = requests.compactMap(\.deadline).min() ?? .now
    var answers = together(concerned, deadline, work).makeIterator()
    return lines.map { line in
      switch line {
      case .failure(let problem): .failure(problem)
      case .success(let line) where !line.isConcerned: .success(Reply(line.delivery.document))
      case .success: answers.next()?.map { Reply($0) } ?? .failure(.internalError("the handler made no reply"))
      }
    }
  }

  /// Does the work of all at once. Where the database will not have them together, one of them may be at fault: each is
  /// then done alone, so that it stands in nobody's way.
  private static func together(
    _ deliveries: [Delivery], _ deadline: Instant, _ work: ([Delivery], Instant) throws(Problem) -> [JSON]
  ) -> [Result<JSON, Problem>] {
    guard !deliveries.isEmpty else { return [] }
    do throws(Problem) {
      return try work(deliveries, deadline).map { .success($0) }
    } catch {
      guard error.kind == .internalError, deliveries.count > 1 else { return deliveries.map { _ in .failure(error) } }
      return deliveries.flatMap { together([$0], deadline, work) }
    }
  }
}
