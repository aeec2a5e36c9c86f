// POST /api/admin/notifications/{id}/retry: a failed notification is tried again at once.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "notification-retry", "Tries a failed notification again at once",
  .init("POST", "/api/admin/notifications/{id}/retry"),
  output: .init(NotificationResource.schema, statuses: [202], problems: [409]), needs: [.wake], calls: .retryDelivery
).run()
