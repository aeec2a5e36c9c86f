import Contract
import Forms
import Leads
import Store
import Wire

/// A change to a conversation, as one or many get it.
package enum Change {
  private static let fields: [Form.Field] = [
    .optional("status", .choice(["new", "in-progress", "completed", "lost", "converted"])),
    .optional("leadQuality", .choice(["hot", "warm", "cold"])), .optional("leadScore", .integer(0...100)),
    .optional("tags", .lines(max: 50, each: 1...100)), .optional("notes", .text(1...5000)),
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

  /// The argument of `update_conversation`, with the version that the client has seen.
  package static func ofOne(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    complete(try Conversation.guarded(question), as: try question.request.json())
  }

  /// The argument of `change_conversations`.
  package static func ofMany(_ question: AdminEndpoint.Question) throws(Problem) -> JSON {
    let change = complete(
      question.document["change"] ?? [:], as: try question.request.json()["change"] ?? [:])
    return question.document.setting("change", change)
  }

  /// With the quality that a new score makes, and what is to be emptied. An empty note that is appended adds nothing, and takes nothing.
  private static func complete(_ change: JSON, as sent: JSON) -> JSON {
    let clearable = ["outcome", "conversionValue"] + (change["notesMode"] == "append" ? [] : ["notes"])
    let change = change.clearing(clearable, as: sent)
    guard let score = change["leadScore"]?.integer, change["leadQuality"] == nil else { return change }
    return change.setting("leadQuality", .string(Score.quality(of: score)))
  }
}

extension JSON {
  /// With `clear`, which names those of the fields that were sent null or blank.
  func clearing(_ fields: [String], as sent: JSON) -> JSON {
    let cleared = fields.filter { sent[$0] != nil && self[$0] == nil }
    return cleared.isEmpty ? self : setting("clear", .array(cleared.map(JSON.string)))
  }
}
