// GET /api/admin/agents: who answers customers, and how much each has to do.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "agent-list", "Lists the agents with their open conversations", .init("GET", "/api/admin/agents"),
  input: .init(query: Agent.listForm),
  output: .init([
    "type": "object", "required": ["data", "total"],
    "properties": [
      "data": ["type": "array", "items": Agent.schema], "total": ["type": "integer"],
    ],
  ]), calls: .listAgents
).run()
