import Contract
import Wire

/// Lists as plain arrays, for clients of an interface without pages. They request one with `Prefer: list=array`
/// (RFC 7240).
package enum ArrayReply {
  private static let preference = "list=array"

  /// True if replies with this JSON Schema are lists: objects with the rows in `data`.
  static func isList(_ body: JSON) -> Bool { body["properties"]?["data"]?["type"] == "array" }

  /// Returns the description of a list's input with the header that requests an array.
  static func described(_ input: Description.Input) -> Description.Input {
    var input = input
    let header: JSON = [
      "type": "string", "description": "`list=array` returns the rows as an array; other preferences are ignored",
    ]
    input.headers = ["properties": (input.headers?["properties"] ?? [:]).setting("Prefer", header)]
    return input
  }

  /// Returns the description of a list's output with the array.
  static func described(_ output: Description.Output) -> Description.Output {
    var output = output
    if let rows = output.body["properties"]?["data"] { output.body = ["anyOf": [output.body, rows]] }
    let headers: JSON = [
      "Preference-Applied": ["const": .string(preference)],
      "X-Total-Count": ["type": "string", "description": "`total` of a list that is sent as an array"],
      "X-Next-Cursor": ["type": "string", "description": "`nextCursor` of a list that is sent as an array"],
    ]
    output.headers = ["properties": .object((output.headers?["properties"]?.members ?? []) + (headers.members ?? []))]
    return output
  }

  /// True if a `Prefer` header names the preference: tokens are case-insensitive, the value may be quoted, and other
  /// preferences and parameters are ignored.
  package static func isRequested(_ header: String?) -> Bool {
    (header ?? "").split(separator: ",").contains { item in
      let name = item.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" && $0 != "\"" }
      return name.lowercased() == preference
    }
  }

  /// Returns the rows of a page as the body, and the rest of it in headers.
  package static func reply(_ page: JSON) -> Reply {
    var reply = Reply(page["data"] ?? [], headers: ["preference-applied": preference])
    if let total = page["total"]?.integer { reply.headers["x-total-count"] = String(total) }
    if let cursor = page["nextCursor"]?.string { reply.headers["x-next-cursor"] = cursor }
    return reply
  }
}
