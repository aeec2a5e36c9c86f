import Contract
import FoundationEssentials
import Glibc
import Wire

/// Items about secrets: in the settings and in files.
enum SecretChecks {
  /// The sample values of the deployment checklist, and similar ones. They are public.
  private static let known: Set<String> = [
    "TrueNester2025_AdminAPI_SecureKey_Dubai_Development_Production_v1", "your-app-password", "123456:ABC...",
    "eyJhbGc...", "https://hooks.slack.com/services/...", "changeme", "secret", "password", "admin",
  ]

  /// The settings that have secrets.
  static let names = [
    "ADMIN_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_NEWSLETTER_URL",
    "TELEGRAM_BOT_TOKEN", "EMAIL_PASS", "RESEND_API_KEY", "FORM_TOKEN_SECRET", "SUPABASE_JWT_SECRET",
  ]

  static let samples = CheckItem(
    "before.secrets", "no secret is a sample value",
    doing: "compares the secrets in the settings with the samples of the deployment checklist"
  ) { run in
    let given = names.filter { run.environment[$0] != nil }
    let samples = given.filter { known.contains(run.environment[$0] ?? "") }
    if given.isEmpty { return .skipped("the settings have no secrets") }
    return samples.isEmpty
      ? .passed("none of the \(given.count) secrets is a sample value")
      : .failed(
        "sample values: \(samples.joined(separator: ", "))",
        fix:
          "set a value of your own, for ADMIN_API_KEY 32 or more random characters: openssl rand -hex 32; then start again"
      )
  }

  static let files = CheckItem(
    "before.secret-files", "no file with secrets is readable by everyone",
    doing: "reads the permissions of the state folder's files, of .env files here, and of /etc/leadpipe/*.env"
  ) { run in
    let found = paths(run).filter { mode($0) != nil }
    let open = found.filter { (mode($0) ?? 0) & 0o004 != 0 }
    if found.isEmpty { return .skipped("there are no such files on this machine") }
    return open.isEmpty
      ? .passed("\(found.count) files")
      : .failed(
        "readable by every user: \(open.joined(separator: ", "))",
        fix: "chmod 600 \(open.joined(separator: " "))\nand change the secrets in it, if others use this machine")
  }

  private static func paths(_ run: CheckRun) -> [String] {
    let state = run.environment["LEADPIPE_STATE"] ?? ".leadpipe"
    let own = ["env", "admin-key", "form-token-secret"].map { "\(state)/\($0)" }
    let pooler = list("\(state)/pooler").filter { $0.hasSuffix(".txt") || $0.hasSuffix(".ini") }
    let here = [".env", ".env.local", ".env.production"]
    return own + pooler + here + list("/etc/leadpipe").filter { $0.hasSuffix(".env") }
  }

  private static func list(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted().map { "\(folder)/\($0)" }
  }

  /// Returns the permissions of a file; nil if there is no such file.
  private static func mode(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? status.st_mode & 0o777 : nil
  }
}

extension CheckRun {
  /// The admin key: of the settings, or the one that `leadpipe up` has made for its own instance. Nil without a database:
  /// an instance that is examined from outside must not get this machine's key.
  var adminKey: String? {
    guard hasDatabase else { return nil }
    if let key = environment["ADMIN_API_KEY"] { return key }
    return WebAddress(base)?.isLoopback == true ? ownSecret(in: "admin-key") : nil
  }

  /// Returns the secret that `leadpipe up` has written to a file of its state folder; nil if there is none.
  func ownSecret(in file: String) -> String? {
    let path = (environment["LEADPIPE_STATE"] ?? ".leadpipe") + "/" + file
    return FileManager.default.contents(atPath: path).map {
      String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }
    }
  }
}
