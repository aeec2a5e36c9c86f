// GET /api/admin/conversations/{id}/timeline: lists a conversation's history, newest first, worded for people.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "conversation-timeline", "Lists a conversation's history, newest first",
  .init("GET", "/api/admin/conversations/{id}/timeline"), input: .init(query: Page.form),
  output: .init(Page.schema(Timeline.schema)), calls: .listTimeline,
  presentation: { _ in { Page.mapRows($0, TimelineEntry.presented) } }
).handler
