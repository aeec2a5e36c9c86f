import ArgumentParser
import Delivery
import FoundationEssentials
import Glibc
import Handler
import Leads
import Store

/// The settings of the whole product, so that a wrong one is found at the start and all are named at once.
enum KnownSettings {
  /// The environment of this process: an empty value counts as absent.
  static func given() -> [String: String] { processEnvironment().filter { !$0.value.isEmpty } }

  /// Ends the command with the exit status for settings when one of them is wrong.
  static func check(_ environment: [String: String]) throws -> Settings {
    let supabase = Setting("SUPABASE_URL") { _ in
      environment["DATABASE_URL"] == nil
        ? "is set, but this version speaks PostgreSQL only: set DATABASE_URL to the project's connection string" : nil
    }
    do throws(Problem) { return try Settings(all + [supabase], from: environment) } catch {
      let lines = error.details.map { "\($0.path) \($0.message)\n" }.joined()
      Console.tell(lines)
      throw ExitCode(ExitStatus.misconfigured)
    }
  }

  private static let all: [Setting] =
    [
      database("DATABASE_URL"), database("DATABASE_URL_INTAKE"), database("DATABASE_URL_WORKER"),
      database("DATABASE_URL_ADMIN"), .number("PORT", 0...65_535),
      .choice("ENABLE_NOTIFICATION_WORKER", ["true", "false"]),
      .number("WORKER_POLL_SECONDS", 1...3600), .number("WORKER_BATCH_SIZE", 1...1000),
      .number("DELIVERY_LEASE_SECONDS", 5...3600), .choice("LEADPIPE_PROCESS", ["oneshot"]),
      .choice("UNKNOWN_OUTCOME", ["resend"]), .logLevel, .logFormat, Wake.setting, Channel.setting(required: false),
    ] + providers.map { Setting($0.name, fault: $0.fault) }
    + ["WHATSAPP", "CRM", "SMS"].map { feature in
      Setting("FEATURE_\(feature)_ENABLED") { value in
        value == "false" ? nil : "asks for an integration that this version does not have: set it to false"
      }
    }
    + [
      "ALLOWED_ORIGINS", "BUSINESS_HOURS", "DIRECT_NOTIFICATIONS", "RATE_LIMIT_ADMIN", "RATE_LIMIT_CONTACT",
      "RATE_LIMIT_DEFAULT", "RATE_LIMIT_EXPORT", "RATE_LIMIT_LEAD", "RATE_LIMIT_STORE", "SLACK_PER_SECOND",
      "SLA_AUTOMATION", "TELEGRAM_PER_SECOND", "TRUSTED_PROXIES", "WAKE",
    ].map { name in Setting(name) { _ in "is not supported by this version: unset it" } }

  /// None of them is required: what is not configured is no channel.
  private static let providers: [Setting] = [
    .slackWebhook, .slackNewsletterWebhook, .telegramAPI, .telegramToken, .telegramChat, .mailHost, .mailPort,
    .mailUser, .mailPassword, .mailFrom, .frontend,
  ]

  private static func database(_ name: String) -> Setting { Setting(name, fault: Database.url.fault) }
}
