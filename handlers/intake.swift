// The endpoints of the trust class intake in one executable, which has a link with the name of each.
import Contract
import Store
import StoreAccess
import contact_capture
import form_token
import health_check
import inquiry_capture
import lead_capture
import newsletter_subscribe
import newsletter_unsubscribe
import rate_count
import sell_capture
import unsubscribe_page

@main
enum Executable {
  static func main() {
    serve(
      [
        "contact-capture": { contact_capture.handler },
        "form-token": { form_token.handler },
        "health-check": { health_check.handler },
        "inquiry-capture": { inquiry_capture.handler },
        "lead-capture": { lead_capture.handler },
        "newsletter-subscribe": { newsletter_subscribe.handler },
        "newsletter-unsubscribe": { newsletter_unsubscribe.handler },
        "rate-count": { rate_count.handler },
        "sell-capture": { sell_capture.handler },
        "unsubscribe-page": { unsubscribe_page.handler },
      ], counter: { SharedRateLimiter($0, over: .ofProcess($0)) })
  }
}
