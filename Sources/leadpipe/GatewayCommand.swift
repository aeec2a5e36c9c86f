import ArgumentParser
import Contract
import Glibc
import Host

struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "Serve HTTP. Replaces itself with bin/gateway.")

  @Flag(help: "Only check settings and handlers; exits with status 78 if anything is wrong.") var check = false
  @Flag(help: "With --check, also test the database logins.") var database = false
  @Option(help: ArgumentHelp("Serve only the endpoints of these handlers.", valueName: "name,name…")) var only: String?

  /// The classes of the handlers that are served, as far as they have a database login.
  private var classes: [TrustClass] {
    let all: [TrustClass] = [.intake, .admin]
    guard let only else { return all }
    let named = only.split(separator: ",").compactMap { TrustClass.table[String($0)] }
    return all.filter(named.contains)
  }

  func run() throws {
    var environment = KnownSettings.given()
    let log = Log(environment)
    environment = KnownSettings.warningAboutSimilar(environment, log)
    _ = try KnownSettings.check(environment)
    // A folder of foreign handlers may need no database.
    if environment["LEADPIPE_HANDLERS"] == nil {
      try KnownSettings.requireDatabase(classes.compactMap(\.database?.setting), in: environment)
      if !check {
        ClassLogins.report(classes, in: environment, log)
      } else if database {
        try ClassLogins.require(classes, in: environment)
      }
    }
    let words = ServiceEnvironment.gateway(environment, classes).map { "\($0.key)=\($0.value)" }
    let path = Layout().gateway
    let arguments = [path] + (only.map { ["--only", $0] } ?? []) + (check ? ["--check"] : [])
    let argv = arguments.map { strdup($0) } + [nil]
    let envp = words.map { strdup($0) } + [nil]
    execve(path, argv, envp)
    throw CommandError("\(path): \(String(cString: strerror(errno)))")
  }
}
