import Synchronization

/// Counts the bytes of replies that wait in the gateway because clients do not read them. One reply of each connection
/// can wait, and a large list has megabytes.
final class UnsentBytes: Sendable {
  /// For all connections together. Beyond the first, clients that do not read lose their connection within seconds;
  /// beyond the second, at once.
  static let high = 16_777_216
  static let limit = 3 * high

  private let total = Atomic(0)

  var isHigh: Bool { total.load(ordering: .relaxed) > Self.high }

  /// Replaces the number of one connection. False if there are too many and this one has more than before.
  func change(from old: inout Int, to new: Int) -> Bool {
    let added = new - old
    old = new
    return added == 0 || total.add(added, ordering: .relaxed).newValue <= Self.limit || added < 0
  }
}
