import Contract
import Deliveries
import Forms
import Wire

/// What receipts say about the agency: AGENCY_NAME, AGENCY_PHONE and AGENCY_EMAIL.
package enum AgencySettings {
  /// With their validation, for the start of the product.
  package static let checked: [Setting] = [
    Setting("AGENCY_NAME") { name(in: $0) == nil ? "must be one line of at most 100 characters" : nil },
    Setting("AGENCY_PHONE") {
      phone(in: $0) == nil ? "must be a phone number of 5 to 30 digits, spaces, +, -, ( and )" : nil
    },
    Setting("AGENCY_EMAIL") { Mailbox(address: $0) == nil ? "must be an email address" : nil },
  ]

  /// For the notifier, which must send to the team whatever they are: a wrong value counts as absent.
  static let declared = checked.map { Setting($0.name) }

  static func agency(_ settings: Settings) -> Agency {
    Agency(
      name: settings["AGENCY_NAME"].flatMap(name) ?? "TrueNester", phone: settings["AGENCY_PHONE"].flatMap(phone),
      email: settings["AGENCY_EMAIL"].flatMap { Mailbox(address: $0)?.address })
  }

  private static func name(in text: String) -> String? {
    let isLine = text.unicodeScalars.allSatisfy {
      $0.properties.generalCategory != .control && $0.properties.generalCategory != .format && $0 != "\u{2028}"
        && $0 != "\u{2029}"
    }
    return 1...100 ~= text.unicodeScalars.count && isLine && cleanText(text) == text ? text : nil
  }

  private static func phone(in text: String) -> String? {
    5...30 ~= text.utf8.count && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || "+-() ".utf8.contains($0) }
      && text.utf8.contains { 0x30...0x39 ~= $0 } ? text : nil
  }
}
