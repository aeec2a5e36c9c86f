import Contract
import Forms
import Store
import StoreAccess
import Wire

/// A key to the admin interface as owners see it: never the key itself, except once, when it is created.
package enum AdminKey {
  /// The rights of a key. Each includes those before it.
  package static let rights = ["read", "write", "owner"]

  static let rightsSchema: JSON = ["enum": .array(rights.map(JSON.string))]

  private static let form = Form([
    .required("name", .line(1...100)), .required("rights", .choice(rights)), .optional("agentId", .uuid),
    .optional("expiresAt", .instant),
  ])

  private static let members: [JSON.Member] = [
    .init("id", Schema.uuid), .init("name", ["type": "string"]), .init("rights", rightsSchema),
    .init("agent", agent), .init("createdAt", Schema.time), .init("lastUsedAt", Schema.perhapsTime),
    .init("expiresAt", Schema.perhapsTime),
  ]

  /// The JSON Schema of the agent who uses a key.
  static let agent: JSON = [
    "type": ["object", "null"], "required": ["id", "name"],
    "properties": ["id": Schema.uuid, "name": ["type": "string"]],
  ]

  /// The JSON Schema of a key in the list.
  package static let listed = schema(with: .init("isCurrent", ["type": "boolean"]))

  private static func schema(with member: JSON.Member) -> JSON {
    let all = members + [member]
    return ["type": "object", "properties": .object(all), "required": .array(all.map { .string($0.key) })]
  }

  /// Returns the reply of the list from the result of `list_admin_keys`, which the operator's command shares: only
  /// keys that can be used.
  @Sendable package static func list(_ result: JSON) -> JSON {
    let now = Instant.now
    let current = result["current"]?.string
    let keys = (result["keys"]?.array ?? []).filter { key in
      let end = key["expiresAt"]?.string.flatMap { Instant(iso8601: $0) }
      return key["revokedAt"]?.string == nil && end.map { now < $0 } ?? true
    }
    return [
      "data": .array(keys.map { shown($0).setting("isCurrent", .bool(current != nil && $0["id"]?.string == current)) }),
      "total": JSON(keys.count),
    ]
  }

  private static func shown(_ key: JSON) -> JSON { key.removing("revokedAt") }

  /// The handler that creates a key.
  package static func creating(named name: String) -> Handler {
    Handler(
      Description(
        name: name, kind: .endpoint, summary: "Creates a key, which is shown once",
        routes: [.init("POST", "/api/admin/keys")], access: .admin, rateClass: "admin", bodyLimit: 4096,
        environment: AdminDatabase.settings, input: .init(form.schema),
        output: .init(
          schema(with: .init("key", ["type": "string"])), statuses: [201], headers: AdminEndpoint.uncached(),
          problems: [404, 409]))
    ) { settings throws(Problem) in
      let database = AdminDatabase(settings)
      return { request, log throws(Problem) in
        let key = Secret.key()
        let made = try database.call(.createAdminKey, for: request, log: log) { () throws(Problem) in
          let body = try request.json()
          let checked = try checking { () throws(FormError) in try form.check(body) }
          return checked.document.setting("sha256", .string(Secret.sha256(key)))
        }
        return Reply(
          status: 201, shown(made).setting("key", .string(key)), headers: ["cache-control": "no-store"])
      }
    }
  }
}
