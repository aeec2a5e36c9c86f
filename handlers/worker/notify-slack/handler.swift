import Contract
import Deliveries
import Transports

/// Posts the deliveries of the channel slack to the incoming webhook and passes every other line on.
package let handler = Handler.notifier(.slack, "Sends a delivery to Slack's incoming webhook")
