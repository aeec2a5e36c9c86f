import Deliveries
import Wire

/// A trust class: which settings and which database login a handler may get. A description requests settings; this
/// table grants them.
package enum TrustClass: String, Sendable, CaseIterable {
  case intake, worker, admin
  /// No secrets and no database.
  case none

  /// Settings that every process may get.
  private static let common: Set<String> = [
    "LOG_LEVEL", "LOG_FORMAT", "RATE_LIMIT_LEAD", "RATE_LIMIT_CONTACT", "RATE_LIMIT_ADMIN", "RATE_LIMIT_EXPORT",
    "RATE_LIMIT_DEFAULT",
  ]

  private static let channels = Set(ChannelKind.all.flatMap { $0.settings + [$0.paceSetting].compactMap(\.self) })

  /// The settings of this class. DATABASE_URL is the same name in every class; its login depends on the class. Where
  /// there is none, a project's REST interface takes its place, with one key for all classes.
  package var grants: Set<String> {
    switch self {
    case .intake:
      Self.common.union([
        "DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "LEADPIPE_ROLE", "LEADPIPE_WAKE", "WAKE",
        "LEADPIPE_CHANNELS", "PORT", "BUSINESS_HOURS",
        "HOLIDAYS", "TIME_ZONE", "POOLER", "NOTIFY_QUALIFIED", "FRONTEND_URL", "ALLOWED_ORIGINS", "FORM_THANKS_URL",
        "FORM_TOKEN_SECRET", "FORM_TOKENS", "FORM_WORK_BITS",
      ])
    case .worker:
      Self.common.union([
        "DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL_LISTEN", "LEADPIPE_ROLE",
        "LEADPIPE_CHANNELS", "DELIVERY_LEASE_SECONDS", "UNKNOWN_OUTCOME", "DIRECT_NOTIFICATIONS", "RETENTION_DAYS",
        "RETENTION_LEADS_DAYS", "FRONTEND_URL", "BUSINESS_HOURS", "HOLIDAYS",
        "TIME_ZONE", "AUTO_ASSIGN", "SLA_AUTOMATION", "DIGEST", "RECEIPTS", "RECEIPTS_PER_MINUTE", "AGENCY_NAME",
        "AGENCY_PHONE", "AGENCY_EMAIL",
      ]).union(Self.channels)
    case .admin:
      Self.common.union([
        "DATABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "LEADPIPE_ROLE", "ADMIN_API_KEY", "FRONTEND_URL",
        "LEADPIPE_WAKE", "WAKE", "LEADPIPE_CHANNELS",
        "BUSINESS_HOURS", "HOLIDAYS", "TIME_ZONE", "AUTO_ASSIGN", "SLA_AUTOMATION", "EXPORT_FOLDER",
        "SUPABASE_JWT_ISSUER", "SUPABASE_JWKS", "SUPABASE_JWT_SECRET",
      ])
    case .none: Self.common
    }
  }

  /// The setting with this class's own database login, the setting with another way to the database for the same login,
  /// for processes of mode stream, and the role to set if there is only one login for all classes. Class admin has no
  /// such way: it has too many handlers to have a session for each process.
  package var database: (setting: String, streamSetting: String?, role: String)? {
    switch self {
    case .intake: ("DATABASE_URL_INTAKE", "DATABASE_URL_INTAKE_STREAM", "leadpipe_intake")
    case .worker: ("DATABASE_URL_WORKER", nil, "leadpipe_worker")
    case .admin: ("DATABASE_URL_ADMIN", nil, "leadpipe_admin")
    case .none: nil
    }
  }

  /// The destinations of all settings that a class can grant. A handler's own description need not be trusted for them.
  package static let destinations: [String: Destination] = ChannelKind.all.reduce(
    into: [
      "DATABASE_URL": .database, "DATABASE_URL_LISTEN": .database, "SUPABASE_URL": .webAddress,
      "LEADPIPE_WAKE": .unixSocket, "HOLIDAYS": .file, "EXPORT_FOLDER": .exportFolder, "SUPABASE_JWKS": .file,
    ]
  ) { all, channel in all.merge(channel.destinations) { $1 } }

  /// The names of our own handlers.
  package static var ours: Set<String> { Set(table.keys) }

  /// Our own handlers, including the notifiers of all channels. A handler that is not listed has class `none` unless
  /// the operator lists it.
  package static let table: [String: TrustClass] = named.merging(ChannelKind.all.map { ($0.notifier, .worker) }) { $1 }

  private static let named: [String: TrustClass] = [
    "agent-create": .admin,
    "agent-delete": .admin,
    "agent-list": .admin,
    "agent-update": .admin,
    "analytics-report": .admin,
    "audit-list": .admin,
    "channel-list": .admin,
    "channel-resume": .admin,
    "channel-test": .admin,
    "contact-capture": .intake,
    "conversation-assign": .admin,
    "conversation-assignments": .admin,
    "conversation-bulk": .admin,
    "conversation-events": .admin,
    "conversation-explain": .admin,
    "conversation-export": .admin,
    "conversation-list": .admin,
    "conversation-messages": .admin,
    "conversation-notifications": .admin,
    "conversation-respond": .admin,
    "conversation-search": .admin,
    "conversation-show": .admin,
    "conversation-timeline": .admin,
    "conversation-unassign": .admin,
    "conversation-update": .admin,
    "data-prune": .worker,
    "delivery-begin": .worker,
    "delivery-record": .worker,
    "event-claim": .worker,
    "event-list": .admin,
    "event-replay": .admin,
    "follow-up-create": .admin,
    "follow-up-list": .admin,
    "follow-up-sweep": .worker,
    "follow-up-update": .admin,
    "form-token": .intake,
    "health-check": .intake,
    "inquiry-capture": .intake,
    "key-create": .admin,
    "key-list": .admin,
    "key-revoke": .admin,
    "lead-capture": .intake,
    "live-feed": .admin,
    "live-show": .admin,
    "newsletter-subscribe": .intake,
    "newsletter-unsubscribe": .intake,
    "notification-list": .admin,
    "notification-retry": .admin,
    "person-erase": .admin,
    "person-export": .admin,
    "person-merge": .admin,
    "person-show": .admin,
    "person-unmerge": .admin,
    "rate-count": .intake,
    "rate-limit": .none,
    "receipt-sweep": .worker,
    "sell-capture": .intake,
    "session-close": .admin,
    "session-open": .admin,
    "session-show": .admin,
    "sla-list": .admin,
    "sla-sweep": .worker,
    "subscriber-delete": .admin,
    "subscriber-list": .admin,
    "unsubscribe-page": .intake,
    "wake-listen": .worker,
  ]
}
