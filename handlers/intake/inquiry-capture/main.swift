// POST /api/property-inquiry: stores a question about a property as a lead, with its event in one transaction.
import Contract
import Leads
import Store

Handler(
  storing: SiteForm.inquiry, name: "inquiry-capture", summary: "Stores a question about a property as a lead",
  paths: ["/api/property-inquiry"], message: "Property inquiry submitted successfully"
).run()
