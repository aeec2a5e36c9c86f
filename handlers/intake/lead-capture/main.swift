// POST /api/chatbot/leads: checks a lead of the chatbot, stores it with its event in one transaction, wakes the workers.
import Contract
import Forms
import Leads
import Store
import Wire

Handler(
  Description(
    name: "lead-capture", kind: .endpoint, summary: "Stores a lead of the chatbot, or continues its conversation",
    routes: [.init("POST", "/api/chatbot/leads")], rateClass: "lead", environment: Intake.settings,
    input: .init(Lead.chatbotForm.schema, headers: Intake.headers),
    output: .init(LeadReply.schema, statuses: [200, 201], headers: Intake.replyHeaders, problems: Intake.problems)),
  batchSize: Intake.batchSize
) { settings, afterwards throws(Problem) in
  let intake = try Intake(settings, handler: "lead-capture", afterwards)
  return { requests, log in
    intake.capture(requests, log: log) { body, receivedAt throws(FormError) in
      try Lead(checking: body, receivedAt: receivedAt)
    }.map { stored in stored.map { lead, captured in LeadReply(lead: lead, captured: captured).reply } }
  }
}.run()
