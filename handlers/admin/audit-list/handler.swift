// GET /api/admin/audit: lists who managed keys, agents, channels and personal data, newest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "audit-list", "Lists the audit log, newest first", .init("GET", "/api/admin/audit"),
  input: .init(query: AuditAction.listForm), output: .init(Page.schema(AuditAction.schema)), calls: .listAudit
).handler
