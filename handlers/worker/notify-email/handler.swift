import Contract
import Deliveries
import Transports

/// Sends the deliveries of the channel email to their recipients, over SMTP or Resend, and passes every other line on.
package let handler = Handler.notifier(.email, "Sends a delivery by email")
