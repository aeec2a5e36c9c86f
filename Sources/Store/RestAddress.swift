import Wire

/// The REST interface of a Supabase project, PostgREST, and the key with which functions are called there.
package struct RestAddress: Sendable, Equatable {
  /// The address of the calls; the name of a function follows.
  let calls: String
  let isLoopback: Bool
  /// The lines with the key. A token (`eyJ…`) is sent as Bearer too; a key of the newer kind (`sb_secret_…`) is not,
  /// because PostgREST would take it for a token and refuse it.
  let headers: [String]

  /// Nil if `project` is no address, or would send the key unencrypted to another machine. `key` must consist of visible
  /// ASCII characters.
  package init?(project: String, key: String) {
    guard let address = WebAddress(project), address.isSecure || address.isLoopback else { return nil }
    var base = address.text
    while base.hasSuffix("/") { base.removeLast() }
    calls = base + "/rest/v1/rpc/"
    isLoopback = address.isLoopback
    headers = ["apikey: \(key)"] + (key.hasPrefix("eyJ") ? ["Authorization: Bearer \(key)"] : [])
  }
}
