import Sandbox
import Testing

@Suite("What a process is held to") struct ConfinementTests {
  private func ours(_ environment: [String: String]) -> Confinement { Confinement(.ours, environment: environment) }

  @Test("a handler without a database and a provider reaches nothing") func alone() {
    let confinement = ours(["LOG_LEVEL": "debug", "RATE_LIMIT_LEAD": "10/60", "FRONTEND_URL": "https://example.com"])
    #expect(confinement.ports.isEmpty)
    #expect(!confinement.hasLocalSockets && !confinement.hasInternetSockets)
    #expect(confinement.readable == ["/usr/share/zoneinfo", "/etc/localtime"])
    #expect(confinement.executable.isEmpty && confinement.writable.isEmpty)
  }

  @Test(
    "the port of its database, and of name servers",
    arguments: [
      ("postgresql://u@h/d", [53, 5432]), ("postgres://u:p@h:6543/d?sslmode=require", [53, 6543]),
      ("postgresql://u@a:1,b:2,c/d", [1, 2, 53, 5432]), ("postgresql://u@[::1]:7/d", [7, 53]),
      ("postgresql://u@[::1]/d", [53, 5432]), ("postgresql:///d?host=h&port=9&user=u", [9, 53]),
      ("postgresql:///d?host=a,b&port=9", [9, 53]), ("postgresql://u@/d?hostaddr=127.0.0.1", [53, 5432]),
      ("postgresql://u:p%40%3A1@h/d", [53, 5432]), ("postgresql://u:p/w@h/d", [53, 5432]),
      ("postgresql://u@/d?host=/run/pg", []), ("postgresql://u@%2Frun%2Fpg/d", []), ("postgresql:///d", []),
      ("postgresql://u@/d", []), ("mysql://u@h/d", []), ("", []),
    ])
  func database(_ url: String, _ ports: [Int]) {
    let confinement = ours(["DATABASE_URL": url])
    #expect(confinement.ports == ports)
    #expect(confinement.hasInternetSockets == !ports.isEmpty)
    #expect(confinement.hasLocalSockets == url.hasPrefix("postgres"))
  }

  @Test("the files that its database's URL names, and the list of users only where it must look its name up")
  func files() {
    let named = ours(["DATABASE_URL": "postgresql://u@h/d?sslrootcert=%2Fetc%2Fca.pem&sslkey=/k&passfile=/p&x=/y"])
    #expect(["/etc/ca.pem", "/k", "/p"].allSatisfy(named.readable.contains))
    #expect(!named.readable.contains("/y") && !named.readable.contains("/etc/passwd"))
    #expect(ours(["DATABASE_URL": "postgresql:///d"]).readable.contains("/etc/passwd"))
    #expect(ours(["DATABASE_URL": "postgresql://h/d"]).readable.contains("/etc/passwd"))
  }

  @Test(
    "the ports of its providers",
    arguments: [
      (["SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x"], [53, 443]),
      (
        ["SLACK_WEBHOOK_URL": "http://127.0.0.1:4001/services/x", "SLACK_WEBHOOK_NEWSLETTER_URL": "HTTPS://h"],
        [53, 443, 4001]
      ),
      (["TELEGRAM_BOT_TOKEN": "1:x"], [53, 443]),
      (["TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_API_URL": "http://[::1]:8081"], [53, 8081]),
      (["RESEND_API_KEY": "re_x", "RESEND_API_URL": "http://[::1]"], [53, 80]),
      (["EMAIL_HOST": "mail"], [53, 587]), (["EMAIL_HOST": "mail", "EMAIL_PORT": "465"], [53, 465]),
      (["SLACK_WEBHOOK_URL": "hooks.slack.com"], []),
    ])
  func providers(_ settings: [String: String], _ ports: [Int]) { #expect(ours(settings).ports == ports) }

  @Test("the worker's socket is a unix socket") func wake() {
    let confinement = ours(["LEADPIPE_WAKE": "/run/wake.sock"])
    #expect(confinement.hasLocalSockets && !confinement.hasInternetSockets)
  }

  @Test("a foreign program may be interpreted, and gets what the operator grants") func foreign() {
    let grants = Confinement.Grants(read: ["/srv/r"], write: ["/srv/w"], connect: [8443])
    let confinement = Confinement(.foreign(path: "/h/x"), environment: [:], grants: grants, seconds: 7)
    #expect(confinement.executable.contains("/h") && confinement.executable.contains("/usr"))
    #expect(confinement.readable.contains("/srv/r") && confinement.writable == ["/dev/null", "/srv/w"])
    #expect(confinement.ports == [8443])
    #expect(confinement.limits.contains { $0.name == "seconds of processor time" && $0.value == 7 })
    let bare = Confinement(.foreign(path: "/h/x"), environment: [:])
    #expect(bare.writable == ["/dev/null"] && bare.ports.isEmpty && !bare.hasLocalSockets)
    #expect(bare.limits.contains { $0.name == "bytes in a file it writes" && $0.value == 0 })
    #expect(!bare.limits.contains { $0.name == "seconds of processor time" })
  }

  @Test(
    "says what a kernel does not hold",
    arguments: [
      (0, true, "files, TCP ports, signals to other processes"),
      (1, true, "truncation of files, TCP ports, signals to other processes"),
      (3, true, "TCP ports, signals to other processes"), (5, true, "signals to other processes"), (7, true, nil),
      (6, false, "system calls and sockets"),
    ] as [(Int, Bool, String?)])
  func level(_ landlock: Int, _ hasFilters: Bool, _ shortfall: String?) {
    #expect(ConfinementLevel(landlock: landlock, hasFilters: hasFilters).shortfall == shortfall)
  }
}
