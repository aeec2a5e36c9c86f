// POST /api/chatbot/leads: checks a lead of the chatbot, stores it with its event in one transaction, wakes the workers.
import Capture
import Contract
import Forms
import Leads
import Store
import Wire

Handler(
  Description(
    name: "lead-capture", kind: .endpoint, summary: "Stores a lead of the chatbot, or continues its conversation",
    routes: [.init("POST", "/api/chatbot/leads")], rateClass: "lead", environment: LeadIntake.settings,
    input: .init(Lead.chatbotForm.schema, headers: LeadIntake.headers),
    output: .init(
      LeadReply.schema, statuses: [200, 201], headers: LeadIntake.replyHeaders, problems: LeadIntake.problems)),
  batchSize: LeadIntake.batchSize
) { settings, afterwards throws(Problem) in
  let intake = try LeadIntake(settings, handler: "lead-capture", afterwards)
  return { requests, log in
    intake.capture(requests, log: log) { body, receivedAt throws(FormError) in
      try Lead(checking: body, receivedAt: receivedAt)
    }.map { stored in stored.map { lead, captured in LeadReply((lead, captured)).reply } }
  }
}.run()
