import FoundationEssentials
import Transports
import Wire

/// Looks for secrets in what everybody can read: the panel's files, the site, the interface's description.
enum PublicFiles {
  /// Files and replies larger than this are read to here.
  private static let limit = 4_194_304
  /// How many pages and scripts are requested.
  private static let most = 20

  static let item = CheckItem(
    "security.public-files", "no secret is in a public file",
    doing:
      "searches /, /admin, the chatbot, /config.js, their scripts, and the files that the gateway serves, for secrets",
    needs: ["interfaces.health"]
  ) { run in
    let own = ["ADMIN_API_KEY": "admin-key", "FORM_TOKEN_SECRET": "form-token-secret"]
    let secrets = SecretChecks.names.compactMap { name in
      (run.environment[name] ?? own[name].flatMap(run.ownSecret)).flatMap {
        $0.utf8.count >= 8 ? (name, Array($0.utf8)) : nil
      }
    }
    let texts = served(run) + files(run)
    for (place, text) in texts {
      if let name = secrets.first(where: { text.firstRange(of: $0.1) != nil })?.0 ?? serviceKey(in: text) {
        return .failed(
          "\(name) is in \(place)",
          fix: "remove it there, and make a new key: anyone may have read this one. Browsers get the anon key only")
      }
    }
    return .passed("\(texts.count) files and pages")
  }

  private typealias Text = (place: String, bytes: [UInt8])

  /// The pages that everybody can request, with the scripts that they load from the same host.
  private static func served(_ run: CheckRun) -> [Text] {
    var paths = ["/admin", "/", "/chatbot.js", "/forms.js", "/questions.json", "/config.js"]
    var texts: [Text] = []
    var next = 0
    while next < min(paths.count, most), !Interruption.isRequested {
      let path = paths[next]
      next += 1
      let reply = run.send("GET", path, limit: limit)
      guard reply.status == 200 else { continue }
      texts.append((run.base + path, reply.body))
      for script in scripts(in: reply.text) {
        let path = script.hasPrefix("/") ? script : (path == "/" ? "/" : path + "/") + script
        if !paths.contains(path) { paths.append(path) }
      }
    }
    return texts
  }

  /// Returns the paths of a page's scripts on the same host.
  private static func scripts(in page: String) -> [String] {
    guard page.prefix(200).lowercased().contains("<!doctype html") else { return [] }
    let tags = page.split(separator: "<script").dropFirst().map { $0.prefix { $0 != ">" } }
    let paths = tags.flatMap { $0.split(separator: "src=\"").dropFirst().map { String($0.prefix { $0 != "\"" }) } }
    return paths.filter { path in
      !path.isEmpty && !path.contains(":") && !path.hasPrefix("//")
        && path.utf8.allSatisfy { 0x21...0x7E ~= $0 && $0 != 0x3C }
    }
  }

  /// The files that the gateway on this machine serves.
  private static func files(_ run: CheckRun) -> [Text] {
    let folders = [
      run.environment["PANEL_DIR"] ?? Layout().panel, run.environment["CHATBOT_DIR"] ?? Layout().chatbot,
    ]
    let list = { (path: String) in
      ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted().map { "\(path)/\($0)" }
    }
    var paths = folders
    for _ in 0..<4 { paths = paths.flatMap { [$0] + list($0) } }
    return Set(paths).sorted().prefix(400).compactMap { path in
      return FileManager.default.contents(atPath: path).map { (path, Array($0.prefix(limit))) }
    }
  }

  /// Recognises a service key of any project: `sb_secret_…`, or a token (RFC 7519) for the role service_role.
  static func serviceKey(in text: [UInt8]) -> String? {
    let name = "a service key"
    if text.firstRange(of: Array("sb_secret_".utf8)) != nil { return name }
    let isOfToken = { (byte: UInt8) in
      0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte || "-_.".utf8.contains(byte)
    }
    for word in text.split(whereSeparator: { !isOfToken($0) }) where word.starts(with: "eyJ".utf8) {
      let parts = word.split(separator: UInt8(ascii: "."))
      guard parts.count == 3 else { continue }
      var middle = String(decoding: parts[1], as: UTF8.self).map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
      while middle.count % 4 != 0 { middle.append("=") }
      let claims = Base64.decode(String(middle)) ?? []
      if claims.firstRange(of: Array("\"service_role\"".utf8)) != nil { return name }
    }
    return nil
  }
}
