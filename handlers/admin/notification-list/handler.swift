// GET /api/admin/notifications: lists the delivery log, newest first.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "notification-list", "Lists notifications, newest first", .init("GET", "/api/admin/notifications"),
  input: .init(query: NotificationResource.listForm), output: .init(Page.schema(NotificationResource.schema)),
  calls: .listDeliveries
).handler
