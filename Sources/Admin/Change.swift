import Handler
import Leads
import Store
import Wire

/// A change to a conversation, as one or many get it.
package enum Change {
  private static let fields: [Form.Field] = [
    .optional("status", .choice(["new", "in-progress", "completed", "lost", "converted"])),
    .optional("leadQuality", .choice(["hot", "warm", "cold"])), .optional("leadScore", .integer(0...100)),
    .optional("tags", .texts(max: 50, each: 1...100)), .optional("notes", .text(1...5000)),
    .optional("notesMode", .choice(["append", "replace"])), .optional("outcome", .text(1...500)),
    .optional("conversionValue", .amount),
  ]

  package static let form = Form(fields, isChange: true)
  /// For many at once also whom they are given to.
  package static let formOfMany = Form([
    .required("ids", .uuids(max: 500)),
    .required(
      "change", .form(Form(fields + [.optional("agentId", .uuid), .optional("force", .boolean)], isChange: true))),
  ])

  /// Null or a blank text in one of these empties it.
  private static let clearable = ["notes", "outcome", "conversionValue"]

  /// The argument of `update_conversation`, with the version that the client has seen.
  package static func ofOne(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    let change = complete(question.document, as: try question.request.json())
    guard let version = try Conversation.version(question.request) else { return change }
    return change.setting("version", .string(version))
  }

  /// The argument of `change_conversations`.
  package static func ofMany(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    let change = complete(
      question.document["change"] ?? [:], as: try question.request.json()["change"] ?? [:])
    return question.document.setting("change", change)
  }

  /// With the quality that a new score makes, and what is to be emptied.
  private static func complete(_ change: JSON, as sent: JSON) -> JSON {
    var change = change
    let cleared = clearable.filter { sent[$0] != nil && change[$0] == nil }
    if !cleared.isEmpty { change = change.setting("clear", .array(cleared.map(JSON.string))) }
    if let score = change["leadScore"]?.integer, change["leadQuality"] == nil {
      change = change.setting("leadQuality", .string(Score.quality(of: score)))
    }
    return change
  }
}
