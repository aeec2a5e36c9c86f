import Contract
import Deliveries
import Forms
import Store
import Wire

/// What a worker asks for: who it is, and how many deliveries of each channel it can take now.
struct Claim {
  static let version = "0.1.0"
  static let form = Form([
    .optional("worker", .text(1...100)), .optional("limit", .integer(0...1000)),
    .optional("limits", .object(maxBytes: 4096)), .optional("isComplete", .boolean),
    .optional("fingerprints", .object(maxBytes: 4096)),
  ])

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
    let form: JSON
    do { form = try Self.form.check(body) } catch { throw Problem(error) }
    worker = form["worker"]?.string ?? "shell"
    isComplete = form["isComplete"]?.bool ?? false
    let limits = form["limits"] ?? [:]
    for member in limits.members ?? [] where member.value.integer.map((0...1000).contains) != true {
      throw Problem(.badInput, "limits.\(member.key) must be a whole number from 0 to 1000")
    }
    fingerprints = form["fingerprints"]
    for member in fingerprints?.members ?? [] {
      guard ChannelKind.names.contains(member.key), member.value.string.map({ 1...200 ~= $0.utf8.count }) == true else {
        throw Problem(.badInput, "fingerprints must hold a text of 1 to 200 bytes for each channel")
      }
    }
    let limit = form["limit"]?.integer ?? 10
    entries = Dictionary(grouping: recipients, by: \.channel).flatMap { name, recipients in
      Self.share(limits[name]?.integer ?? limit, among: recipients)
    }
  }

  /// What a channel can take is shared among its recipients; what is left over goes to some of them by chance, so that
  /// none is always the last.
  private static func share(_ limit: Int, among recipients: [Recipient]) -> [(recipient: Recipient, limit: Int)] {
    let (each, rest) = limit.quotientAndRemainder(dividingBy: recipients.count)
    return recipients.shuffled().enumerated().map { index, recipient in (recipient, each + (index < rest ? 1 : 0)) }
  }
}
