import Wire

/// What Lambda passes to a function. An endpoint takes HTTP events alone: whoever may invoke the function directly must
/// not thereby get past the admin key. A step takes bare documents alone, so that no URL can lead to it by mistake.
enum LambdaEvent {
  /// An event of an HTTP API or of a function URL, payload format 2.0.
  case http(HTTPEvent)
  case document([UInt8])
  case invalid(String)

  init(_ bytes: [UInt8], to description: Description) {
    let event: JSON
    // Lambda wrote the event; the handler reads the body in it as strictly as any other.
    do throws(JSONError) { event = try JSON(readingEvent: bytes) } catch {
      self = .invalid("the event is not valid JSON: \(error.reason) at byte \(error.offset)")
      return
    }
    switch description.kind {
    case .endpoint:
      self =
        HTTPEvent(event).map { .http($0) }
        ?? .invalid("an endpoint takes events of an HTTP API or of a function URL, payload format 2.0")
    case .step where event["requestContext"] == nil: self = .document(bytes)
    case .step: self = .invalid("a step takes a bare JSON document, not an HTTP event")
    }
  }
}
