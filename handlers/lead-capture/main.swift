// POST /api/chatbot/leads: checks a lead of the chatbot, stores it with its event in one transaction, wakes the worker.
import Handler
import Leads
import Store
import Wire

Handler(
  Description(
    name: "lead-capture", kind: .endpoint, summary: "Stores a lead of the chatbot, or continues its conversation",
    routes: [.init("POST", "/api/chatbot/leads")], rateClass: "lead",
    environment: Database.settings + [Wake.setting, BusinessHours.setting], input: Lead.chatbotForm.schema,
    output: LeadReply.schema)
) { settings throws(Problem) in
  let database = Database(settings)
  let wake = Wake(settings)
  return { request, log throws(Problem) in
    let (lead, content) = try readLead(request)
    let captured = try store(lead, content, from: request, in: database, log: log)
    if captured.eventID != nil { wake.send() }
    return LeadReply(lead: lead, captured: captured).reply
  }
}.run()
