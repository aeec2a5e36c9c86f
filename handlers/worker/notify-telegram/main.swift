import Contract
import Transports

/// Sends the deliveries of the channel telegram to their chats and passes every other line on.
Handler(.notifier("notify-telegram", "Sends a delivery to a chat of Telegram's.", Telegram.settings)) {
  settings throws(Problem) in
  let transfer = try HTTPTransfer()
  return notifier("telegram", needing: Telegram.settings, from: settings, as: Telegram.init) {
    telegram, line, _, deadline in
    telegram.send(line, over: transfer, by: deadline)
  }
}.run()
