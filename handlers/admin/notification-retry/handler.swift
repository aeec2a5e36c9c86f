// POST /api/admin/notifications/{id}/retry: retries a failed notification at once.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "notification-retry", "Retries a failed notification at once",
  .init("POST", "/api/admin/notifications/{id}/retry"),
  output: .init(NotificationResource.schema, statuses: [202], problems: [409]), needs: [.wake], calls: .retryDelivery
).handler
