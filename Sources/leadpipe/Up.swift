import ArgumentParser
import Contract
import Glibc
import Host
import Store
import StoreAccess
import Wire

struct Up: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run everything: database, gateway, worker, and a sink for notifications if no channel is configured.",
    discussion: """
      The main settings are PORT (default 4000), LEADPIPE_STATE (default .leadpipe) and DATABASE_URL. If DATABASE_URL \
      is not set, a private PostgreSQL cluster is kept in the state folder. Ctrl-C and SIGTERM stop everything; work \
      in progress gets up to 25 seconds to finish. On a terminal, the log is shortened to one line for each lead, unless \
      LOG_LEVEL or LOG_FORMAT is set.
      """)

  /// The settings for which this command is stricter than others.
  private static let own: [Setting] = [
    // The sink takes the next ports.
    .number("PORT", 1...65_000),
    Setting("LEADPIPE_LISTEN") { _ in "is not supported by `leadpipe up`, which listens on LEADPIPE_HOST and PORT" },
    Setting("LEADPIPE_HOST") { host in
      var address = in_addr()
      return inet_pton(AF_INET, host, &address) == 1 ? nil : "must be an IPv4 address for `leadpipe up`"
    },
    // Its secret is made if there is none.
    FormGuard.tokens, FormGuard.work,
  ]

  /// It migrates, which cannot be done by REST, and a private database in place of the project would be a surprise.
  private static let needsDatabase = Setting("SUPABASE_URL") { _ in
    "is not enough for `leadpipe up`, which migrates: set DATABASE_URL too, or start `leadpipe gateway` and `leadpipe worker`"
  }

  func run() throws {
    var environment = KnownSettings.given()
    beginService(environment)
    let state = try StateFolder(environment["LEADPIPE_STATE"] ?? ".leadpipe")
    // A shell may have loaded the settings file of an earlier run. Its values are not settings of the operator, except
    // those that identify the instance.
    let left = state.settingsLeft(loadedIn: environment)
    environment = environment.filter { ["PORT", "LEADPIPE_STATE"].contains($0.key) || left[$0.key] != $0.value }
    environment = KnownSettings.warningAboutSimilar(environment, Log(environment))
    _ = try KnownSettings.check(
      environment, also: Self.own + (KnownSettings.usesRest(environment) ? [Self.needsDatabase] : []))
    signal(SIGPIPE, SIG_IGN)
    let shortLog = try ShortLog(environment, leadpipe: Layout().leadpipe)
    defer { shortLog?.close() }
    var installation = try Installation(environment, state, isShort: shortLog != nil)
    defer {
      let wasRunning = installation.close()
      // The log ends before this line.
      shortLog?.close()
      if wasRunning { Console.print("stopped\n") }
    }
    do { try installation.open() } catch let error as CommandError {
      // The reason comes before the lines about stopping.
      Console.printError("Error: \(error)\n")
      throw ExitCode.failure
    }
    if !installation.keep() { throw ExitCode(ExitStatus.misconfigured) }
  }
}
