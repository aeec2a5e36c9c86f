import Admin
import ArgumentParser
import Contract
import Store
import Wire

/// `leadpipe login`: prints a link that logs a browser in once, so that no key has to be pasted.
struct LoginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "login", abstract: "Print a link that opens the admin panel once, within five minutes.",
    discussion: """
      Whoever opens the link first is logged in for 12 hours. The token is behind the # of the address: browsers do not
      send it, so no log contains it.
      """)

  @Option(help: "The name of the key to log in as (default: ADMIN_API_KEY, with all rights).") var key: String?
  @Option(help: "The address of the gateway (default: this machine and PORT).") var url: String?
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    if let url, WebAddress(url) == nil { throw ValidationError("--url must be an http or https URL.") }
  }

  func run() throws {
    let token = Secret.token() + Secret.token()
    let made = try OperatorDatabase().call(
      .createLogin, ["name": JSON(key), "token": .string(Secret.sha256(token)), "by": actor.name])
    let link = PanelLink(KnownSettings.given(), base: url).text + "/login#token=" + token
    Console.print((options.json ? made.setting("url", .string(link)).text : link) + "\n")
  }
}

/// The address of the admin panel.
struct PanelLink {
  let text: String

  /// - Parameter base: the address of the gateway; by default that of this machine's.
  init(_ settings: [String: String], base: String? = nil) {
    let own = settings["LEADPIPE_HOST"].flatMap { ["0.0.0.0", "::"].contains($0) ? nil : $0 } ?? "127.0.0.1"
    let host = own.contains(":") ? "[\(own)]" : own
    var base = base ?? "http://\(host):\(settings["PORT"] ?? "4000")"
    while base.hasSuffix("/") { base.removeLast() }
    text = base + "/admin"
  }
}
