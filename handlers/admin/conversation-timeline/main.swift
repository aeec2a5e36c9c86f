// GET /api/admin/conversations/{id}/timeline: what happened to a conversation, newest first, in a person's words.
import Admin
import Contract
import Store
import Wire

AdminEndpoint(
  "conversation-timeline", "What happened to a conversation, newest first",
  .init("GET", "/api/admin/conversations/{id}/timeline"), input: .init(query: Page.form),
  output: .init(Page.schema(Timeline.schema)), calls: .listTimeline,
  telling: { _ in { Page.telling($0, TimelineEntry.told) } }
).run()
