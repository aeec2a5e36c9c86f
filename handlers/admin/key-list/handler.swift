// GET /api/admin/keys: lists the active keys to the admin interface, without the keys themselves.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "key-list", "Lists the active keys", .init("GET", "/api/admin/keys"),
  output: .init([
    "type": "object", "required": ["data", "total"],
    "properties": ["data": ["type": "array", "items": AdminKey.listed], "total": ["type": "integer"]],
  ]), calls: .listAdminKeys, presentation: { _ in AdminKey.list }
).handler
