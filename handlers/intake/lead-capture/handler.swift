// POST /api/chatbot/leads: validates a chatbot lead, stores it with its event in one transaction, and wakes the
// workers.
import Capture
import Contract
import Forms
import Leads
import Store
import Wire

let chatbot = ChatbotForm()

package let handler = Handler(
  Description(
    name: "lead-capture", kind: .endpoint, summary: "Stores a chatbot lead, or continues its conversation",
    routes: [.init("POST", "/api/chatbot/leads")], rateClass: "lead", bodyLimit: 262_144, repairsText: true,
    environment: LeadIntake.settings,
    input: .init(GuardFields.describe(in: chatbot.form.schema), headers: LeadIntake.headers),
    output: .init(
      LeadReply.schema, statuses: [200, 201], headers: LeadIntake.replyHeaders, problems: LeadIntake.problems)),
  batchSize: LeadIntake.batchSize
) { settings, afterwards throws(Problem) in
  let intake = try LeadIntake(of: chatbot, settings, handler: "lead-capture", afterwards)
  return { requests, log in
    intake.capture(requests, log: log).map { stored in stored.map { LeadReply($0).reply } }
  }
}
