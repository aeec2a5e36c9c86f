// GET /api/admin/follow-ups: lists follow-ups, soonest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "follow-up-list", "Lists follow-ups, soonest first", .init("GET", "/api/admin/follow-ups"),
  input: .init(query: FollowUp.listForm),
  output: .init([
    "type": "object", "required": ["data", "limit", "nextCursor"],
    "properties": [
      "data": ["type": "array", "items": FollowUp.schema], "limit": ["type": "integer"],
      "nextCursor": ["type": ["string", "null"]],
    ],
  ]), calls: .listFollowUps
).handler
