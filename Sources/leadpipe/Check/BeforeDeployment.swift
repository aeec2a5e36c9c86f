import Deliveries
import FoundationEssentials
import Glibc
import Host
import Store
import Wire

extension CheckGroup {
  /// What must be right before the deployment: the database and the settings.
  static let beforeDeployment = CheckGroup(
    title: "Before the deployment",
    items: [
      database, events, tables, columns, migrations, logins, settings, adminKey, SecretChecks.samples,
      SecretChecks.files,
      workerEnabled, channels,
    ])

  private static let database = CheckItem(
    "before.database", "the database is reachable",
    doing: "connects to DATABASE_URL, or calls a function by the REST interface of SUPABASE_URL"
  ) { run in
    if run.rest != nil { return reachedByRest(run) }
    guard let database = run.database else {
      let file = (run.environment["LEADPIPE_STATE"] ?? ".leadpipe") + "/env"
      return .skipped(
        "no DATABASE_URL: only what can be seen from outside is examined; the instance's settings may be in \(file)")
    }
    do throws(StoreFailure) { return .passed(try database.identity(deadline: run.deadline)) } catch {
      return .failed(
        CheckRun.describe(error),
        fix: "set DATABASE_URL to the address of the running database, with its login and password")
    }
  }

  private static let events = CheckItem(
    "before.events", "events are on", doing: "looks for the table lead_events", needs: ["before.database"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      // A database without any of our tables is found by the next item.
      guard let unsent = try database.unsentWhileOff(deadline: run.deadline) else {
        return .passed("the events of leads are stored")
      }
      let state =
        run.environment["DIRECT_NOTIFICATIONS"] == "true"
        ? "the worker announces leads directly" : "DIRECT_NOTIFICATIONS is not true, so leads cause no notification"
      return .failed(
        "events are off: the event tables do not exist; \(state); \(unsent) leads are not announced",
        fix: "stop the worker, make the event tables, and start the worker (docs/how-to/roll-back.md):\n"
          + "leadpipe migrate")
    }
  }

  private static func reachedByRest(_ run: CheckRun) -> Finding {
    do throws(StoreFailure) {
      _ = try run.call(.healthReport, [:])
      return .passed("by the REST interface of SUPABASE_URL; tables and rights can only be seen with DATABASE_URL")
    } catch {
      return .failed(
        CheckRun.describe(error),
        fix: error.kind == .notMigrated
          ? "migrate the project: `supabase db push`, or `leadpipe migrate` with DATABASE_URL"
          : "correct SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY: docs/how-to/deploy-on-supabase.md")
    }
  }

  private static let tables = CheckItem(
    "before.tables", "every table exists", doing: "looks the tables up in the catalogue", needs: ["before.database"]
  ) { run in
    if run.findings["before.events"]?.hasFailed == true {
      return .skipped("not examined, because before.events is ✗")
    }
    return run.asking { database throws(StoreFailure) in
      let missing = try database.missingTables(deadline: run.deadline)
      let count = ProductSchema.publicTables.count + ProductSchema.internalTables.count
      if missing.isEmpty { return .passed("\(count) tables, among them lead_events and notification_logs") }
      return .failed("missing: \(missing.joined(separator: ", "))", fix: runAgain)
    }
  }

  private static let columns = CheckItem(
    "before.columns", "the table conversations has every column",
    doing: "looks the columns of conversations up in the catalogue", needs: ["before.tables"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let missing = try database.missingColumns(deadline: run.deadline)
      return missing.isEmpty
        ? .passed("metadata, idempotency_key, source and \(ProductSchema.conversationColumns.count - 3) others")
        : .failed("conversations lacks \(missing.joined(separator: ", "))", fix: runAgain)
    }
  }

  private static let migrations = CheckItem(
    "before.migrations", "every migration has been applied",
    doing: "compares supabase_migrations.schema_migrations with the migrations of this version",
    needs: ["before.tables"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let versions = ourVersions
      guard !versions.isEmpty else {
        return .failed(
          "this program's folder supabase/migrations cannot be read",
          fix: "install the program with its folder supabase")
      }
      let missing = Set(versions).subtracting(try database.appliedMigrations(deadline: run.deadline)).sorted()
      return missing.isEmpty
        ? .passed("\(versions.count) migrations, the last is \(versions.last ?? "none")")
        : .failed("not applied: \(missing.joined(separator: ", "))", fix: "run `leadpipe migrate`")
    }
  }

