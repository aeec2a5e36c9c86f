// GET /api/newsletter/subscribers: lists active and former newsletter subscribers.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "subscriber-list", "Lists newsletter subscribers, newest first", .init("GET", "/api/newsletter/subscribers"),
  input: .init(query: Subscriber.listForm), output: .init(Page.schema(Subscriber.schema)), calls: .listSubscribers
).handler
