/// The ports and the file of the sink that `up` starts, and the settings that direct the notifiers to it.
struct SinkPlace {
  let http: Int
  let smtp: Int
  let file: String

  /// The first free ports after `port`, and a file in the state folder.
  init(after port: Int, folder: String) {
    http = FreePort.near(port + 1)
    smtp = FreePort.near(http + 1)
    file = folder + "/sink.ndjson"
  }

  var page: String { "http://127.0.0.1:\(http)" }
  var words: [String] { ["sink", "--http-port", String(http), "--smtp-port", String(smtp), "--file", file] }
  var settings: [String: String] {
    [
      "SLACK_WEBHOOK_URL": "\(page)/services/sink", "TELEGRAM_BOT_TOKEN": "1:sink", "TELEGRAM_CHAT_ID": "-1",
      "TELEGRAM_API_URL": page, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": String(smtp),
      "EMAIL_FROM": "Leadpipe <leadpipe@example.com>", "EMAIL_TO": "agents@example.com",
    ]
  }
}
