/// What a process must be able to reach.
package struct Reach: Sendable, Equatable {
  /// TCP ports, on any host.
  package var ports: [Int]
  /// True if it must create Unix sockets.
  package var hasLocalSockets: Bool
  /// Files that it reads, such as certificates.
  package var files: [String]
  /// The folder for temporary files, if it makes files with libraries and fonts of the system: exports.
  package var folder: String?

  /// Reaches nothing by default.
  package init(ports: [Int] = [], hasLocalSockets: Bool = false, files: [String] = []) {
    self.ports = ports
    self.hasLocalSockets = hasLocalSockets
    self.files = files
  }
}
