import Wire

/// Resend's `POST /emails`. A repeated key with the same content gets the same reply and sends no second email.
struct ResendStandIn: Sendable {
  private static let remembered = 100_000

  private var answered: [String: (body: [UInt8], id: String)] = [:]
  private var count = 0

  /// Returns Resend's reply to `body` with these headers.
  mutating func reply(to body: [UInt8], authorization: String?, key: String?, at time: Instant) -> Verdict {
    guard authorization?.hasPrefix("Bearer ") == true else { return refuse(401, "missing_api_key") }
    if let key, !(1...256 ~= key.utf8.count) { return refuse(400, "invalid_idempotency_key") }
    guard let payload = try? JSON(reading: body), payload.members != nil else { return refuse(400, "validation_error") }
    guard let from = payload["from"]?.string, let to = payload["to"]?.array?.compactMap(\.string), 1...50 ~= to.count,
      let subject = payload["subject"]?.string, !from.isEmpty,
      let text = payload["text"]?.string ?? payload["html"]?.string
    else { return refuse(422, "missing_required_field") }
    if let key, let known = answered[key] {
      return known.body == body ? took(known.id, nil) : refuse(409, "invalid_idempotent_request")
    }
    count += 1
    let id = "SINK\(count)"
    if let key, answered.count < Self.remembered { answered[key] = (body, id) }
    let message = SinkMessage(
      time: time, provider: .resend, recipient: to.joined(separator: ", "), subject: subject, body: .string(text),
      id: id
    )
    return took(id, message)
  }

  /// Returns a refusal with Resend's error body.
  static func fault(_ status: Int, _ name: String) -> SinkReply {
    let body: JSON = [
      "statusCode": JSON(status), "name": .string(name), "message": .string("The request was refused: \(name)."),
    ]
    return SinkReply(status, "application/json", body.bytes)
  }

  private func took(_ id: String, _ message: SinkMessage?) -> Verdict {
    let body: JSON = ["id": .string(id)]
    return Verdict(reply: SinkReply(200, "application/json", body.bytes), message: message)
  }

  private func refuse(_ status: Int, _ name: String) -> Verdict {
    Verdict(reply: Self.fault(status, name), message: nil)
  }
}
