import Contract
import Transports

/// Mails the deliveries of the channel email to their recipients, over SMTP or Resend, and passes every other line on.
Handler(.notifier("notify-email", "Sends a delivery by mail.", MailRoute.settings)) { settings throws(Problem) in
  let smtp = try SMTPTransfer()
  let http = try HTTPTransfer()
  return notifier("email", needing: MailRoute.needed(settings), from: settings, as: MailRoute.init) {
    route, line, request, deadline in
    switch route {
    case .server(let mail): mail.send(line, date: request.receivedAt, over: smtp, by: deadline)
    case .resend(let resend): resend.send(line, over: http, by: deadline)
    }
  }
}.run()
