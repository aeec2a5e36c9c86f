import Contract
import Host
import Sandbox
import Testing
import Wire

@Suite("What a process may reach, derived from its settings") struct ReachTests {
  private func reach(_ environment: [String: String]) -> Reach { Reach(TrustClass.destinations, environment) }

  @Test("reaches nothing without a database or provider") func none() {
    let settings = ["LOG_LEVEL": "debug", "RATE_LIMIT_LEAD": "10/60", "FRONTEND_URL": "https://example.com"]
    #expect(reach(settings) == Reach())
  }

  @Test("ignores a setting that the description does not declare") func undeclared() {
    let description = Description(
      name: "x", kind: .step, summary: "", environment: [Wake.setting, .logLevel], input: .init([:]), output: .init([:])
    )
    #expect(description.destinations == ["LEADPIPE_WAKE": .unixSocket])
    let given = ["LEADPIPE_WAKE": "/w", "SLACK_WEBHOOK_URL": "https://hooks.slack.com/x"]
    #expect(Reach(description.destinations, given) == Reach(hasLocalSockets: true))
  }

  @Test(
    "reaches the ports of the database and of DNS",
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

  @Test("may read the files in the database URL, and /etc/passwd if a user name must be looked up")
  func files() {
    let named = reach(["DATABASE_URL": "postgresql://u@h/d?sslrootcert=%2Fetc%2Fca.pem&sslkey=/k&passfile=/p&x=/y"])
    #expect(["/etc/ca.pem", "/k", "/p"].allSatisfy(named.files.contains))
    #expect(!named.files.contains("/y") && !named.files.contains("/etc/passwd"))
    #expect(reach(["DATABASE_URL": "postgresql:///d"]).files.contains("/etc/passwd"))
    #expect(reach(["DATABASE_URL": "postgresql://h/d"]).files.contains("/etc/passwd"))
  }

  @Test(
    "reaches the ports of the providers",
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

  @Test("does not reach the project, nor have its key, if there is a database URL") func replaced() {
    let description = Description(
      name: "x", kind: .step, summary: "",
      environment: [
        Setting("DATABASE_URL", unless: ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"], leadsTo: .database),
        Setting("SUPABASE_URL", leadsTo: .webAddress), Setting("SUPABASE_SERVICE_ROLE_KEY"),
      ], input: .init([:]), output: .init([:]))
    let project = ["SUPABASE_URL": "https://ref.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": "k", "OTHER": "kept"]
    #expect(description.needed(project) == project)
    #expect(description.needed(project.merging(["DATABASE_URL": ""]) { $1 })["SUPABASE_URL"] != nil)
    let both = description.needed(project.merging(["DATABASE_URL": "postgresql://u@h:6543/d"]) { $1 })
    #expect(both == ["DATABASE_URL": "postgresql://u@h:6543/d", "OTHER": "kept"])
    #expect(Set(Reach(description.destinations, both).ports) == [53, 6543])
  }

  @Test("reaches the worker's Unix socket") func wake() {
    #expect(reach(["LEADPIPE_WAKE": "/run/wake.sock"]) == Reach(hasLocalSockets: true))
  }
}
