import Contract
import Deliveries
import Transports

/// Sends the deliveries of the channel telegram to their chats and passes every other line on.
package let handler = Handler.notifier(.telegram, "Sends a delivery to a Telegram chat")
