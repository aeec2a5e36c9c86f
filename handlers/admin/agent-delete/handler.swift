// DELETE /api/admin/agents/{id}: deletes an agent. An agent with open conversations is deleted only with `force`; these
// conversations are then unassigned.
import Admin
import Contract
import Forms
import Store
import Wire

package let handler = AdminEndpoint(
  "agent-delete", "Deletes an agent", .init("DELETE", "/api/admin/agents/{id}"),
  input: .init(query: Form([.optional("force", .boolean)])), output: .init(statuses: [204], problems: [409]),
  calls: .deleteAgent
).handler
