/// What a setting's value refers to. A process that gets the setting must be able to reach it.
package enum Destination: Sendable, Equatable {
  /// The value is an http or https address.
  case webAddress
  /// The value is the key of a web service. The service is at its usual address unless the setting `address` overrides
  /// it.
  case webService(address: String)
  /// The value is a server's host name. Its port is in the setting `port` and defaults to `standard`.
  case server(port: String, standard: Int)
  /// The value is a postgresql:// URL.
  case database
  /// The value is the path of a Unix socket.
  case unixSocket
  /// The value is the absolute path of a file that the process reads, or else what such a file would contain.
  case file
  /// The value is the path of the folder for temporary files of exports.
  case exportFolder
}
