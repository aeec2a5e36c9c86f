import ArgumentParser
import Contract
import Glibc
import Wire

/// `leadpipe check`: runs the deployment checklist.
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Run the deployment checklist: settings, database, a test lead, security.",
    discussion: """
      Uses the settings of this shell, which must be those of the instance. A test lead, marked [test], goes through the \
      address in --url to every configured channel, and is removed again, also after Ctrl-C; no agent gets it. Without a \
      database in the settings, only what can be seen from outside is examined, and nothing is stored. Each item is ✓, \
      ✗ or – (it does not apply, or could not be examined). The exit status is 0 if no item is ✗, else 1.
      """)

  @Option(help: "The public address of the instance (default: this machine and PORT).") var url: String?
  @Flag(help: "Only print what would be done.") var dryRun = false
  @Flag(help: "Print one JSON document per line.") var json = false

  func validate() throws {
    guard let url else { return }
    guard let address = WebAddress(url), !url.contains("?"), !url.contains("#") else {
      throw ValidationError("--url must be an http or https URL without ? and #.")
    }
    // The admin key and the test lead would cross the network for everyone to read.
    guard address.isSecure || address.isLoopback else {
      throw ValidationError("--url must be https, except for this machine.")
    }
  }

  func run() throws {
    let report = CheckReport(isJSON: json)
    if dryRun { return report.plan(CheckGroup.all) }
    signal(SIGPIPE, SIG_IGN)
    Interruption.catchSignals()
    let run = try CheckRun(KnownSettings.given(), url: url)
    for group in CheckGroup.all {
      report.begin(group)
      for item in group.items { report.show(item, item.found(in: run)) }
    }
    report.end(run.findings)
    if Interruption.isRequested {
      Console.printError("interrupted\n")
      throw ExitCode.failure
    }
    if run.findings.values.contains(where: \.hasFailed) { throw ExitCode.failure }
  }
}
