import Wire

/// The providers' error messages, each with its status.
enum ProviderErrors {
  static let slack: [String: Int] = [
    "invalid_payload": 400, "no_text": 400, "too_many_attachments": 400, "invalid_blocks": 400,
    "invalid_blocks_format": 400, "msg_blocks_too_long": 400, "user_not_found": 400, "action_prohibited": 403,
    "invalid_token": 403, "team_disabled": 403, "posting_to_general_channel_denied": 403, "channel_not_found": 404,
    "no_active_hooks": 404, "no_service": 404, "no_service_id": 404, "no_team": 404, "channel_is_archived": 410,
    "rate_limited": 429, "rollup_error": 500,
  ]

  static let telegram: [String: Int] = [
    "Bad Request: group chat was upgraded to a supergroup chat": 400,
    "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 0": 400,
    "Bad Request: can't parse entities": 400, "Bad Request: message is too long": 400,
    "Bad Request: message text is empty": 400, "Bad Request: chat not found": 400, "Unauthorized": 401,
    "Forbidden: bot was blocked by the user": 403, "Forbidden: user is deactivated": 403,
    "Forbidden: bot was kicked from the group chat": 403, "Forbidden: bot was kicked from the supergroup chat": 403,
    "Forbidden: bot is not a member of the channel chat": 403,
    "Forbidden: bot is not a member of the supergroup chat": 403, "Forbidden: the group chat was deleted": 403,
    "Not Found": 404, "Too Many Requests": 429, "Internal Server Error": 500, "Internal Server Error: restart": 500,
  ]

  /// Resend's error names. An unverified domain is also a validation_error, but with 403: give the status explicitly.
  static let resend: [String: Int] = [
    "validation_error": 400, "invalid_idempotency_key": 400, "missing_api_key": 401, "restricted_api_key": 401,
    "invalid_api_key": 403, "not_found": 404, "invalid_idempotent_request": 409, "concurrent_idempotent_requests": 409,
    "missing_required_field": 422, "rate_limit_exceeded": 429, "daily_quota_exceeded": 429, "application_error": 500,
    "internal_server_error": 500,
  ]

  static func table(_ provider: SinkProvider) -> [String: Int] {
    switch provider {
    case .slack: slack
    case .telegram: telegram
    case .resend: resend
    case .email: [:]
    }
  }

  /// Returns the reply that refuses a request. A status without a message gives the reply of a proxy in front of the
  /// provider.
  static func refusal(_ fault: SinkFault, on provider: SinkProvider) -> SinkReply {
    let status = fault.status ?? 500
    let wait = fault.retryAfter ?? (status == 429 ? 1 : nil)
    var reply: SinkReply
    switch (provider, fault.said) {
    case (_, nil):
      reply = SinkReply(status, "text/html", Array("<html><body><h1>\(status)</h1></body></html>\n".utf8))
    case (.telegram, let said?):
      let parameters: JSON = ["migrate_to_chat_id": JSON(fault.migrateTo), "retry_after": JSON(wait)]
      let description = status == 429 ? "Too Many Requests: retry after \(wait ?? 1)" : said
      let body: JSON = ["ok": false, "error_code": JSON(status), "description": .string(description)]
      let given = parameters.withoutNulls
      let document = given.members?.isEmpty == false ? body.setting("parameters", given) : body
      reply = SinkReply(status, "application/json", document.bytes)
    case (.resend, let said?): reply = ResendStandIn.fault(status, said)
    case (_, let said?): reply = SinkReply(status, "text/plain; charset=utf-8", Array(said.utf8))
    }
    reply.retryAfter = wait
    return reply
  }

  /// A reply that no provider sends: an HTML page instead of `ok`.
  static let garbled = SinkReply(200, "text/html", Array("<html><body>It works!</body></html>\n".utf8))
}
