// Counts requests in the database, for a gateway with RATE_LIMIT_STORE=postgres: the gateway has no database login. The
// rules are in Sources/Contract/SharedRateLimits.swift.
import Contract
import Forms
import Store
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "rate-count", kind: .step,
    summary: "Counts a request in the limits that gateways share, or corrects its count",
    bodyLimit: 8192, timeLimitMs: 2000, environment: Database.settings,
    input: .init([
      "type": "object", "minProperties": 1, "maxProperties": 1,
      "properties": ["admit": ["type": "object"], "settle": ["type": "object"]],
    ]),
    output: .init(
      [
        "type": "object", "required": ["request"],
        "properties": [
          "known": ["type": "boolean"], "request": ["type": ["object", "null"]], "guess": ["type": ["object", "null"]],
        ],
      ]))
) { settings throws(Problem) in
  // Calls hold a client's row for less than a millisecond, so a longer lock is a fault, and it must not delay others.
  let database = Database(settings, lockMilliseconds: 200)
  return { request, log throws(Problem) in
    let body = try request.json()
    let (function, argument) = (
      body["settle"] == nil ? Function.admitRequest : .settleRequest, body["settle"] ?? body["admit"]
    )
    guard let argument, argument.members != nil else {
      var error = FormError()
      error.add(.oneRequired, ["fields": "admit or settle"])
      throw Problem(error)
    }
    return Reply(try database.call(function, argument, deadline: request.deadline ?? .steady, log: log))
  }
}
