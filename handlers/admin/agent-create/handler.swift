// POST /api/admin/agents: adds an agent.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "agent-create", "Adds an agent", .init("POST", "/api/admin/agents"), input: .init(body: Agent.newForm),
  output: .init(Agent.schema, statuses: [201], problems: [409]), calls: .createAgent
).handler
