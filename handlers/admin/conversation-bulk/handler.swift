// POST /api/admin/conversations/bulk: applies one change to many conversations in one transaction. Returns a result for
// each.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "conversation-bulk", "Applies one change to many conversations", .init("POST", "/api/admin/conversations/bulk"),
  input: .init(body: Change.formOfMany),
  output: .init(
    [
      "type": "object", "required": ["changed", "failed", "results"],
      "properties": [
        "changed": ["type": "integer"], "failed": ["type": "integer"],
        "results": [
          "type": "array",
          "items": [
            "type": "object", "required": ["id", "status", "changed"],
            "properties": [
              "id": ["type": "string", "format": "uuid"], "status": ["enum": [200, 400, 404, 409]],
              "changed": ["type": "boolean"],
              "code": ["type": "string"], "error": ["type": "string"],
            ],
          ],
        ],
      ],
    ], problems: [404]), needs: [.deadlines, .wake], calls: .changeConversations, argument: Change.ofMany,
  presentation: { _ in Change.results }
).handler
