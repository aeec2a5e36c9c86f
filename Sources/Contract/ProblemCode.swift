/// The catalogue of problems, each a reason for which a request can fail as a whole. A code never changes its meaning,
/// so clients may translate it. The text is for people and may be reworded.
package enum ProblemCode: String, Sendable, CaseIterable {
  // HTTP: syntax, limits and routing.
  case malformedRequest = "malformed_request"
  case malformedPath = "malformed_path"
  case malformedQuery = "malformed_query"
  case malformedHeader = "malformed_header"
  case malformedHost = "malformed_host"
  case hostRequired = "host_required"
  case severalIdempotencyKeys = "several_idempotency_keys"
  case routeNotFound = "route_not_found"
  case methodNotAllowed = "method_not_allowed"
  case headTimeout = "head_timeout"
  case bodyTimeout = "body_timeout"
  case bodyTooLarge = "body_too_large"
  case targetTooLong = "target_too_long"
  case headersTooLarge = "headers_too_large"
  case unsupportedMediaType = "unsupported_media_type"
  case unsupportedContentEncoding = "unsupported_content_encoding"
  case expectationFailed = "expectation_failed"
  case clientLeft = "client_left"
  case rateLimited = "rate_limited"

  // The content of the request.
  case malformedJSON = "malformed_json"
  case malformedForm = "malformed_form"
  case malformedEnvelope = "malformed_envelope"
  case documentTooLarge = "document_too_large"
  case invalidFields = "invalid_fields"
  case invalidDelivery = "invalid_delivery"
  case invalidClaim = "invalid_claim"
  case tooManyLimits = "too_many_limits"
  case invalidFaultPlan = "invalid_fault_plan"
  case replyTooLargeHere = "reply_too_large_here"
  case replyNeedsGateway = "reply_needs_gateway"
  case replyIsBinary = "reply_is_binary"
  case tooManyRows = "too_many_rows"
  case leadTooLarge = "lead_too_large"
  case idempotencyKeyReused = "idempotency_key_reused"

  // Authentication and rights.
  case formOriginNotAllowed = "form_origin_not_allowed"
  case keyRequired = "key_required"
  case csrfTokenRequired = "csrf_token_required"
  case insufficientRights = "insufficient_rights"
  case userWithoutRights = "user_without_rights"

  // Resources that do not exist.
  case conversationNotFound = "conversation_not_found"
  case agentNotFound = "agent_not_found"
  case followUpNotFound = "follow_up_not_found"
  case notificationNotFound = "notification_not_found"
  case eventNotFound = "event_not_found"
  case channelNotFound = "channel_not_found"
  case channelNotConfigured = "channel_not_configured"
  case keyNotFound = "key_not_found"
  case subscriberNotFound = "subscriber_not_found"
  case personNotFound = "person_not_found"
  case mergePersonNotFound = "merge_person_not_found"
  case mergeNotFound = "merge_not_found"
  case subscriptionNotFound = "subscription_not_found"

  // Conflicts with the state of a resource.
  case agentAtCapacity = "agent_at_capacity"
  case agentHasConversations = "agent_has_conversations"
  case agentEmailTaken = "agent_email_taken"
  case followUpClosed = "follow_up_closed"
  case keyNameTaken = "key_name_taken"
  case keyNameReserved = "key_name_reserved"
  case lastOwnerKey = "last_owner_key"
  case personChanged = "person_changed"
  case mergeNotLatest = "merge_not_latest"
  case mergeErased = "merge_erased"
  case notificationErased = "notification_erased"
  case notificationOfSpam = "notification_of_spam"
  case notificationSent = "notification_sent"
  case notificationSending = "notification_sending"
  case notificationDue = "notification_due"
  case receiptFinal = "receipt_final"
  case eventNotFinished = "event_not_finished"
  case eventWithoutNotifications = "event_without_notifications"
  case conversationChanged = "conversation_changed"

  // The state of the service.
  case formTokensOff = "form_tokens_off"
  case adminNotConfigured = "admin_not_configured"
  case databaseUnavailable = "database_unavailable"
  case databaseBusy = "database_busy"
  case databaseNotMigrated = "database_not_migrated"
  case databaseTimeout = "database_timeout"
  case writeConflict = "write_conflict"
  case tooManyRequestsWaiting = "too_many_requests_waiting"
  case tooManyListeners = "too_many_listeners"
  case fileNotStored = "file_not_stored"
  case stopping
  case handlerUnavailable = "handler_unavailable"
  case handlerTimeout = "handler_timeout"
  case deadlineExceeded = "deadline_exceeded"
  case invalidHandlerReply = "invalid_handler_reply"
  case misconfigured
  case serviceNotConfigured = "service_not_configured"
  case internalError = "internal_error"
}

