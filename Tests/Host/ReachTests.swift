import Contract
import Host
import Sandbox
import Testing
import Wire

@Suite("Where the settings of a process lead") struct ReachTests {
  private func reach(_ environment: [String: String]) -> Reach { Reach(TrustClass.destinations, environment) }

  @Test("a process without a database and a provider reaches nobody") func alone() {
    let settings = ["LOG_LEVEL": "debug", "RATE_LIMIT_LEAD": "10/60", "FRONTEND_URL": "https://example.com"]
    #expect(reach(settings) == Reach())
  }

  @Test("a setting that the description does not ask for leads nowhere") func undescribed() {
    let description = Description(
      name: "x", kind: .step, summary: "", environment: [Wake.setting, .logLevel], input: .init([:]), output: .init([:])
    )
    #expect(description.destinations == ["LEADPIPE_WAKE": .unixSocket])
    let given = ["LEADPIPE_WAKE": "/w", "SLACK_WEBHOOK_URL": "https://hooks.slack.com/x"]
    #expect(Reach(description.destinations, given) == Reach(hasLocalSockets: true))
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
    let reach = reach(["DATABASE_URL": url])
    #expect(Set(reach.ports).sorted() == ports)
    #expect(reach.hasLocalSockets == url.hasPrefix("postgres"))
  }

  @Test("the files that its database's URL names, and the list of users only where it must look its name up")
  func files() {
    let named = reach(["DATABASE_URL": "postgresql://u@h/d?sslrootcert=%2Fetc%2Fca.pem&sslkey=/k&passfile=/p&x=/y"])
    #expect(["/etc/ca.pem", "/k", "/p"].allSatisfy(named.files.contains))
    #expect(!named.files.contains("/y") && !named.files.contains("/etc/passwd"))
    #expect(reach(["DATABASE_URL": "postgresql:///d"]).files.contains("/etc/passwd"))
    #expect(reach(["DATABASE_URL": "postgresql://h/d"]).files.contains("/etc/passwd"))
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
  func providers(_ settings: [String: String], _ ports: [Int]) {
    #expect(Set(reach(settings).ports).sorted() == ports)
  }

  @Test("the worker's socket is a unix socket") func wake() {
    #expect(reach(["LEADPIPE_WAKE": "/run/wake.sock"]) == Reach(hasLocalSockets: true))
  }
}
