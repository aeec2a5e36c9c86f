import Contract
import Deliveries
import Forms
import Store
import StoreAccess
import Wire

/// What a worker asks for: who it is, and how many deliveries of each channel it can take now.
struct Claim {
  private static let workerField = Field.optional("worker", .text(1...100))
  private static let limitField = Field.optional("limit", .integer(0...1000))
  private static let limitsField = Field.optional("limits", .object(maxBytes: 4096))
  private static let isCompleteField = Field.optional("isComplete", .boolean)
  private static let fingerprintsField = Field.optional("fingerprints", .object(maxBytes: 4096))
  static let form = Form([workerField, limitField, limitsField, isCompleteField, fingerprintsField])

  /// Tells an enveloped asker when the next delivery falls due.
  static let nextDueHeader = "x-next-due-at"

  let worker: String
  /// Whether LEADPIPE_CHANNELS is all there is: what waits for another recipient is then taken care of.
  let isComplete: Bool
  /// A text for each channel that changes with its settings; nil where the asker does not know them.
  let fingerprints: JSON?
  /// Each configured channel and recipient with how much may be claimed for it.
  let entries: [(recipient: Recipient, limit: Int)]

  init(checking body: JSON, for recipients: [Recipient]) throws(Problem) {
    let form = try checking { () throws(FormError) in try Self.form.check(body) }
    worker = form[Self.workerField] ?? "shell"
    isComplete = form[Self.isCompleteField] ?? false
    var limits: [String: Int] = [:]
    for member in form[Self.limitsField]?.members ?? [] {
      guard let limit = member.value.integer, 0...1000 ~= limit else {
        throw Problem(
          FormError(fields: [FieldError(.invalidInteger, at: "limits.\(member.key)", ["min": 0, "max": 1000])]))
      }
      limits[member.key] = limit
    }
    fingerprints = form[Self.fingerprintsField]
    for member in fingerprints?.members ?? [] {
      guard ChannelKind.names.contains(member.key), member.value.string.map({ 1...200 ~= $0.utf8.count }) == true else {
        throw Problem(.invalidClaim, ["reason": "fingerprints must map each channel to a string of 1 to 200 bytes"])
      }
    }
    let limit = form[Self.limitField] ?? 10
    entries = Dictionary(grouping: recipients, by: \.channel).flatMap { name, recipients in
      Self.share(limits[name] ?? limit, among: recipients)
    }
  }

  /// Plans and leases.
  func lease(
    from database: Database, leaseSeconds: Int, unknown: UnknownOutcome, deadline: Instant, log: Log
  ) throws(Problem) -> Claimed {
    try database.attempt(.claimDeliveries, log: log) { () throws(StoreFailure) in
      try database.claim(
        worker: worker, isComplete: isComplete, version: Build.version, leaseSeconds: leaseSeconds, unknown: unknown,
        fingerprints: fingerprints, recipients: entries, deadline: deadline)
    }
  }

  /// What a channel can take is shared among its recipients; what is left over goes to some of them by chance, so that
  /// none is always the last.
  private static func share(_ limit: Int, among recipients: [Recipient]) -> [(recipient: Recipient, limit: Int)] {
    let (each, rest) = limit.quotientAndRemainder(dividingBy: recipients.count)
    return recipients.shuffled().enumerated().map { index, recipient in (recipient, each + (index < rest ? 1 : 0)) }
  }
}
