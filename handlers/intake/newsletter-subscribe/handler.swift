// POST /api/newsletter/subscribe: subscribes an email address. The reply does not reveal whether the address was new.
import Capture
import Contract
import Forms
import Leads
import Wire

package let handler = Handler(
  Description(
    name: "newsletter-subscribe", kind: .endpoint, summary: "Subscribes an email address to the newsletter",
    routes: [.init("POST", "/api/newsletter/subscribe")], rateClass: "contact",
    environment: NewsletterIntake.settings, input: .init(GuardFields.describe(in: Subscription.form.schema)),
    output: .init(
      [
        "type": "object", "required": ["success", "data"],
        "properties": [
          "success": ["const": true],
          "data": [
            "type": "object", "required": ["id", "email", "status"],
            "properties": [
              "id": ["type": "string", "format": "uuid"], "email": ["type": "string", "format": "email"],
              "status": ["const": "active"],
            ],
          ],
        ],
      ], statuses: [201])
  ).takingForms
) { settings, afterwards throws(Problem) in
  let newsletter = try NewsletterIntake(settings, afterwards)
  return { request, log throws(Problem) in
    try newsletter.answer(request, .subscribe, log: log) { () throws(Problem) in
      let body = try newsletter.content(of: request, for: Subscription.form)
      let subscription = try checking { () throws(FormError) in try Subscription(checking: body) }
      let id = try newsletter.subscribe(subscription, sent: body, asked: request, log: log)
      let data: JSON = ["id": .string(id), "email": .string(subscription.email.text), "status": "active"]
      return Reply(status: 201, ["success": true, "data": data])
    }
  }
}
