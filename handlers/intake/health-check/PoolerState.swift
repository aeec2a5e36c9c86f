import Contract
import Store
import StoreAccess

/// The pooler between this process and the database.
enum PoolerState: String, CaseIterable {
  case none, up, away

  /// - Parameter database: after a call. A pooler that replies is up, even if the database behind it is not.
  init(_ settings: Settings, _ database: Database) {
    if settings["POOLER"] == "on" {
      self = database.hasReply ? .up : .away
    } else {
      self = database.isPooled ? .up : .none
    }
  }
}
