import ArgumentParser
import Contract
import Glibc

struct GatewayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "Serve HTTP. Replaces itself with bin/gateway.")

  @Flag(help: "Only check settings and handlers; exits with status 78 if anything is wrong.") var check = false

  func run() throws {
    var environment = KnownSettings.given()
    _ = try KnownSettings.check(environment)
    environment = KnownSettings.warningAboutSimilar(environment, Log(environment))
    let words = ServiceEnvironment.gateway(environment).map { "\($0.key)=\($0.value)" }
    let path = Layout().gateway
    let arguments = [path] + (check ? ["--check"] : [])
    let argv = arguments.map { strdup($0) } + [nil]
    let envp = words.map { strdup($0) } + [nil]
    execve(path, argv, envp)
    throw CommandError("\(path): \(String(cString: strerror(errno)))")
  }
}
