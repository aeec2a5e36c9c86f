import Admin
import ArgumentParser
import Contract
import Deliveries
import Forms
import FoundationEssentials
import Glibc
import Host
import Limits
import Store
import StoreAccess
import Transports
import Wire

/// The settings of the whole product. They are checked at start, and all errors are reported at once.
enum KnownSettings {
  /// Returns the environment of this process without empty values, which count as absent.
  static func given() -> [String: String] { processEnvironment().filter { !$0.value.isEmpty } }

  /// Returns the checked settings. If any is wrong, reports all errors on stderr and ends the command with the exit
  /// status for wrong settings. A setting in `more` overrides the declaration here.
  static func check(_ environment: [String: String], also more: [Setting] = []) throws -> Settings {
    do throws(Problem) { return try checked(environment, also: more) } catch {
      Console.printError(error.fields.map { "\($0.message)\n" }.joined())
      throw ExitCode(ExitStatus.misconfigured)
    }
  }

  /// Returns what is wrong with the settings, a sentence for each error.
  static func errors(_ environment: [String: String]) -> [String] {
    do throws(Problem) {
      _ = try checked(environment)
      return []
    } catch { return error.fields.map(\.message) }
  }

  private static func checked(
    _ environment: [String: String], also more: [Setting] = []
  ) throws(Problem) -> Settings {
    let own = Set(more.map(\.name))
    let declared =
      (all + FormGuard.combinationErrors(environment)).filter { !own.contains($0.name) }
      + Providers.combinationErrors(environment) + AccessTokens.combinationErrors(environment) + unknown(environment)
      + rest(environment) + more
    return try Settings(declared, from: environment)
  }

  /// True if functions are called through a project's REST interface, as far as a class has no login of its own.
  static func usesRest(_ environment: [String: String]) -> Bool {
    environment["DATABASE_URL"] == nil && environment["SUPABASE_URL"] != nil
      && (environment[RestAddress.key.name] != nil
        || !["INTAKE", "WORKER", "ADMIN"].contains { hasLogin($0, environment) })
  }

  /// True if a class has a login of its own.
  private static func hasLogin(_ class: String, _ environment: [String: String]) -> Bool {
    environment["DATABASE_URL_" + `class`] != nil
  }

  /// The settings of a project's REST interface, and those that do not go with it. With DATABASE_URL they have no
  /// effect, so they are not checked.
  private static func rest(_ environment: [String: String]) -> [Setting] {
    guard usesRest(environment) else { return [] }
    let listens = hasLogin("WORKER", environment) || hasLogin("INTAKE", environment) && hasLogin("ADMIN", environment)
    return [
      RestAddress.url, Setting(RestAddress.key.name, required: true, validate: RestAddress.key.validate),
      Setting("WAKE") {
        $0 == "notify" && !listens ? "must not be notify without DATABASE_URL: SUPABASE_URL is polled" : nil
      },
    ]
  }

  /// Ends the command with the exit status for wrong settings if neither DATABASE_URL, nor a project's REST interface,
  /// nor all of these are set.
  static func requireDatabase(_ logins: [String], in environment: [String: String]) throws {
    if usesRest(environment) { return }
    if environment["DATABASE_URL"] == nil, logins.contains(where: { environment[$0] == nil }) { _ = try databaseURL() }
  }

  /// Returns the URL of the database that a command works on. If DATABASE_URL is not set, ends the command with the
  /// exit status for wrong settings.
  static func databaseURL() throws -> String {
    let environment = given()
    _ = try check(environment)
    if let url = environment["DATABASE_URL"] { return url }
    let file = (environment["LEADPIPE_STATE"] ?? ".leadpipe") + "/env"
    Console.printError(
      "DATABASE_URL is missing. To use the private database of `leadpipe up`, load its settings file: . \(file)\n")
    throw ExitCode(ExitStatus.misconfigured)
  }

