import Contract
import Store
import Transports
import Wire

extension CheckGroup {
  /// What a stranger must not be able to do.
  static let security = CheckGroup(
    title: "Security",
    items: [cors, adminClosed, rateLimit, rowSecurity, anon, leastPrivilege, PublicFiles.item, proxy])

  private static let cors = CheckItem(
    "security.cors", "only the allowed origins may read replies",
    doing: "sends preflight requests of an allowed origin and of foreign ones", needs: ["interfaces.chatbot"]
  ) { run in
    let site = run.environment["FRONTEND_URL"].flatMap { WebOrigin(ofAddress: $0)?.text }
    var foreign = ["https://leadpipe-check.invalid", "null"]
    if let site { foreign += [site + ".leadpipe-check.invalid"] }
    if let site, site.hasPrefix("https://") { foreign += ["http://" + site.dropFirst("https://".count)] }
    for each in foreign {
      let reply = preflight(each, run)
      if let allowed = reply.header("access-control-allow-origin"), allowed == "*" || allowed == each {
        return .failed(
          "pages of \(each) may call the interface (Access-Control-Allow-Origin: \(allowed))",
          fix:
            "remove the origin from ALLOWED_ORIGINS, and what adds this header from the proxy in front; then start again"
        )
      }
    }
    guard let site else { return .passed("foreign origins get nothing; FRONTEND_URL is not set") }
    let reply = preflight(site, run)
    return reply.header("access-control-allow-origin") == site
      ? .passed("\(site) may, \(foreign.count) foreign origins may not")
      : .failed(
        "pages of FRONTEND_URL (\(site)) may not call the interface: \(describe(reply))",
        fix: "start the gateway with the FRONTEND_URL of this shell; a proxy in front must pass OPTIONS on")
  }

  private static func preflight(_ origin: String, _ run: CheckRun) -> WebReply {
    run.send(
      "OPTIONS", TestLead.route,
      headers: [
        "Origin: \(origin)", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type",
      ])
  }

  private static let adminClosed = CheckItem(
    "security.admin", "the admin interface is closed without a key",
    doing: "requests /api/admin/conversations without a key", needs: ["interfaces.health"]
  ) { run in
    let reply = run.send("GET", "/api/admin/conversations?limit=1")
    run.replies["/api/admin/conversations"] = reply
    switch reply.status {
    case 401, 503: return .passed("\(reply.status) without a key")
    case 429:
      return .skipped("429: this address has sent too many requests without a valid key; check again in a minute")
    case 200:
      return .failed("200 without a key", fix: "remove the key that the proxy in front adds to requests")
    default:
      return .failed(
        "\(describe(reply)), not 401", fix: "a proxy in front must pass /api/admin on to the gateway unchanged")
    }
  }

  private static let rateLimit = CheckItem(
    "security.rate-limit", "the number of requests is limited",
    doing: "looks for the limits in the headers of the replies so far", needs: ["interfaces.chatbot"]
  ) { run in
    let paths = [TestLead.route, "/api/contact", "/api/admin/conversations", "/health"]
    // A route that does not exist has no limit.
    let limits = paths.compactMap { path in
      run.replies[path].flatMap { reply -> (String, String?)? in
        reply.status == 404 ? nil : (path, reply.header("ratelimit-policy"))
      }
    }
    let without = limits.filter { $0.1 == nil }.map(\.0)
    return without.isEmpty
      ? .passed(limits.compactMap(\.1).joined(separator: ", "))
      : .failed(
        "no limit on \(without.joined(separator: ", "))",
        fix: "unset RATE_LIMIT_LEAD, _CONTACT, _ADMIN, _EXPORT and _DEFAULT, or set numbers; then start again")
  }

  private static let rowSecurity = CheckItem(
    "security.rls", "row-level security is on for every table", doing: "looks it up in the catalogue",
    needs: ["before.database"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let open = try database.unprotectedTables(deadline: run.deadline)
      return open.isEmpty
        ? .passed("\(ProductSchema.publicTables.count) tables")
        : .failed(
          "off for \(open.joined(separator: ", "))",
          fix: "run as the owner of the tables:\n"
            + open.map { "ALTER TABLE public.\($0) ENABLE ROW LEVEL SECURITY;" }.joined(separator: " "))
    }
  }

  private static let anon = CheckItem(
    "security.anon", "role anon may do nothing with our tables and functions",
    doing: "looks its rights up, and reads every table in its role", needs: ["before.database"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let rights: [String]
      do throws(StoreFailure) { rights = try database.rightsOfAnon(deadline: run.deadline) } catch {
        guard case .refused("42704", _, _) = error else { throw error }
        return .skipped("the database has no role anon")
      }
      guard rights.isEmpty else {
        return .failed(
          "anon, which anybody can be, has rights on \(rights.count) of them",
          fix: "run as the owner of the tables:\n" + rights.joined(separator: " "))
      }
      do throws(StoreFailure) {
        let readable = try Database(url: run.databaseURL ?? "", role: "anon").readableTables(deadline: run.deadline)
        return readable.isEmpty
          ? .passed("no rights; reading each table as anon was refused")
          : .failed(
            "anon could read \(readable.joined(separator: ", "))",
            fix: "run as the owner of the tables:\n"
              + readable.map { "REVOKE ALL ON TABLE public.\($0) FROM PUBLIC, anon;" }.joined(separator: " "))
      } catch {
        return .passed("no rights; not tried as anon, because the login may not take that role")
      }
    }
  }

