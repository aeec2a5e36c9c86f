import Curl
import Deliveries
import Wire

/// The classification rules for all HTTP providers. A provider's own table takes precedence.
extension HTTPResult {
  /// Returns the outcome of a transfer without a complete reply. Nil if the reply is complete or its status is an
  /// error, so that the provider's table decides.
  package func transportOutcome(_ provider: String) -> DeliveryOutcome? {
    guard curlCode != 0, status < 300 else { return nil }
    let code = "curl \(curlCode)"
    let message = CurlError.message(for: curlCode)
    if uploaded > 0 || status > 0 {
      return DeliveryOutcome(
        .unknown, statusCode: status > 0 ? status : nil, providerCode: code,
        reason: "\(provider) gave no usable response after the message was sent: \(message) (\(code))")
    }
    return DeliveryOutcome(
      CurlClass.isConfig(curlCode) ? .config : .retry, providerCode: code,
      reason: "\(provider) could not be reached: \(message) (\(code))")
  }

  /// Returns the class of a status that is not in the provider's table.
  package static func genericClass(status: Int) -> DeliveryOutcome.Class {
    switch status {
    case 200..<300: .delivered
    case 300..<400: .config
    case 408, 425, 429: .retry
    case 401, 403, 404, 410: .config
    case 501, 505: .permanent
    case 500..<600: .retry
    default: .permanent
    }
  }
}

/// The libcurl error codes that a person has to fix: addresses, certificates, protocols.
enum CurlClass {
  /// 1 and 3: protocol and address. 43: libcurl rejects an option. 58, 59, 60, 66, 77, 82, 83, 90 and 91: certificates.
  /// 64: TLS is required but not offered.
  private static let config: Set<Int> = [1, 3, 43, 58, 59, 60, 64, 66, 77, 82, 83, 90, 91]

  static func isConfig(_ code: Int) -> Bool { config.contains(code) }
}

/// Parses Retry-After (RFC 9110 §10.2.3): seconds, also with a fraction as some providers write it, or an IMF-fixdate.
package enum RetryAfter {
  /// Returns whole seconds, rounded up, from one second to one day. Nil if the value is not valid.
  package static func seconds(_ text: String?, now: Instant) -> Int? {
    guard let text else { return nil }
    let words = text.split { $0 == " " || $0 == "\t" || $0 == "," }
    if words.count == 1 { return seconds(number: String(words[0])) }
    return date(words).map { clamp(($0.milliseconds - now.milliseconds + 999) / 1000) }
  }

  /// Parses a number in ASCII digits with at most one decimal point.
  package static func seconds(number: String) -> Int? {
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard 1...2 ~= parts.count, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { 0x30...0x39 ~= $0 } })
    else { return nil }
    let whole = parts[0].utf8.count > 9 ? 999_999_999 : Int(parts[0]) ?? 0
    let hasFraction = parts.count == 2 && parts[1].utf8.contains { $0 != 0x30 }
    return clamp(whole + (hasFraction ? 1 : 0))
  }

  private static func clamp(_ seconds: Int) -> Int { min(max(seconds, 1), 86_400) }

  /// `Sun 06 Nov 1994 08:49:37 GMT`.
  private static func date(_ words: [Substring]) -> Instant? {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])) else { return nil }
    let number = month + 1 < 10 ? "0\(month + 1)" : "\(month + 1)"
    return Instant(iso8601: "\(words[3])-\(number)-\(words[1])T\(words[4])Z")
  }
}
