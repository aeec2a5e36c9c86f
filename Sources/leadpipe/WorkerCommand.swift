import ArgumentParser
import Contract
import Deliveries
import Glibc
import Host
import Store
import StoreAccess
import Worker

struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Deliver the notifications of new events until stopped.",
    discussion: "With ENABLE_NOTIFICATION_WORKER=false, it exits at once and events stay queued.")

  @Flag(help: "Only check settings and handlers; exits non-zero if anything is wrong.") var check = false
  @Flag(help: "With --check, also test the database login.") var database = false

  /// The name of this machine, for the heartbeat.
  private static var host: String {
    var buffer = [CChar](repeating: 0, count: 65)
    guard gethostname(&buffer, 64) == 0 else { return "worker" }
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  func run() throws {
    var settings = KnownSettings.given()
    beginService(settings)
    let checked = try KnownSettings.check(settings)
    try KnownSettings.requireDatabase(["DATABASE_URL_WORKER"], in: settings)
    let log = Log(settings)
    settings = KnownSettings.warningAboutSimilar(settings, log)
    if checked["ENABLE_NOTIFICATION_WORKER"] == "false" {
      log.warn("Notification worker disabled: events stay queued")
      return
    }
    settings["LEADPIPE_CHANNELS"] = ServiceEnvironment.channels(settings)
    let recipients = Recipient.list(settings["LEADPIPE_CHANNELS"] ?? "") ?? []
    if recipients.isEmpty {
      Console.printError(
        "no channel is configured: set SLACK_WEBHOOK_URL, TELEGRAM_BOT_TOKEN or EMAIL_HOST with what belongs to it, or "
          + "LEADPIPE_CHANNELS (docs/reference/settings.md); until then events stay queued\n")
      throw ExitCode(ExitStatus.misconfigured)
    }
    var options = WorkerOptions(
      host: Self.host,
      pollSeconds: checked.number("WORKER_POLL_SECONDS", default: 5),
      batchSize: checked.number("WORKER_BATCH_SIZE", default: 10), wakePath: checked["LEADPIPE_WAKE"])
    options.listens = checked["WAKE"] == "notify"
    options.intervals = Pace.intervals(checked)
    options.fingerprints = Dictionary(uniqueKeysWithValues: ChannelKind.all.map { ($0.name, $0.fingerprint(settings)) })
    signal(SIGPIPE, SIG_IGN)
    do {
      let signals = try SignalPipe([SIGTERM, SIGINT])
      let loop = try WorkerLoop(
        options, recipients: recipients,
        folder: try Layout().folder(only: WorkerLoop.steps.union(options.listens ? [WorkerLoop.listening] : [])),
        settings: settings, log: log)
      if check {
        if database { try ClassLogins.require([.worker], in: settings) }
        return
      }
      ClassLogins.report([.worker], in: settings, log)
      reportConfinement(log)
      loop.run(signals: signals)
    } catch let failure as HandlerFolder.Failure {
      throw CommandError(failure.reason)
    } catch let failure as Child.Failure {
      throw CommandError(failure.reason)
    }
  }
}
