import ArgumentParser
import Contract
import Glibc
import Host

struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "Serve HTTP. Replaces itself with bin/gateway.")

  @Flag(help: "Only check settings and handlers; exits with status 78 if anything is wrong.") var check = false
  @Flag(help: "With --check, also test the database logins.") var database = false

  func run() throws {
    var environment = KnownSettings.given()
    let log = Log(environment)
    environment = KnownSettings.warningAboutSimilar(environment, log)
    _ = try KnownSettings.check(environment)
    // A folder of foreign handlers may need no database.
    if environment["LEADPIPE_HANDLERS"] == nil {
      try KnownSettings.requireDatabase(["DATABASE_URL_INTAKE", "DATABASE_URL_ADMIN"], in: environment)
      if !check {
        ClassLogins.report([.intake, .admin], in: environment, log)
      } else if database {
        try ClassLogins.require([.intake, .admin], in: environment)
      }
    }
    let words = ServiceEnvironment.gateway(environment).map { "\($0.key)=\($0.value)" }
    let path = Layout().gateway
    let arguments = [path] + (check ? ["--check"] : [])
    let argv = arguments.map { strdup($0) } + [nil]
    let envp = words.map { strdup($0) } + [nil]
    execve(path, argv, envp)
    throw CommandError("\(path): \(String(cString: strerror(errno)))")
  }
}
