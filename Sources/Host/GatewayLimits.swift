import Contract
import Wire

/// The operator's settings for the gateway's limits, except those of its processes.
package enum GatewayLimits {
  package static let slow = Setting("LEADPIPE_SLOW_MS") { text in
    text == "off" || Int(strict: text).map { 0...3_600_000 ~= $0 } == true
      ? nil : "must be off, or a number of milliseconds from 0 to 3600000"
  }

  package static let settings =
    [
      slow, OperationsAddress.setting, SCGIAddress.setting, .number("LEADPIPE_CLIENT_CONNECTIONS", 1...16_384),
      .number("LEADPIPE_HANDLER_CONCURRENCY", 1...1024), .number("LEADPIPE_QUEUE", 0...65_536),
      .number("LEADPIPE_QUEUE_MS", 0...60_000),
    ] + Budgets.settings
}
