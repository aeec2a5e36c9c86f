// DELETE /api/admin/keys/{id}: revokes a key and ends its sessions.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "key-revoke", "Revokes a key and ends its sessions", .init("DELETE", "/api/admin/keys/{id}"),
  output: .init(statuses: [204], problems: [409]), calls: .revokeAdminKey
).handler
