import Contract
import Wire

/// The functions of the database that handlers call: one call, one transaction, jsonb in and out.
package enum Function: String, Sendable, CaseIterable {
  case analyticsReport = "analytics_report"
  case assignConversation = "assign_conversation"
  case beginDeliveries = "begin_deliveries"
  case captureLead = "capture_lead"
  case captureLeads = "capture_leads"
  case changeConversations = "change_conversations"
  case claimDeliveries = "claim_deliveries"
  case closeSession = "close_session"
  case createAdminKey = "create_admin_key"
  case createAgent = "create_agent"
  case createFollowUp = "create_follow_up"
  case deleteAgent = "delete_agent"
  case deleteSubscriber = "delete_subscriber"
  case explainConversation = "explain_conversation"
  case healthReport = "health_report"
  case indexWords = "index_words"
  case listAdminKeys = "list_admin_keys"
  case listAgents = "list_agents"
  case listChannels = "list_channels"
  case listConversationDeliveries = "list_conversation_deliveries"
  case listConversationEvents = "list_conversation_events"
  case listConversations = "list_conversations"
  case listDeliveries = "list_deliveries"
  case listEvents = "list_events"
  case listFollowUps = "list_follow_ups"
  case listMessages = "list_messages"
  case listSLA = "list_sla"
  case listSubscribers = "list_subscribers"
  case listTimeline = "list_timeline"
  case liveEvents = "live_events"
  case openSession = "open_session"
  case prune
  case recordOutcomes = "record_outcomes"
  case releaseDeliveries = "release_deliveries"
  case replayEvent = "replay_event"
  case replayEvents = "replay_events"
  case respondToConversation = "respond_to_conversation"
  case resumeChannel = "resume_channel"
  case retryDeliveries = "retry_deliveries"
  case retryDelivery = "retry_delivery"
  case revokeAdminKey = "revoke_admin_key"
  case searchConversations = "search_conversations"
  case showConversation = "show_conversation"
  case showDelivery = "show_delivery"
  case showSession = "show_session"
  case subscribe = "subscribe_newsletter"
  case testChannel = "test_channel"
  case unsubscribe = "unsubscribe_newsletter"
  case updateAgent = "update_agent"
  case updateConversation = "update_conversation"
  case updateFollowUp = "update_follow_up"

  /// Unnamed, so that it works behind a pooler that hands each transaction another connection.
  package var statement: String { "select public.\(rawValue)($1::jsonb)" }
}

extension Database {
  /// After these SQLSTATEs a call is repeated: a serialisation failure, a deadlock, and LPTRY, with which our functions ask for
  /// it. They do not raise 40001 themselves, because PostgREST repeats that without end.
  private static let repeated = ["40001", "40P01", "LPTRY"]

  /// Calls a function, and repeats the call where that helps while time is left. The log names the function and the
  /// SQLSTATE, never what was sent; the problem says to the client only what it may know.
  package func call(_ function: Function, _ argument: JSON, deadline: Instant, log: Log) throws(Problem) -> JSON {
    let parameter = argument.text
    let wasPooled = isPooled
    defer {
      if isPooled, !wasPooled { log.info("A pooler that takes no start-up options: settings go with each call") }
    }
    while true {
      do throws(Failure) {
        guard let text = try query(function.statement, [parameter], deadline: deadline).first?.first ?? nil else {
          throw .refused(sqlState: "02000", message: "no row")
        }
        do { return try JSON(reading: text) } catch {
          throw .refused(sqlState: "22032", message: error.reason)
        }
      } catch {
        if case .refused(let state, _, _) = error, Self.repeated.contains(state), .now < deadline { continue }
        throw Problem(error, in: function, log: log)
      }
    }
  }
}

extension Problem {
  /// What functions refuse with words that are meant for the client, under SQLSTATEs of ours.
  private static let told: [String: Kind] = [
    "LP400": .badInput, "LP401": .unauthorized, "LP403": .forbidden, "LP404": .notFound, "LP409": .conflict,
    "LP412": .preconditionFailed, "LP503": .unavailable, "LPTRY": .unavailable,
  ]

  /// The one place where a failure of the database becomes a problem.
  fileprivate init(_ failure: Database.Failure, in function: Function, log: Log) {
    switch failure {
    case .away(let reason):
      log.error("Database away", ["function": function.rawValue, "reason": reason])
      self.init(.unavailable, "the database is away", retryAfter: 2)
    case .timedOut:
      log.error("Database too slow", ["function": function.rawValue])
      self.init(.tooSlow, "the database did not answer in time", retryAfter: 2)
    case .refused(let state, let message, let field) where state.hasPrefix("LP"):
      self.init(Self.told[state] ?? .internalError, field.isEmpty ? message : "the request has a fault")
      if !field.isEmpty { details = [Detail(path: field, message: message)] }
    case .refused(let state, _, _):
      log.error("Database refused", ["function": function.rawValue, "sqlstate": state])
      switch state.prefix(2) {
      case _ where state == "57014": self.init(.tooSlow, "the database did not answer in time", retryAfter: 2)
      case _ where state == "55P03":
        self.init(.busy, "somebody else is at work on the same conversation or customer", retryAfter: 1)
      case _ where ["42883", "42501", "42P01"].contains(state):
        self.init(
          .notMigrated, "the database is not migrated for this handler, or its login may not call it", retryAfter: 60)
      // Connection, resources, operator's intervention, system error, read-only standby.
      case "08", "53", "57", "58", "25": self.init(.unavailable, "the database is away", retryAfter: 2)
      default: self.init(.internalError, "the request could not be carried out")
      }
    }
  }
}
