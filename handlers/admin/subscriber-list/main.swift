// GET /api/newsletter/subscribers: who gets the newsletter, and who does no longer.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "subscriber-list", "Lists the newsletter's subscribers, newest first", .init("GET", "/api/newsletter/subscribers"),
  input: .init(query: Subscriber.listForm), output: .init(Page.schema(Subscriber.schema)), calls: .listSubscribers
).run()
