import Contract
import Wire

/// RECEIPTS and RECEIPTS_PER_MINUTE: whether visitors get a receipt by email, and how many at most.
package enum Receipts {
  package static let setting = Setting.choice("RECEIPTS", ["on", "off"])
  package static let rate = Setting.number("RECEIPTS_PER_MINUTE", 1...1000)

  package static func areOn(_ settings: Settings) -> Bool { settings[setting.name] == "on" }
  package static func perMinute(_ settings: Settings) -> Int { settings.number(rate.name, default: 20) }
}
