// POST /api/admin/agents: somebody new who answers customers.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "agent-create", "Adds an agent", .init("POST", "/api/admin/agents"),
  body: Agent.newForm, output: Agent.schema, status: 201, problems: [409], calls: .createAgent
).run()
