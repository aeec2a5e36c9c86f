import Contract
import Forms
import Host

/// The reference pages as Markdown.
enum ReferencePages {
  static func settings(_ handlers: [HostedHandler]) throws -> String {
    let described = Set(SettingSection.all.flatMap(\.entries).flatMap(\.names))
    let read = Set(KnownSettings.names + handlers.flatMap(\.description.environment).map(\.name))
    let missing = read.subtracting(described).sorted()
    guard missing.isEmpty else {
      throw CommandError(
        "the reference lacks \(missing.joined(separator: ", ")); add an entry in Sources/leadpipe/Reference/")
    }
    let sections = SettingSection.all.map { section in
      let rows = section.entries.map { entry in
        [
          entry.names.map { "`\($0)`" }.joined(separator: ", "), entry.meaning, entry.standard,
          readers(of: entry, among: handlers),
        ]
      }
      return "## \(section.title)\n\n" + table(["setting", "meaning", "default", "read by"], rows)
    }
    return page(
      .settings, "Settings",
      """
      Settings are environment variables, read once at start. An empty value counts as absent. All errors are reported
      at once, with exit status 78. A handler's process receives only the settings that it is listed for. Addresses of
      providers must be https; http is accepted on loopback only.
      """, sections.joined(separator: "\n"))
  }

  static func routes(_ handlers: [HostedHandler]) -> String {
    let rows = handlers.flatMap { handler in
      handler.description.routes.map { route in
        (
          route.path,
          [
            "`\(route.method) \(route.path)`", handler.description.name, handler.description.access.rawValue,
            handler.description.rateClass, "\(handler.description.bodyLimit)",
            "\(handler.description.timeLimitMs)", handler.description.summary,
          ]
        )
      }
    }.sorted { ($0.0, $0.1[0]) < ($1.0, $1.1[0]) }.map(\.1)
    let steps = handlers.filter { $0.description.kind == .step }.map { handler in
      [
        handler.description.name, handler.trust.rawValue, "\(handler.description.bodyLimit)",
        "\(handler.description.timeLimitMs)", handler.description.summary,
      ]
    }
    return page(
      .routes, "Routes and steps",
      "Each route is answered by one handler. `leadpipe openapi` prints parameters, bodies and replies.",
      table(["route", "handler", "access", "rate class", "body limit in bytes", "time limit in ms", "purpose"], rows)
        + "\n## Steps\n\nSteps have no route: the worker and the gateway start them.\n\n"
        + table(["step", "trust class", "body limit in bytes", "time limit in ms", "purpose"], steps))
  }

  static var statuses: String {
    let problems = Dictionary(grouping: ProblemKind.allCases, by: \.status).sorted { $0.key < $1.key }.map {
      ["\($0.key)", Set($0.value.map(\.title)).sorted().joined(separator: "; ")]
    }
    return page(
      .statuses, "Statuses",
      "A failing handler writes a problem (RFC 9457) and ends with an exit status of sysexits.h.",
      "## Exit statuses\n\n"
        + table(["exit status", "meaning"], ExitStatus.meanings.map { ["\($0.status)", $0.meaning] })
        + "\n## Problems\n\n" + table(["HTTP status", "title"], problems))
  }

  static var errors: String {
    let problems = ProblemCode.allCases.map { ["`\($0.rawValue)`", "\($0.kind.status)", $0.template] }
    let fields = FieldCode.allCases.map { ["`\($0.rawValue)`", $0.template] }
    return page(
      .errors, "Errors",
      """
      A failed request gets a problem (RFC 9457). Its `code` identifies the error; `detail` explains it in English. A
      problem with the code `invalid_fields` has `details`: one object `{path, code, message}` for each invalid field.
      Codes do not change their meaning, so a website can show its own text for each. Messages may be reworded. Each
      name in braces stands for a value; `{field}` stands for the field's path.
      """,
      "## Errors of a request\n\n" + table(["code", "status", "detail"], problems)
        + "\n## Errors of a field\n\n" + table(["code", "message"], fields))
  }

  static var trustClasses: String {
    let common = TrustClass.none.grants
    func list(_ settings: Set<String>) -> String { settings.sorted().map { "`\($0)`" }.joined(separator: ", ") }
    let rows = TrustClass.allCases.map { trust in
      let settings = trust == .none ? list(common) : "as none, and \(list(trust.grants.subtracting(common)))"
      let login = trust.database.map { "`\($0.setting)`, or `DATABASE_URL` as role `\($0.role)`" } ?? "none"
      let handlers = TrustClass.table.filter { $0.value == trust }.keys.sorted().joined(separator: ", ")
      return [trust.rawValue, settings, login, handlers]
    }
    return page(
      .trustClasses, "Trust classes",
      """
      A handler receives a setting only if it describes the setting and its trust class may have it. A foreign handler
      has class none until LEADPIPE_TRUST gives it another.
      """, table(["class", "may have", "database login", "built-in handlers"], rows))
  }

  static var logLines: String {
    page(
      .logLines, "Log lines",
      "Operators may search for these lines; their text does not change. Facts such as `requestId=…` follow the text.",
      table(
        ["line", "written by"],
        OperatorLine.all.map { ["`[\($0.level.name)] \($0.text)`", $0.origin] }))
  }

  /// The programs and handlers that read a setting. More than six handlers of one class are only counted.
  private static func readers(of entry: SettingEntry, among handlers: [HostedHandler]) -> String {
    let readers = handlers.filter { handler in
      handler.description.environment.contains { entry.names.contains($0.name) }
    }
    if readers.count == handlers.count { return "all" }
    let byClass = Dictionary(grouping: readers, by: \.trust).sorted { $0.key.rawValue < $1.key.rawValue }
    let names = byClass.map { trust, group in
      group.count > 6
        ? "\(group.count) handlers of class \(trust.rawValue)"
        : group.map(\.description.name).joined(separator: ", ")
    }
    return ([entry.programs] + names).filter { !$0.isEmpty }.joined(separator: ", ")
  }

  private static func page(
    _ page: ReferencePage, _ title: String, _ introduction: String, _ body: String
  ) -> String {
    let command = "leadpipe reference \(page.rawValue)"
    let origin = "Generated from the code. `\(command)` prints it; `make reference` rewrites it."
    return "# \(title)\n\n\(introduction)\n\n\(body)\n\(origin)"
  }

  private static func table(_ heads: [String], _ rows: [[String]]) -> String {
    func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |\n" }
    return line(heads) + "|" + String(repeating: "---|", count: heads.count) + "\n" + rows.map(line).joined()
  }
}
