// POST /api/newsletter/unsubscribe: ends a subscription. For an address, the reply does not reveal whether there was one.
import Capture
import Contract
import Forms
import Leads
import Wire

package let handler = Handler(
  Description(
    name: "newsletter-unsubscribe", kind: .endpoint, summary: "Ends a newsletter subscription",
    routes: [.init("POST", "/api/newsletter/unsubscribe")], rateClass: "contact",
    environment: NewsletterIntake.settingsToEnd,
    input: .init(Unsubscription.form.schema),
    output: .init(
      [
        "type": "object", "required": ["success", "data"],
        "properties": [
          "success": ["const": true],
          "data": [
            "type": "object", "required": ["status"],
            "properties": ["email": ["type": "string", "format": "email"], "status": ["const": "unsubscribed"]],
          ],
        ],
      ], problems: [404])
  ).takingForms
) { settings throws(Problem) in
  let newsletter = try NewsletterIntake(settings)
  return { request, log throws(Problem) in
    try newsletter.answer(request, .unsubscribe, log: log) { () throws(Problem) in
      let unsubscription = try newsletter.unsubscription(in: request)
      let isDone = try newsletter.unsubscribe(unsubscription, asked: request, log: log)
      switch unsubscription {
      case .email(let email):
        return Reply(["success": true, "data": ["email": .string(email.text), "status": "unsubscribed"]])
      case .token where isDone: return Reply(["success": true, "data": ["status": "unsubscribed"]])
      case .token: throw Problem(.subscriptionNotFound)
      }
    }
  }
}
