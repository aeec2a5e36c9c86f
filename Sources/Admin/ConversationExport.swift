import Contract
import Exports
import Forms
import Glibc
import Leads
import Store
import StoreAccess
import Wire

/// The export of conversations: the rows of the list with the same filters and order, all of them, as a file.
package enum ConversationExport {
  /// How long one export may take, in seconds.
  private static let seconds = 120

  private static let format = Field.required("format", Rule<ExportFormat>.exportFormat)
  private static let with = Field.optional("with", .choices(ExportedConversation.further))
  private static let form = Form([format, with] + ConversationSearch.exportFields)

  package static func handler(named name: String) -> Handler {
    Handler(description(name).withFollowingBody) { settings throws(Problem) in
      // Its rows come from a cursor, which lives in a session.
      try Database.requireSession(settings, "exports need a session with the database")
      let database = AdminDatabase(settings)
      let hours = try OfficeHours(settings)
      return { request, log throws(Problem) in
        var checked = CheckedForm()
        var zone = ""
        let read = { () throws(Problem) -> JSON in
          checked = try Self.read(request)
          try Self.check(checked, request)
          let argument = try ConversationSearch.withTimeZone(
            .init(values: checked, request: request, settings: settings))
          zone = argument["timeZone"]?.string ?? ""
          return argument.removing(format.name)
            .setting("messagesAs", checked[format] == .xlsx ? "rows" : "text")
            .setting("warnBefore", AdminEndpoint.warnBefore(request.receivedAt, hours))
        }
        try database.check(request, log: log, reading: read)
        // Only for a caller who may export, because it can load libraries.
        try Self.checkAvailable(checked[format], log)
        guard request.method != "HEAD" else {
          // Nothing is exported, so nothing is indexed, and the audit log gets no entry.
          return Reply(headers: headers(checked[format], request, unindexed: 0), following: nil)
        }
        let exporting = Database.forLongQuery(settings, seconds: seconds)
        let (rows, prepared) = try database.openExport(for: request, from: exporting, log: log, reading: read)
        let chosen = checked[format]
        let unindexed = prepared["unindexed"]?.integer ?? 0
        log.info(
          "Exporting conversations",
          [
            "by": prepared["by"]?.string ?? "", "format": chosen.rawValue,
            "filters": checked.document.members?.map(\.key).joined(separator: ",") ?? "",
            "unindexed": String(unindexed),
          ])
        let task = ExportTask(
          rows: rows, columns: ExportedConversation.columns, withMessages: checked[with]?.isEmpty == false,
          zone: zone, database: exporting, showsProgress: request.isBare, log: log)
        let headers = headers(chosen, request, unindexed: unindexed)
        let filters = checked.document.removing(format.name).removing(with.name)
        let words = ExportWords(filters: filters, zone: zone, at: request.receivedAt)
        let body = try task.body(chosen, folder: settings.exportFolder, words: words)
        return Reply(headers: headers, following: body)
      }
    }
  }

  private static func description(_ name: String) -> Description {
    let path = "/api/admin/conversations/export"
    return Description(
      name: name, kind: .endpoint, summary: "Exports all conversations that match the filters, as a file",
      routes: [.init("POST", path), .init("GET", path)], access: .admin, rateClass: "export", bodyLimit: 65_536,
      timeLimitMs: seconds * 1000,
      environment: AdminDatabase.settings + OfficeHours.settings + [.exportFolder],
      input: .init(form.schema, query: form.querySchema),
      output: .init(
        ["type": "string"], types: ExportFormat.allCases.map(\.mediaType),
        headers: AdminEndpoint.uncached([
          "properties": [
            "Content-Disposition": ["type": "string"],
            "X-Unindexed": [
              "type": "integer",
              "description": "the number of changed conversations that the query could not find yet, if there are any",
            ],
          ]
        ])))
  }

  /// Reads the parameters: of a POST from its body, of a GET from its query.
  private static func read(_ request: Request) throws(Problem) -> CheckedForm {
    let isPost = request.method == "POST"
    var errors = (isPost ? Form([]) : form).unknownParameters(in: request.query)
    let document = request.isBare || isPost ? try request.json() : form.document(query: request.query)
    do throws(FormError) {
      let checked = try form.check(document)
      if errors.isEmpty { return checked }
    } catch { errors.add(error) }
    throw Problem(errors)
  }

  /// Checks what a form cannot: whether this reader can have the format with these parts.
  private static func check(_ checked: CheckedForm, _ request: Request) throws(Problem) {
    let chosen = checked[format]
    if chosen == .pdf, checked[with]?.isEmpty == false {
      throw Problem(
        FormError(fields: [.init(.notInThisFormat, at: with.name, ["format": "pdf", "choices": "csv or xlsx"])]))
    }
    // A person's terminal would run what the file happens to contain.
    if request.isBare, chosen.isBinary, isatty(1) == 1 { throw Problem(.replyIsBinary) }
  }

  /// Checks whether this server can write the format.
  private static func checkAvailable(_ chosen: ExportFormat, _ log: Log) throws(Problem) {
    guard let obstacle = chosen.obstacle else { return }
    log.warn("A format of exports is not available", ["format": chosen.rawValue, "reason": obstacle])
    let others = ExportFormat.allCases.filter { $0.obstacle == nil }.map(\.rawValue).joined(separator: ", ")
    let arguments: MessageArguments = ["format": chosen.rawValue, "reason": obstacle, "choices": others]
    throw Problem(FormError(fields: [.init(.formatUnavailable, at: format.name, arguments)]))
  }

  private static func headers(_ format: ExportFormat, _ request: Request, unindexed: Int) -> [String: String] {
    let name = "conversations-\(request.receivedAt.milliseconds).\(format.rawValue)"
    let headers = [
      "content-type": format.contentType, "content-disposition": "attachment; filename=\"\(name)\"",
      "cache-control": "no-store", "x-content-type-options": "nosniff",
    ]
    return unindexed == 0 ? headers : headers.merging(["x-unindexed": String(unindexed)]) { $1 }
  }
}

extension ExportFormat: FormValue {
  package var document: JSON { .string(rawValue) }
}

extension Rule where Value == ExportFormat {
  static var exportFormat: Rule {
    let words = ExportFormat.allCases.map(\.rawValue)
    return Rule(["type": "string", "enum": .array(words.map(JSON.string))]) { json, error in
      ExportFormat(rawValue: json.string ?? "")
        ?? error.refuse(.invalidChoice, ["choices": words.joined(separator: ", ")])
    }
  }
}