  /// Variables whose names begin so are part of the pages that the usual build tools make.
  private static let publicPrefixes = [
    "VITE_", "PUBLIC_", "NEXT_PUBLIC_", "NUXT_PUBLIC_", "EXPO_PUBLIC_", "REACT_APP_", "VUE_APP_", "GATSBY_",
  ]

  /// The name of the secret that a value is: a setting's, or "a database login". Nil if it is none.
  private static func secret(_ value: String, _ run: CheckRun) -> String? {
    if PublicFiles.serviceKey(in: Array(value.utf8)) != nil { return "SUPABASE_SERVICE_ROLE_KEY" }
    if ["postgres://", "postgresql://"].contains(where: value.hasPrefix) { return "a database login" }
    return value.isEmpty ? nil : SecretChecks.names.first { run.environment[$0] == value }
  }

  private static let leastPrivilege = CheckItem(
    "security.service-key", "no process has more rights than its job needs",
    doing: "looks for the service key, and for secrets in variables that the build of a site makes public"
  ) { run in
    for (name, value) in run.environment.sorted(by: { $0.key < $1.key })
    where publicPrefixes.contains(where: name.hasPrefix) {
      guard let secret = secret(value, run) else { continue }
      let isServiceKey = secret == "SUPABASE_SERVICE_ROLE_KEY"
      return .failed(
        "\(name) is \(isServiceKey ? "a service key" : secret): the build of the site gives it to every visitor",
        fix: isServiceKey
          ? "set \(name) to the anon or publishable key, and build the site again; make a new service key, because "
            + "anyone may have read this one"
          : "unset \(name), and build the site again; change the secret, because anyone may have read it")
    }
    if run.environment["SUPABASE_SERVICE_ROLE_KEY"] == nil {
      return run.hasDatabase ? .passed("no service key in the settings") : .skipped("examined from outside")
    }
    if ["INTAKE", "WORKER", "ADMIN"].allSatisfy({ run.environment["DATABASE_URL_" + $0] != nil }) {
      return .passed("no process with these settings gets SUPABASE_SERVICE_ROLE_KEY, because every class has a login")
    }
    return run.environment["DATABASE_URL"] == nil
      ? .skipped(
        "with the service key in place of a login, every handler of its class has all rights: the documented exception "
          + "to least privilege (docs/how-to/deploy-on-supabase.md)")
      : .passed(
        "no process with these settings gets SUPABASE_SERVICE_ROLE_KEY, because DATABASE_URL is set; those without it do"
      )
  }

  private static let proxy = CheckItem(
    "security.proxy", "the gateway receives the addresses of visitors",
    doing: "looks for a proxy in front, and whether a visitor can choose an address", needs: ["interfaces.chatbot"]
  ) { run in
    let isTrusted = run.environment["TRUSTED_PROXIES"] != nil
    if let sign = sign(ofProxyIn: run) {
      guard run.hasDatabase else {
        return .skipped("there is a proxy (\(sign)); its settings are not known here")
      }
      if !isTrusted {
        return .failed(
          "there is a proxy in front (\(sign)), and TRUSTED_PROXIES is not set: all visitors count as one client",
          fix: "set TRUSTED_PROXIES to the proxy's addresses, or hops:1 where they are not known; then start again")
      }
    }
    // If it had an effect, each forged address would have used one request of its own budget only.
    let used = ["203.0.113", "198.51.100"].compactMap { network -> Int? in
      let reply = run.send("GET", "/health", headers: ["X-Forwarded-For: \(network).\(UInt8.random(in: 1...254))"])
      let limit = reply.header("x-ratelimit-limit").flatMap { Int(strict: $0) }
      let left = reply.header("x-ratelimit-remaining").flatMap { Int(strict: $0) }
      return limit.flatMap { limit in left.map { limit - $0 } }
    }
    guard used.count == 2 else { return .skipped("without a rate limit it cannot be seen") }
    return used == [1, 1]
      ? .failed(
        "a visitor who sends X-Forwarded-For counts as another client: rate limits can be evaded",
        fix:
          "set TRUSTED_PROXIES to the addresses of your own proxies only, unset it if there is none, and let the proxy "
          + "overwrite X-Forwarded-For; then start again")
      : .passed(isTrusted ? "TRUSTED_PROXIES is set, and a forged address has no effect" : "there is no proxy in front")
  }

  /// What shows that there is a proxy: the gateway itself speaks no https and names no server.
  private static func sign(ofProxyIn run: CheckRun) -> String? {
    if run.base.hasPrefix("https:") { return "https" }
    let reply = run.replies["/health"]
    for name in ["via", "x-forwarded-server", "cf-ray", "x-vercel-id", "x-render-origin-server", "server"] {
      if let value = reply?.header(name) { return "\(name): \(value)" }
    }
    return nil
  }
}