extension ProblemCode {
  /// The kind, and the text with its arguments in braces. This is the only such table.
  private var entry: (kind: ProblemKind, text: String) {
    switch self {
    case .malformedRequest: (.badInput, "the request is not valid HTTP: {reason}")
    case .malformedPath: (.badInput, "the path is malformed")
    case .malformedQuery: (.badInput, "the query is malformed")
    case .malformedHeader: (.badInput, "a header is malformed")
    case .malformedHost: (.badInput, "the Host header is malformed")
    case .hostRequired: (.badInput, "exactly one host is required")
    case .severalIdempotencyKeys: (.badInput, "at most one Idempotency-Key header is allowed")
    case .routeNotFound: (.notFound, "there is no such route")
    case .methodNotAllowed: (.methodNotAllowed, "this route does not support {method}")
    case .headTimeout: (.timeout, "the request's head did not arrive in time")
    case .bodyTimeout: (.timeout, "the request's body did not arrive in time")
    case .bodyTooLarge: (.tooLarge, "the body is larger than {max} bytes")
    case .targetTooLong: (.targetTooLong, "the request line is longer than {max} bytes")
    case .headersTooLarge: (.headersTooLarge, "the headers have more than {fields} fields or {max} bytes")
    case .unsupportedMediaType: (.unsupportedMediaType, "the body must be application/json in UTF-8")
    case .unsupportedContentEncoding: (.unsupportedMediaType, "the body must not be compressed")
    case .expectationFailed: (.expectationFailed, "the only supported expectation is 100-continue")
    case .clientLeft: (.clientLeft, "the client left before the reply, and the handler was ended")
    case .rateLimited: (.tooManyRequests, "too many requests; try again later")

    case .malformedJSON: (.badInput, "the body is not valid JSON: {reason} at byte {offset}")
    case .malformedForm: (.badInput, "the form is malformed: {reason}")
    case .malformedEnvelope: (.badInput, "the envelope is malformed: {reason}")
    case .documentTooLarge: (.tooLarge, "the document is too large")
    case .invalidFields: (.badInput, "{count} fields are invalid; see details")
    case .invalidDelivery: (.badInput, "the body is not a delivery as event-claim writes it")
    case .invalidClaim: (.badInput, "the claim is invalid: {reason}")
    case .tooManyLimits: (.badInput, "one stream may use at most {max} limits")
    case .invalidFaultPlan: (.badInput, "the fault plan is invalid: {reason}")
    case .replyTooLargeHere:
      (.badInput, "the reply is larger than the {max} bytes that this server can send; narrow the filters")
    case .replyNeedsGateway:
      (
        .badInput,
        "through CGI nobody could tell whether the reply is whole; send the request to `leadpipe gateway`, or run "
          + "`leadpipe invoke {handler}`"
      )
    case .replyIsBinary: (.badInput, "a file of this format is not text; redirect stdout into a file")
    case .tooManyRows:
      (
        .badInput,
        "more than {max} conversations match, the most that a PDF can have; narrow the filters, or use csv or xlsx"
      )
    case .leadTooLarge: (.badInput, "the lead is larger or deeper than the database stores")
    case .idempotencyKeyReused: (.keyReused, "this idempotency key was used before with a different body")

    case .formOriginNotAllowed:
      (.forbidden, "a page of this origin may not send forms; FRONTEND_URL and ALLOWED_ORIGINS name those that may")
    case .keyRequired: (.unauthorized, "a valid key or session is required")
    case .csrfTokenRequired: (.forbidden, "the X-CSRF-Token header of this session is required")
    case .insufficientRights: (.forbidden, "a key with the right {rights} may not do this")
    case .userWithoutRights: (.forbidden, "this user has no rights in the admin interface")

    case .conversationNotFound: (.notFound, "there is no such conversation")
    case .agentNotFound: (.notFound, "there is no such agent")
    case .followUpNotFound: (.notFound, "there is no such follow-up")
    case .notificationNotFound: (.notFound, "there is no such notification")
    case .eventNotFound: (.notFound, "there is no such event")
    case .channelNotFound: (.notFound, "there is no such channel")
    case .channelNotConfigured:
      (.notFound, "this channel is not configured; LEADPIPE_CHANNELS of this process does not name it")
    case .keyNotFound: (.notFound, "there is no such active key")
    case .personNotFound:
      (.notFound, "nothing is stored about a person with this phone number or email address")
    case .mergePersonNotFound: (.notFound, "nothing is stored about the person in {side}")
    case .mergeNotFound:
      (.notFound, "there is no such merge; a merge can be undone for 30 days")
    case .subscriberNotFound: (.notFound, "there is no such subscriber")
    case .subscriptionNotFound: (.notFound, "there is no subscription with this token")

    case .agentAtCapacity:
      (.conflict, "the agent already has {count} open conversations; choose another agent or use force")
    case .agentHasConversations:
      (.conflict, "the agent has {count} open conversations; assign them to others first, or use force")
    case .agentEmailTaken: (.conflict, "another agent has this email address")
    case .followUpClosed: (.conflict, "this follow-up is already {status}")
    case .keyNameTaken: (.conflict, "there is already a key with this name")
    case .keyNameReserved: (.conflict, "this name is reserved, because timelines use it for other actors")
    case .lastOwnerKey:
      (.conflict, "this is your own key and the last active one of an owner; create another first")
    case .personChanged:
      (.conflict, "what is stored about this person has changed; show the person again")
    case .mergeNotLatest: (.conflict, "the customer was merged into another one since; undo the merge {id} first")
    case .mergeErased:
      (.conflict, "the merge cannot be undone, because data of the customer was erased since")
    case .notificationOfSpam: (.conflict, "the lead is marked as spam: nothing is sent about it")
    case .notificationErased: (.conflict, "the content of the notification was erased with the person's data")
    case .notificationSent: (.conflict, "the notification has been sent; replay its event to send it again")
    case .notificationSending: (.conflict, "the notification is being sent now")
    case .notificationDue: (.conflict, "the notification is already due and will be sent without a retry")
    case .receiptFinal:
      (.conflict, "a receipt is not sent again if it may have arrived, was refused or was cancelled")
    case .eventNotFinished: (.conflict, "the event's notifications are still being sent")
    case .eventWithoutNotifications: (.conflict, "the event has no notification that can be sent again")
    case .conversationChanged:
      (.preconditionFailed, "the conversation has changed since this version; read it again and repeat the change")

    case .adminNotConfigured: (.unavailable, "admin access is not configured")
    case .formTokensOff: (.notFound, "form tokens are not in use: FORM_TOKEN_SECRET is not set")
    case .databaseUnavailable: (.unavailable, "the database is unavailable; try again later")
    case .databaseBusy: (.busy, "another request is changing the same conversation or customer; try again")
    case .databaseNotMigrated:
      (.notMigrated, "the database is not migrated for this handler, or its login may not call the function")
    case .databaseTimeout: (.tooSlow, "the database did not reply in time")
    case .writeConflict: (.unavailable, "other requests keep changing the same record; try again")
    case .tooManyRequestsWaiting: (.unavailable, "too many requests are waiting; try again later")
    case .tooManyListeners: (.unavailable, "too many clients follow the live feed; try again later")
    case .fileNotStored: (.unavailable, "the file cannot be made on this server; see its log, or use csv")
    case .stopping: (.unavailable, "the gateway is stopping; try again later")
    case .handlerUnavailable: (.unavailable, "the handler could not be started; try again later")
    case .handlerTimeout: (.tooSlow, "the handler did not reply in time")
    case .deadlineExceeded: (.tooSlow, "the deadline has passed")
    case .invalidHandlerReply: (.badGateway, "the handler did not write a valid reply")
    case .misconfigured: (.misconfigured, "{reason}")
    case .serviceNotConfigured: (.misconfigured, "the service is not configured; see its log")
    case .internalError: (.internalError, "{reason}")
    }
  }

  package var kind: ProblemKind { entry.kind }
  package var template: String { entry.text }
}
