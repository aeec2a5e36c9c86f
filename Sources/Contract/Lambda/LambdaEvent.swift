import Wire

/// What Lambda passes to a function. An endpoint takes HTTP events alone: whoever may invoke the function directly must
/// not thereby get past the admin key. A step takes bare documents alone, so that no URL can lead to it by mistake.
enum LambdaEvent {
  /// An event of an HTTP API or of a function URL, payload format 2.0. `isRepaired`: U+FFFD replaces what is broken in
  /// its strings.
  case http(JSON, isRepaired: Bool)
  case document([UInt8])
  case invalid(String)

  init(_ bytes: [UInt8], to description: Description) {
    var isRepaired = false
    let event: JSON
    do throws(JSONError) {
      event = try Self.read(bytes, &isRepaired)
    } catch {
      self = .invalid("the event is not valid JSON: \(error.reason) at byte \(error.offset)")
      return
    }
    let isHTTP = event["requestContext"]?["http"]?["method"]?.string != nil
    switch description.kind {
    case .endpoint where isHTTP: self = .http(event, isRepaired: isRepaired)
    case .endpoint:
      self = .invalid("an endpoint takes events of an HTTP API or of a function URL, payload format 2.0")
    case .step where event["requestContext"] == nil: self = .document(bytes)
    case .step: self = .invalid("a step takes a bare JSON document, not an HTTP event")
    }
  }

  /// Reads the event. What a client can put into a string, such as a NUL in the body, must not make the event
  /// unreadable: the client gets a 400 for it, not Lambda an error.
  private static func read(_ bytes: [UInt8], _ isRepaired: inout Bool) throws(JSONError) -> JSON {
    if let event = try? JSON(reading: bytes) { return event }
    isRepaired = true
    return try JSON(reading: bytes, repairing: true)
  }
}
