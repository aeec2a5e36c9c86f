// GET /api/admin/sla: lists conversations whose first response is overdue or due soon, soonest first.
import Admin
import Contract
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "sla-list", "Lists conversations whose first response is overdue or due soon", .init("GET", "/api/admin/sla"),
  input: .init(query: ConversationSearch.slaForm),
  output: .init(
    ConversationSearch.page(
      of: ConversationSearch.conversation(with: "minutesRemaining", ["type": "integer"]),
      ConversationSearch.waitingForAgent)), needs: [.officeHours],
  calls: .listSLA
).handler
