import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// A change to one conversation or to many.
package enum Change {
  private static let fields: [any FormField] = [
    .optional("status", .choice(["new", "in-progress", "completed", "lost", "converted", "spam"])),
    quality, score, tags, addedTags, removedTags, notes, notesMode, outcome, value,
  ]
  private static let quality = Field.optional("leadQuality", .choice(Lead.qualities))
  private static let score = Field.optional("leadScore", .integer(0...100))
  /// All tags, in place of those that the conversation has.
  private static let tags = Field.optional("tags", .lines(max: 50, each: 1...100))
  /// Applied after `tags`. A tag that is added and removed is removed.
  private static let addedTags = Field.optional("addTags", .lines(max: 50, each: 1...100))
  private static let removedTags = Field.optional("removeTags", .lines(max: 50, each: 1...100))
  private static let notes = Field.optional("notes", .text(1...5000))
  private static let notesMode = Field.optional("notesMode", .choice(["append", "replace"]))
  private static let outcome = Field.optional("outcome", .text(1...500))
  private static let value = Field.optional("conversionValue", .amount)

  private static let clearable: [any FormField] = [notes, outcome, value]

  package static let form = Form(changing: fields, clearable: clearable)
  /// How many conversations a bulk change can name.
  static let idLimit = 500
  private static let agent = Field.optional("agentId", .uuid)
  /// The form of a bulk change, which can also assign the conversations to an agent or, with null, to none.
  package static let formOfMany = Form([.required("ids", .uuids(max: idLimit)), change])
  private static let change = Field.required(
    "change",
    .form(
      Form(
        changing: fields + [agent, .optional("force", .boolean)], clearable: clearable + [agent])))

  /// Returns the argument of `update_conversation`, with the version that the client has seen.
  package static func ofOne(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    complete(try Conversation.guarded(checked), checked.values, as: try checked.request.json())
  }

  /// Returns the argument of `change_conversations`.
  package static func ofMany(_ checked: AdminEndpoint.CheckedRequest) throws(Problem) -> JSON {
    let values = checked.values[change]
    let sent = try checked.request.json()[change.name] ?? [:]
    return checked.document.setting(change.name, complete(values.document, values, as: sent))
  }

  /// The result of `change_conversations` with the text of each error.
  package static func results(_ result: JSON) -> JSON {
    let results = (result["results"]?.array ?? []).map { one -> JSON in
      guard let code = one["code"]?.string else { return one }
      let problem = Problem(code: code, one["arguments"] ?? [:])
      return [
        "id": one["id"] ?? .null, "status": one["status"] ?? .null, "changed": false,
        "code": .string(problem.fields.first?.code.rawValue ?? problem.code.rawValue), "error": .string(problem.detail),
      ]
    }
    return result.setting("results", .array(results))
  }

  /// Returns the document of a change with the fields to clear and, if the score changes and no quality is given, with
  /// the quality of the new score. Appending empty notes clears nothing.
  private static func complete(_ document: JSON, _ values: CheckedForm, as sent: JSON) -> JSON {
    let always: [any FormField] = [outcome, value, agent]
    let clearable = values[notesMode] == "append" ? always : always + [notes]
    let document = document.clearing(values.emptied(clearable, in: sent))
    guard let score = values[score], values[quality] == nil else { return document }
    return document.setting(quality.name, .string(Score.quality(of: score)))
  }
}

extension CheckedForm {
  /// Returns the names of those fields that were sent as null or blank and must be cleared.
  func emptied(_ fields: [any FormField], in sent: JSON) -> [String] {
    fields.filter { sent[$0.name] != nil && !has($0) }.map(\.name)
  }
}

extension JSON {
  /// Returns the document with `clear`, the names of the fields to clear; unchanged if there are none.
  func clearing(_ fields: [String]) -> JSON {
    fields.isEmpty ? self : setting("clear", .array(fields.map(JSON.string)))
  }
}