  private static let logins = CheckItem(
    "before.logins", "each class of handlers can call its functions",
    doing: "connects with the login of each class and asks for its rights",
    needs: ["before.migrations", "before.columns"]
  ) { run in
    let errors = ClassLogins.errors(run.environment, of: [.intake, .worker, .admin], seconds: CheckRun.seconds)
    let own = ["INTAKE", "WORKER", "ADMIN"].filter { run.environment["DATABASE_URL_\($0)"] != nil }
    return errors.isEmpty
      ? .passed(
        own.count == 3
          ? "three logins of their own"
          : KnownSettings.usesRest(run.environment)
            ? "by REST, as service_role, for each class without a login" : "one login takes the role of each class")
      : .failed(errors.joined(separator: "; "), fix: "run the statement, or correct the setting")
  }

  private static let settings = CheckItem(
    "before.settings", "every setting is valid", doing: "checks all settings as the gateway and the worker do"
  ) { run in
    var environment = run.environment
    environment["FORM_TOKEN_SECRET"] = environment["FORM_TOKEN_SECRET"] ?? run.ownSecret(in: "form-token-secret")
    let errors = KnownSettings.errors(environment)
    return errors.isEmpty
      ? .passed("\(KnownSettings.names.filter { run.environment[$0] != nil }.count) settings are set")
      : .failed(errors.joined(separator: "; "), fix: "correct them: docs/reference/settings.md; then start again")
  }

  private static let adminKey = CheckItem(
    "before.admin-key", "an admin key is set", doing: "looks for ADMIN_API_KEY, or the key that `leadpipe up` has made"
  ) { run in
    guard run.hasDatabase || run.adminKey != nil else { return .skipped("examined from outside") }
    guard run.adminKey != nil else {
      return .failed(
        "ADMIN_API_KEY is not set: the admin interface replies 503",
        fix: "set ADMIN_API_KEY to 32 or more random characters: openssl rand -hex 32; then start again")
    }
    return .passed(run.environment["ADMIN_API_KEY"] == nil ? "made by `leadpipe up`" : "ADMIN_API_KEY is set")
  }

  private static let workerEnabled = CheckItem(
    "before.worker-enabled", "the worker is enabled", doing: "reads ENABLE_NOTIFICATION_WORKER"
  ) { run in
    switch run.environment["ENABLE_NOTIFICATION_WORKER"] {
    case "false":
      .failed(
        "ENABLE_NOTIFICATION_WORKER=false: leads are stored, notifications wait",
        fix: "set ENABLE_NOTIFICATION_WORKER=true and start again; waiting notifications are sent then")
    case nil: !run.hasDatabase ? .skipped("examined from outside") : .passed("enabled by default")
    default: .passed("ENABLE_NOTIFICATION_WORKER=true")
    }
  }

  private static let channels = CheckItem(
    "before.channels", "a channel for notifications is configured", doing: "reads the settings of the channels",
    needs: ["before.settings"]
  ) { run in
    guard run.hasDatabase else { return .skipped("examined from outside") }
    let names = run.channels.map(\.channel)
    return names.isEmpty
      ? .failed(
        "no channel is configured, so no notifications are sent",
        fix: "set SLACK_WEBHOOK_URL, TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID, or EMAIL_HOST; then start again")
      : .passed(names.joined(separator: ", "))
  }

  /// The versions of the migrations that belong to this program.
  private static var ourVersions: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: Layout().supabase + "/migrations")) ?? []
    return files.filter { $0.hasSuffix(".sql") }.map { String($0.prefix { $0 != "_" }) }.sorted()
  }

  /// Makes what was dropped by hand: the ledger says that it exists, so the migrations must be run again.
  private static var runAgain: String {
    "run the migrations again, which keeps all rows, and start again:\n"
      + "psql \"$DATABASE_URL\" -c \"\(Database.forgetting(ourVersions))\"\nleadpipe migrate"
  }
}
