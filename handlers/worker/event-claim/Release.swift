import Contract
import Forms
import Store
import StoreAccess
import Wire

/// What a worker gives back: claims that it will not begin, at its end or when a channel wants no more now; and, at its
/// start, what dead workers of its host held.
struct Release {
  private static let host = Field.optional("host", .text(1...100))
  private static let alive = Field.optional("alive", .texts(max: 4000, each: 1...100))
  static let form = Form([
    .required("worker", .text(1...100)), .optional("ids", .texts(max: 1000, each: 36...36)), host, alive,
  ])

  /// Whether a body asks for this instead of a claim.
  static func isAsked(by body: JSON) -> Bool { body["release"]?.bool == true }

  /// As release_deliveries takes it.
  let question: JSON

  init(checking body: JSON) throws(Problem) {
    let form = try checking { () throws(FormError) in try Self.form.check(body) }
    guard form[Self.host] == nil || form[Self.alive] != nil else {
      throw Problem(.invalidClaim, ["reason": "host requires alive, the names of its running workers"])
    }
    question = form.document
  }
}
