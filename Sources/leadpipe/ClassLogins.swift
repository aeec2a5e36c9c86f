import ArgumentParser
import Contract
import Host
import Store
import StoreAccess
import Wire

/// The database logins of the trust classes, tested before an instance reports that it is ready.
enum ClassLogins {
  /// A function that each class calls.
  private static let functions: [(trust: TrustClass, function: Function)] = [
    (.intake, .captureLead), (.worker, .claimDeliveries), (.admin, .listConversations),
  ]

  /// Returns what is wrong with the logins, one line each with the statement that corrects it. Empty if every class can
  /// call its functions.
  /// - Parameter seconds: how long each login may take.
  static func errors(_ environment: [String: String], of classes: [TrustClass], seconds: Int = 10) -> [String] {
    functions.compactMap { trust, function in
      guard classes.contains(trust), let login = trust.database else { return nil }
      let own = environment[login.setting]
      let setting = own == nil ? "DATABASE_URL" : login.setting
      if own == nil, KnownSettings.usesRest(environment) { return restError(environment, seconds) }
      let url = own ?? environment["DATABASE_URL"] ?? ""
      let database = Database(url: url, role: own == nil ? login.role : nil)
      do throws(StoreFailure) {
        let isAllowed = try database.mayExecute(function, deadline: Instant.steady.adding(seconds: seconds))
        return isAllowed ? nil : grant(login.role, to: user(url), setting, trust)
      } catch {
        switch error {
        case .unavailable(let reason): return "\(setting): \(reason)"
        case .timedOut: return "\(setting): the database did not respond in time"
        // The role or the function does not exist.
        case .refused("22023", _, _), .refused("42704", _, _), .refused("42883", _, _):
          return "\(setting): the database is not migrated; run `leadpipe migrate`"
        // SET ROLE is refused.
        case .refused("42501", _, _):
          return grant(login.role, to: user(url), setting, trust)
        case .refused(let state, let message, _): return "\(setting): the database reported error \(state): \(message)"
        }
      }
    }
  }

  /// What is wrong with a project's REST interface: it must call a function that changes nothing.
  private static func restError(_ environment: [String: String], _ seconds: Int) -> String? {
    guard let settings = try? Settings(RestAddress.settings, from: environment), let address = RestAddress(settings)
    else { return "SUPABASE_URL: SUPABASE_SERVICE_ROLE_KEY is missing, or one of them is wrong" }
    do throws(StoreFailure) {
      _ = try Database(rest: address).call(
        .healthReport, ["olderThanSeconds": 60], deadline: Instant.steady.adding(seconds: seconds))
      return nil
    } catch {
      switch error {
      case .unavailable(let reason) where reason.hasPrefix("SUPABASE_URL"): return reason
      case .unavailable(let reason): return "SUPABASE_URL: \(reason)"
      case .timedOut: return "SUPABASE_URL: the project did not respond in time"
      case _ where error.kind == .notMigrated:
        return
          "SUPABASE_URL: the database is not migrated; run `leadpipe migrate` with DATABASE_URL, or `supabase db push`"
      case .refused(let state, let message, _):
        return "SUPABASE_URL: the database reported error \(state): \(message)"
      }
    }
  }

  /// Ends the command with the exit status for wrong settings if a login is wrong.
  static func require(_ classes: [TrustClass], in environment: [String: String]) throws {
    let errors = errors(environment, of: classes)
    if errors.isEmpty { return }
    Console.printError(errors.map { $0 + "\n" }.joined())
    throw ExitCode(ExitStatus.misconfigured)
  }

  /// Logs what is wrong with the logins. The service starts nevertheless, because the database may come later.
  static func report(_ classes: [TrustClass], in environment: [String: String], _ log: Log) {
    for error in errors(environment, of: classes, seconds: 3) { log.error(error) }
  }

  private static func grant(_ role: String, to user: String?, _ setting: String, _ trust: TrustClass) -> String {
    let name = user ?? "USER"
    return """
      \(name), the login in \(setting), lacks the rights of class \(trust.rawValue); run as a superuser or the role's \
      owner: GRANT \(role) TO \(quoted(name));
      """
  }

  /// Returns the name of the login; nil if it cannot be determined.
  static func user(_ url: String) -> String? {
    (try? Database(url: url).loginName(deadline: Instant.steady.adding(seconds: 10))) ?? nil
  }

  /// Quotes a name as an SQL identifier.
  static func quoted(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
  }
}
