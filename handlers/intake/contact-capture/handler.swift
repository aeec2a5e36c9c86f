// POST /api/contact: stores a contact form message as a lead, with its event, in one transaction.
import Capture
import Contract
import Leads

package let handler = Handler(
  storing: SiteForm.contact, name: "contact-capture", summary: "Stores a contact form message as a lead",
  paths: ["/api/contact", "/api/submit-contact"], message: "Contact form submitted successfully", words: .contact
)
