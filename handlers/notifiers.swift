// The worker's steps that send through libcurl in one executable, which has a link with the name of each.
import Contract
import notify_email
import notify_slack
import notify_telegram

@main
enum Executable {
  static func main() {
    serve([
      "notify-email": { notify_email.handler },
      "notify-slack": { notify_slack.handler },
      "notify-telegram": { notify_telegram.handler },
    ])
  }
}
