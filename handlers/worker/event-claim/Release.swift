import Contract
import Forms
import Store
import StoreAccess
import Wire

/// Claims that a worker returns to the queue: at its end, or when a channel accepts no more messages now, those that it
/// will not begin; at its start, those of dead workers on the same host.
struct Release {
  private static let host = Field.optional("host", .text(1...100))
  private static let alive = Field.optional("alive", .texts(max: 4000, each: 1...100))
  static let form = Form([
    .required("worker", .text(1...100)), .optional("ids", .texts(max: 1000, each: 36...36)), host, alive,
  ])

  /// True if the body requests a release instead of a claim.
  static func isRequested(by body: JSON) -> Bool { body["release"]?.bool == true }

  /// The argument of `release_deliveries`.
  let argument: JSON

  init(checking body: JSON) throws(Problem) {
    let form = try checking { () throws(FormError) in try Self.form.check(body) }
    guard form[Self.host] == nil || form[Self.alive] != nil else {
      throw Problem(.invalidClaim, ["reason": "host requires alive, the names of its running workers"])
    }
    argument = form.document
  }
}
