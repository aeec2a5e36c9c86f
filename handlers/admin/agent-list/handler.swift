// GET /api/admin/agents: lists the agents and their workload.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "agent-list", "Lists agents with their open conversations", .init("GET", "/api/admin/agents"),
  input: .init(query: Agent.listForm),
  output: .init([
    "type": "object", "required": ["data", "total"],
    "properties": [
      "data": ["type": "array", "items": Agent.schema], "total": ["type": "integer"],
    ],
  ]), calls: .listAgents
).handler
