import Handler
import Leads
import Store
import Wire

/// What a worker asks for: who it is, and how many deliveries of each channel it can take now.
struct Claim {
  static let version = "0.1.0"
  static let form = Form([
    .optional("worker", .text(1...100)), .optional("limit", .integer(0...1000)),
    .optional("limits", .object(maxBytes: 4096)),
  ])

  let worker: String
  private let limit: Int
  private let limits: JSON

  init(checking body: JSON) throws(Problem) {
    let form: JSON
    do { form = try Self.form.check(body) } catch { throw Problem(error) }
    worker = form["worker"]?.string ?? "shell"
    limit = form["limit"]?.integer ?? 10
    limits = form["limits"] ?? [:]
    for member in limits.members ?? [] where member.value.integer.map((0...1000).contains) != true {
      throw Problem(.badInput, "limits.\(member.key) must be a whole number from 0 to 1000")
    }
  }

  /// `limits` may hold a channel's own number.
  func limit(for channel: Channel) -> Int { limits[channel.name]?.integer ?? limit }
}
