import Store

/// What a failure of the database means for a backup or a restore.
enum BackupFailure {
  static func translating<R>(_ url: String, _ body: () throws(StoreFailure) -> R) throws -> R {
    do throws(StoreFailure) { return try body() } catch {
      switch error {
      case .unavailable(let reason): throw CommandError("the database is unavailable: \(reason)")
      case .timedOut: throw CommandError("the database did not respond in time")
      case .refused("0A000", let message, _):
        throw CommandError("\(message): set DATABASE_URL_DIRECT to the database's own address")
      case .refused("3F000", let message, _): throw CommandError(message)
      case .refused("42501", let message, _):
        throw CommandError("\(message): use the login of the database's owner, with which it was migrated")
      case .refused(let state, let message, _): throw CommandError("the database reported error \(state): \(message)")
      }
    }
  }
}
