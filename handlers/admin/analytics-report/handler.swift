// GET /api/admin/analytics: analytics for a period, in the agency's time zone.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "analytics-report", "Returns analytics for a period", .init("GET", "/api/admin/analytics"),
  input: .init(query: ConversationSearch.reportForm), output: .init(ConversationSearch.report),
  environment: [.timeZone], calls: .analyticsReport, argument: ConversationSearch.withTimeZone
).handler
