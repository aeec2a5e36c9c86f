import Wire

/// The contents of a dump in pg_dump's custom format.
struct Archive {
  /// When it was made, such as `2026-11-29 11:37:01 UTC`.
  let createdAt: String
  /// The major version of the server that it was made from; 0 if the dump does not say.
  let server: Int
  /// The lines of its table of contents.
  private let entries: [Entry]
  private let file: String
  private let program: PostgresClient

  /// The schemas that belong to Leadpipe or that it shares.
  static let schemas = ["public", "leadpipe", "supabase_migrations"]

  /// An entry: `4072; 2606 17956 FK CONSTRAINT leadpipe admin_logins admin_logins_key_id_fkey postgres`.
  private struct Entry {
    let line: Substring
    /// `FK CONSTRAINT`.
    let kind: String
    /// `leadpipe`; `-` for what belongs to no schema.
    let schema: Substring
    /// `admin_logins admin_logins_key_id_fkey postgres`.
    let rest: String

    init?(_ line: Substring) {
      guard line.first != ";" else { return nil }
      let words = line.split(separator: " ").dropFirst(3)
      let kind = words.prefix { $0.utf8.allSatisfy { 0x41...0x5A ~= $0 } }
      guard let schema = words.dropFirst(kind.count).first else { return nil }
      self.line = line
      self.kind = kind.joined(separator: " ")
      self.schema = schema
      rest = words.dropFirst(kind.count + 1).joined(separator: " ")
    }
  }

  /// Reads the table of contents. Throws if the file is no such dump, or no dump of Leadpipe's tables.
  init(_ file: String, _ program: PostgresClient) throws {
    var text: [UInt8] = []
    try ClientProcess(program, ["--list", file]).read(until: .steady.adding(seconds: 300)) { text += $0 }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    func value(_ name: String) -> String {
      lines.lazy.compactMap { line in line.firstRange(of: name).map { String(line[$0.upperBound...]) } }.first ?? ""
    }
    // The reason of each held notification contains this text, so it has harmless characters only.
    createdAt = value("Archive created at ").filter {
      $0.isASCII && ($0.isLetter || $0.isNumber || " :+-".contains($0))
    }
    server = Int(value("Dumped from database version: ").prefix { $0.isNumber }) ?? 0
    entries = lines.compactMap(Entry.init)
    self.file = file
    self.program = program
    guard value("Format: ") == "CUSTOM" else {
      throw CommandError("\(file) is not in pg_dump's custom format: it was not made by `leadpipe backup`")
    }
    for (schema, table) in [("public", "conversations"), ("supabase_migrations", "schema_migrations")] {
      guard
        entries.contains(where: { $0.kind == "TABLE DATA" && $0.schema == schema && $0.rest.hasPrefix(table + " ") })
      else { throw CommandError("\(file) has no table \(schema).\(table): it is not a backup of Leadpipe") }
    }
  }

  /// Reads the whole file, as a restore does, and checks the compressed data.
  func verify(until deadline: Instant) throws {
    try ClientProcess(program, ["--file=/dev/null", file]).read(until: deadline) { _ in }
  }

  /// Returns the versions in its ledger of migrations, each with whether the migration is one of Leadpipe's.
  func versions(until deadline: Instant) throws -> [(version: String, isOurs: Bool)] {
    var found: [(String, Bool)] = []
    var column: Int?
    try lines(
      ["--data-only", "--schema=supabase_migrations", "--table=schema_migrations"], until: deadline
    ) { line in
      if line.hasPrefix("COPY supabase_migrations.schema_migrations (") {
        let names = line.split(separator: "(")[1].split(separator: ")")[0].split(separator: ",")
        column = names.firstIndex { $0.drop { $0 == " " } == "version" }
      } else if line == "\\." {
        column = nil
      } else if let column {
        let values = line.split(separator: "\t", omittingEmptySubsequences: false)
        if values.count > column { found.append((String(values[column]), line.contains("leadpipe."))) }
      }
    }
    return found
  }

  /// The foreign keys that refer to tables outside of the dump, such as `auth.users`, as statements, with the ends of
  /// their entries. The rows that they refer to may not be there.
  func outwardKeys(until deadline: Instant) throws -> [(entry: String, statement: String)] {
    var keys: [(String, String)] = []
    var table = ""
    try lines(["--section=post-data", "--no-owner"], until: deadline) { line in
      // Without ONLY for a partitioned table.
      for beginning in ["ALTER TABLE ", "ALTER TABLE ONLY "] where line.hasPrefix(beginning) {
        table = String(line.dropFirst(beginning.count))
      }
      guard line.hasPrefix("    ADD CONSTRAINT "), let start = line.firstRange(of: " REFERENCES ")?.upperBound,
        !Self.schemas.contains(where: { line[start...].hasPrefix($0 + ".") })
      else { return }
      var words = Self.identifiers(table[...])
      words += Self.identifiers(line.dropFirst("    ADD CONSTRAINT ".count)).prefix(1)
      keys.append((words.joined(separator: " "), "ALTER TABLE \(table) \(line.drop { $0 == " " })"))
    }
    return keys
  }

  /// Returns the table of contents for `pg_restore --use-list`, with what a restore creates.
  func list(without keys: [String]) -> String {
    entries.filter { entry in
      if ["DEFAULT ACL", "EVENT TRIGGER", "EXTENSION", "PUBLICATION", "PUBLICATION TABLE"].contains(entry.kind) {
        return false
      }
      // Schemas, their comments and rights. Those of public are the database's own.
      if entry.schema == "-" {
        let name = entry.rest.hasPrefix("SCHEMA ") ? entry.rest.dropFirst("SCHEMA ".count) : entry.rest[...]
        return ["SCHEMA", "ACL", "COMMENT"].contains(entry.kind) && name.hasPrefix("leadpipe ")
      }
      guard Self.schemas.contains(String(entry.schema)) else { return false }
      return entry.kind != "FK CONSTRAINT" || !keys.contains { "\(entry.schema) \(entry.rest) ".hasPrefix($0 + " ") }
    }.map { $0.line + "\n" }.joined()
  }

  /// Starts pg_restore, which writes the SQL of one section (`pre-data`, `data`, `post-data`) to its stdout.
  func script(of section: String) throws -> ClientProcess {
    try ClientProcess(
      program, ["--file=-", "--no-owner", "--section=\(section)", "--use-list=/dev/stdin", file])
  }

  /// Runs pg_restore and passes each line of its output.
  private func lines(_ arguments: [String], until deadline: Instant, _ take: (Substring) -> Void) throws {
    var rest: [UInt8] = []
    try ClientProcess(program, ["--file=-"] + arguments + [file]).read(until: deadline) { bytes in
      rest += bytes
      guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return }
      for line in String(decoding: rest[..<end], as: UTF8.self).split(separator: "\n") { take(line) }
      rest = Array(rest[(end + 1)...])
    }
  }

  /// Reads `public."two words"` as the names that the table of contents has.
  private static func identifiers(_ text: Substring) -> [String] {
    var names: [String] = []
    var name = ""
    var isQuoted = false
    for character in text {
      if character == "\"" {
        isQuoted.toggle()
      } else if !isQuoted, character == "." || character == " " {
        names.append(name)
        name = ""
      } else {
        name.append(character)
      }
    }
    return names + (name.isEmpty ? [] : [name])
  }
}
