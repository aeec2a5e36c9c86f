// POST /api/sell-submission: stores an owner's request to sell as a lead, with its event, in one transaction.
import Capture
import Contract
import Leads

package let handler = Handler(
  storing: SiteForm.sell, name: "sell-capture", summary: "Stores an owner's request to sell as a lead",
  paths: ["/api/sell-submission"], message: "Sell submission received successfully", words: .sell
)
