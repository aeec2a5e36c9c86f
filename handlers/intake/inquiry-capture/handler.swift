// POST /api/property-inquiry: stores a property inquiry as a lead, with its event, in one transaction.
import Capture
import Contract
import Leads

package let handler = Handler(
  storing: SiteForm.inquiry, name: "inquiry-capture", summary: "Stores a property inquiry as a lead",
  paths: ["/api/property-inquiry"], message: "Property inquiry submitted successfully", words: .inquiry
)
