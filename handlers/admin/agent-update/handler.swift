// PATCH /api/admin/agents/{id}: updates an agent. A change of the status alone does not require an owner's key.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "agent-update", "Updates an agent", .init("PATCH", "/api/admin/agents/{id}"), input: .init(body: Agent.changeForm),
  output: .init(Agent.schema, problems: [409]), calls: .updateAgent, argument: Agent.change
).handler
