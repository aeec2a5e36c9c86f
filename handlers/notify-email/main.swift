import Delivery
import Handler

/// Mails the deliveries of the channel email to their recipients and passes every other line on.
Handler(.notifier("notify-email", "Sends a delivery by mail.", Mail.settings)) { settings throws(Problem) in
  let transfer = try SMTPTransfer()
  return notifier("email", needing: Mail.settings, from: settings, as: Mail.init) { mail, line, request, deadline in
    mail.send(line, date: request.receivedAt, over: transfer, by: deadline)
  }
}.run()
