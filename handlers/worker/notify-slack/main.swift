import Contract
import Transports

/// Posts the deliveries of the channel slack to the incoming webhook and passes every other line on.
Handler(.notifier("notify-slack", "Sends a delivery to Slack's incoming webhook.", Slack.settings)) {
  settings throws(Problem) in
  let transfer = try HTTPTransfer()
  return notifier("slack", needing: Slack.settings, from: settings, as: Slack.init) { slack, line, _, deadline in
    slack.send(line, over: transfer, by: deadline)
  }
}.run()
