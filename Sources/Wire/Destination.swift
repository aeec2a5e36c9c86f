/// Where the value of a setting leads: a process that is given the setting must be able to reach that place.
package enum Destination: Sendable, Equatable {
  /// The http or https address that the value is.
  case webAddress
  /// A web service that the value is a key of: at its usual address, unless the setting `address` names another.
  case webService(address: String)
  /// The server that the value names, at the port in the setting `port`, or at `standard` where that is not set.
  case server(port: String, standard: Int)
  /// The database of a postgresql:// URL.
  case database
  /// A unix socket.
  case unixSocket
}
