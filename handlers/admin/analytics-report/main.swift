// GET /api/admin/analytics: what a span of time came to, on the agency's clock.
import Admin
import Contract
import Store
import StoreAccess
import Wire

AdminEndpoint(
  "analytics-report", "Counts what a span of time came to", .init("GET", "/api/admin/analytics"),
  input: .init(query: ConversationSearch.reportForm), output: .init(ConversationSearch.report),
  environment: [.timeZone], calls: .analyticsReport, asking: ConversationSearch.locally
).run()
