import ArgumentParser
import Contract
import Deliveries
import Glibc
import Host
import Store
import StoreAccess
import Wire
import Worker

struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Deliver the notifications of new events until stopped.",
    discussion: """
      With ENABLE_NOTIFICATION_WORKER=false, it exits at once and events stay queued. Started by AWS Lambda, it works from
      each event until shortly before the function's time limit.
      """)

  @Flag(help: "Only check settings and handlers; exits non-zero if anything is wrong.") var check = false
  @Flag(help: "With --check, also test the database login.") var database = false

  /// The name of this machine, for the heartbeat.
  private static var host: String {
    var buffer = [CChar](repeating: 0, count: 65)
    guard gethostname(&buffer, 64) == 0 else { return "worker" }
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  func run() throws {
    let lambda = check ? nil : LambdaLoop(processEnvironment())
    do { try work(lambda) } catch let failure as RuntimeFailure {
      throw CommandError("the Lambda runtime API failed: \(failure.reason)")
    } catch {
      // The failure itself is on stderr already, or is thrown on.
      _ = try? lambda?.failInit("the worker cannot start: see its log")
      throw error
    }
  }

  /// - Parameter lambda: the events that begin the worker's shifts. Nil if it works until it is stopped.
  private func work(_ lambda: LambdaLoop?) throws {
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
      let signals = try SignalPipe([SIGTERM, SIGINT, SIGALRM])
      let folder = try Layout().folder(only: WorkerLoop.steps.union(options.listens ? [WorkerLoop.listening] : []))
      let makeLoop = { () throws(HandlerFolder.Failure) in
        try WorkerLoop(options, recipients: recipients, folder: folder, settings: settings, log: log)
      }
      let loop = try makeLoop()
      if check {
        if database { try ClassLogins.require([.worker], in: settings) }
        return
      }
      ClassLogins.report([.worker], in: settings, log)
      reportConfinement(log)
      guard let lambda else { return loop.run(signals: signals) }
      try lambda.serve { deadline in
        let shift = LambdaShift(until: deadline)
        guard shift.seconds > 0, let loop = try? makeLoop() else { return ["seconds": 0] }
        // A signal of an earlier shift must not end this one.
        _ = signals.take()
        alarm(UInt32(shift.seconds))
        loop.run(signals: signals)
        alarm(0)
        return ["seconds": JSON(shift.seconds)]
      }
    } catch let failure as HandlerFolder.Failure {
      throw CommandError(failure.reason)
    } catch let failure as Child.Failure {
      throw CommandError(failure.reason)
    }
  }
}
