import Contract
import Deliveries
import Forms
import Store
import StoreAccess
import Wire

/// A worker's claim: the worker's name, and how many deliveries of each channel it can take now.
struct Claim {
  private static let workerField = Field.optional("worker", .text(1...100))
  private static let limitField = Field.optional("limit", .integer(0...1000))
  private static let limitsField = Field.optional("limits", .object(maxBytes: 4096))
  private static let isCompleteField = Field.optional("isComplete", .boolean)
  private static let fingerprintsField = Field.optional("fingerprints", .object(maxBytes: 4096))
  static let form = Form([workerField, limitField, limitsField, isCompleteField, fingerprintsField])

  /// The reply header with the time in milliseconds until the next delivery is due; sent only for requests in an
  /// envelope.
  static let nextDueHeader = "x-next-due-in-ms"

  let worker: String
  /// True if LEADPIPE_CHANNELS lists every recipient. Deliveries that wait for a recipient outside the list are then
  /// resolved as well.
  let isComplete: Bool
  /// A fingerprint for each channel, which changes with the channel's settings; nil if the client does not have them.
  let fingerprints: JSON?
  /// Each configured recipient with the maximum number of deliveries to claim for it.
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

  /// Plans the deliveries of new events and leases those that are due.
  func lease(
    from database: Database, leaseSeconds: Int, unknown: UnknownOutcome, isDirect: Bool, deadline: Instant, log: Log
  ) throws(Problem) -> Claimed {
    let claimed = try database.attempt(.claimDeliveries, log: log) { () throws(StoreFailure) in
      try database.claim(
        worker: worker, isComplete: isComplete, version: Build.version, leaseSeconds: leaseSeconds, unknown: unknown,
        isDirect: isDirect, fingerprints: fingerprints, recipients: entries, deadline: deadline)
    }
    if let unsent = claimed.unsentLeads, !isDirect {
      log.warn(
        "The event tables do not exist and DIRECT_NOTIFICATIONS is not true: nothing is sent",
        ["unsentLeads": String(unsent)])
    }
    return claimed
  }

  /// Divides a channel's limit among its recipients. The remainder goes to random recipients, so that no recipient is
  /// always last.
  private static func share(_ limit: Int, among recipients: [Recipient]) -> [(recipient: Recipient, limit: Int)] {
    let (each, rest) = limit.quotientAndRemainder(dividingBy: recipients.count)
    return recipients.shuffled().enumerated().map { index, recipient in (recipient, each + (index < rest ? 1 : 0)) }
  }
}
