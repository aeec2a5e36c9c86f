/// Whom a process must be able to reach.
package struct Reach: Sendable, Equatable {
  /// TCP ports, on any host.
  package var ports: [Int]
  /// Whether it must make unix sockets.
  package var hasLocalSockets: Bool
  /// Files that it reads on the way.
  package var files: [String]

  /// Nobody, unless something is said.
  package init(ports: [Int] = [], hasLocalSockets: Bool = false, files: [String] = []) {
    self.ports = ports
    self.hasLocalSockets = hasLocalSockets
    self.files = files
  }
}