  /// Returns the URL of the database that a command migrates. Ends the command as `databaseURL` does.
  static func ownerURL() throws -> String {
    let environment = given()
    if environment["DATABASE_URL_DIRECT"] == nil { return try databaseURL() }
    _ = try check(environment)
    return ownerURL(environment) ?? ""
  }

  /// Returns the URL for what needs a session, such as migrations: DATABASE_URL, unless it leads to a transaction
  /// pooler and DATABASE_URL_DIRECT is set.
  static func ownerURL(_ environment: [String: String]) -> String? {
    environment["DATABASE_URL_DIRECT"] ?? environment["DATABASE_URL"]
  }

  /// Refuses variables whose names look like settings but are not: the operator would rely on a limit without effect.
  private static func unknown(_ environment: [String: String]) -> [Setting] {
    let known = Set(all.map(\.name))
    return environment.keys.sorted().filter { name in
      ["RATE_LIMIT", "TRUSTED_PROX", "ALLOWED_ORIGIN"].contains(where: name.hasPrefix) && !known.contains(name)
    }.map { name in
      let similar = SimilarSettings.nearest(to: name, among: known).map { "; did you mean \($0)?" }
      return Setting(name) { _ in "is not a setting" + (similar ?? ": see docs/reference/settings.md") }
    }
  }

  /// Logs a warning for each variable that is probably a misspelt setting. Returns the environment without these, so
  /// that the services that it is given to do not warn again.
  static func warningAboutSimilar(_ environment: [String: String], _ log: Log) -> [String: String] {
    let known = Set(names + SettingSection.all.flatMap(\.entries).flatMap(\.names))
    var environment = environment
    for warning in SimilarSettings.warnings(environment.keys, known: known) {
      log.warn(warning.text)
      environment[warning.name] = nil
    }
    return environment
  }

  /// The names of all settings that are checked.
  static var names: [String] { all.map(\.name) }

  private static let all: [Setting] =
    [
      database("DATABASE_URL"), database("DATABASE_URL_INTAKE"), database("DATABASE_URL_WORKER"),
      database("DATABASE_URL_ADMIN"), database("DATABASE_URL_INTAKE_STREAM"), database("DATABASE_URL_DIRECT"),
      Database.listening, Database.pooler,
      .number("PORT", 0...65_535),
      .choice("ENABLE_NOTIFICATION_WORKER", ["true", "false"]),
      .number("WORKER_POLL_SECONDS", 1...3600), .number("WORKER_BATCH_SIZE", 1...1000),
      Delivery.leaseSetting,
      Setting("LEADPIPE_HANDLERS", validate: PanelSettings.folder.validate),
      Delivery.unknownSetting, Delivery.directSetting, Retention.setting, Retention.leadsSetting,
      QualifiedLeads.setting, .officeHours,
      .holidaysFile, .timeZone, .digest, .exportFolder, .formThanks, Receipts.setting, Receipts.rate,
      .logLevel, .logFormat,
      Wake.setting, WakeCall.setting, TrustFile.setting, .adminKey, .supabaseIssuer, .supabaseKeysFile, .supabaseSecret,
      Recipient.setting(required: false), .allowedOrigins,
      Setting("TRUSTED_PROXIES", validate: TrustedProxies.validate),
      Setting("RATE_LIMIT_STORE", validate: RateClass.validateStore),
    ] + PanelSettings.settings + ProcessModes.settings + GatewayLimits.settings
    + RateClass.allCases.map { Setting($0.settingName, validate: RateClass.validate) }
    + Pace.settings + Providers.known + AgencySettings.checked + AutoAssign.settings + FormGuard.settings + [frontend]
    + ["WHATSAPP", "CRM", "SMS"].map { feature in
      Setting("FEATURE_\(feature)_ENABLED") { value in
        value == "false" ? nil : "is not supported by this version: set it to false"
      }
    }

  private static let frontend = Setting("FRONTEND_URL") { address in
    WebAddress(address) == nil ? "must be an http or https URL" : Setting.frontendURL.validate(address)
  }

  private static func database(_ name: String) -> Setting { Setting(name, validate: Database.url.validate) }
}
