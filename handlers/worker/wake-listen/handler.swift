// Listens for notifications with WAKE=notify: waits until there may be something to claim, for at most ten seconds.
import Contract
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "wake-listen", kind: .step,
    summary: "Waits until a capture on any host reports that it has stored something", timeLimitMs: 15_000,
    environment: Database.settings + [Database.listening], input: .init(["type": "object"]),
    output: .init([
      "type": "object", "required": ["isWoken", "isListening"],
      "properties": ["isWoken": ["type": "boolean"], "isListening": ["type": "boolean"]],
    ]))
) { settings throws(Problem) in
  try Database.requireSession(settings, "WAKE=notify needs a session with the database")
  let listener = WakeListener(settings)
  return { _, log throws(Problem) in
    let isWoken = listener.wait(until: Instant.steady.adding(seconds: 10), log: log)
    return Reply(["isWoken": .bool(isWoken), "isListening": .bool(listener.isProved)])
  }
}
