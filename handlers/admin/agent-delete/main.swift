// DELETE /api/admin/agents/{id}: an agent who has open conversations goes only by force, and they are nobody's then.
import Admin
import Contract
import Forms
import Store
import Wire

AdminEndpoint(
  "agent-delete", "Removes an agent", .init("DELETE", "/api/admin/agents/{id}"),
  input: .init(query: Form([.optional("force", .boolean)])), output: .init(statuses: [204], problems: [409]),
  calls: .deleteAgent
).run()
