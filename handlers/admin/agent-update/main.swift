// PATCH /api/admin/agents/{id}: changes an agent. The status alone needs no owner's key.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "agent-update", "Changes an agent", .init("PATCH", "/api/admin/agents/{id}"), input: .init(body: Agent.changeForm),
  output: .init(Agent.schema, problems: [409]), calls: .updateAgent, asking: Agent.change
).run()
