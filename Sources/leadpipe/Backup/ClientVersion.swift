import Wire

extension PostgresClient {
  /// Throws if the program is older than the server, because an old pg_dump does not know what a new server has.
  func require(atLeast server: Int) throws {
    let version = try majorVersion()
    guard version >= server else {
      throw CommandError(
        "\(path) is of PostgreSQL \(version), but the server is \(server): put \(name) \(server) or later first in PATH "
          + "(Debian: postgresql-client-\(server))")
    }
  }

  /// Returns the major version that the program reports.
  private func majorVersion() throws -> Int {
    var text: [UInt8] = []
    try ClientProcess(self, ["--version"]).read(until: .steady.adding(seconds: 20)) { text += $0 }
    let version = String(decoding: text, as: UTF8.self)
    guard let start = version.firstRange(of: "(PostgreSQL) ")?.upperBound,
      let major = Int(version[start...].prefix { $0.isNumber })
    else { throw CommandError("\(path) --version does not name a version of PostgreSQL: \(version.prefix(200))") }
    return major
  }
}
