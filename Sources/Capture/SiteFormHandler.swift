import Contract
import Forms
import Leads
import Store
import Wire

extension Handler {
  /// A handler that stores the submissions of a website form and replies with `message`.
  package init(
    storing form: SiteForm, name: String, summary: String, paths: [String], message: String, words: FormWords
  ) {
    self.init(
      Description(
        name: name, kind: .endpoint, summary: summary, routes: paths.map { .init("POST", $0) }, rateClass: "contact",
        repairsText: true, environment: LeadIntake.settings + PlainForms.settings,
        input: .init(GuardFields.describe(in: form.form.schema), headers: LeadIntake.headers),
        output: .init(
          [
            "type": "object", "required": ["success", "id", "message"],
            "properties": [
              "success": ["const": true], "id": ["type": "string", "format": "uuid"],
              "message": ["const": .string(message)], "warnings": Lead.warningsSchema,
            ],
          ], statuses: [201], headers: LeadIntake.replyHeaders, problems: LeadIntake.problems)
      ).takingForms,
      batchSize: LeadIntake.batchSize
    ) { settings, afterwards throws(Problem) in
      let pages = PlainForms(settings)
      let intake = try LeadIntake(of: form, posted: pages, settings, handler: name, afterwards)
      return { requests, log in
        zip(requests, intake.capture(requests, log: log)).map { request, stored in
          let result = stored.map { lead, captured in
            let members: [JSON.Member] = [
              .init("success", true), .init("id", .string(captured.id)), .init("message", .string(message)),
            ]
            return Reply(status: 201, .object(members + lead.warningMembers), headers: captured.replayHeader)
          }
          return pages.shown(result, to: request, words, log: log.with("requestId", request.requestID))
        }
      }
    }
  }
}
