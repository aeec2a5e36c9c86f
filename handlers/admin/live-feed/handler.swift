// The feed behind live-show: waits until there are events after a cursor, for at most half a second.
import Admin
import Contract
import Forms
import Glibc
import Leads
import Store
import StoreAccess
import Wire

let form = Form([.required("after", .text(1...8000))])

package let handler = Handler(
  Description(
    name: "live-feed", kind: .step, summary: "Returns the events after a cursor, for all clients of the live feed",
    environment: Database.settings + OfficeHours.settings, input: .init(form.schema),
    output: .init([
      "type": "object", "required": ["events", "cursor"],
      "properties": ["events": ["type": "array"], "cursor": ["type": "string"]],
    ]))
) { settings throws(Problem) in
  let database = Database(settings)
  let hours = try OfficeHours(settings)
  return { request, log throws(Problem) in
    let body = try request.json()
    var argument = try checking { () throws(FormError) in try form.check(body).document }
    argument = argument.setting("warnBefore", AdminEndpoint.warnBefore(.now, hours))
    let end = Instant(milliseconds: Instant.steady.milliseconds + 500)
    while true {
      let answer = try database.call(.liveEvents, argument, deadline: request.deadline ?? .steady, log: log)
      if Live.isNews(answer) || .steady >= end { return try Live.batch(answer) }
      if let cursor = answer["cursor"] { argument = argument.setting("after", cursor) }
      // Polls twenty times a second: this works through every pooler and costs one index lookup. By REST each poll is a
      // request to the project, so there is one in half a second.
      _ = poll(nil, 0, database.isRemote ? 500 : 50)
    }
  }
}
