import Handler

/// The fixed table of routes: a path is compared with it, segment by segment, and never becomes anything else.
struct RouteTable<Target: Sendable>: Sendable {
  /// A route that answers a request, and what its braces stand for there.
  struct Found: Sendable {
    let route: Description.Route
    let target: Target
    let parameters: [String: String]
  }

  enum Match: Sendable {
    case found(Found)
    /// The path exists; `allow` lists its methods.
    case otherMethod(allow: [String])
    case none
  }

  /// Why no table can be made of these routes.
  struct Failure: Error { let reason: String }

  private struct Entry: Sendable {
    let route: Description.Route
    let segments: [Segment]
    let target: Target
  }

  private enum Segment: Sendable, Equatable {
    case exact(String)
    case parameter(String)

    init?(_ text: Substring) {
      let isParameter = text.hasPrefix("{") && text.hasSuffix("}")
      let name = isParameter ? text.dropFirst().dropLast() : text
      guard !name.isEmpty, !name.contains(where: { $0 == "{" || $0 == "}" }) else { return nil }
      self = isParameter ? .parameter(String(name)) : .exact(String(name))
    }

    var isParameter: Bool { if case .parameter = self { true } else { false } }
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }

  /// Takes every route with its target. Refuses one that is malformed, and two that mean the same requests.
  init(_ routes: [(Description.Route, Target)]) throws(Failure) {
    for (route, target) in routes {
      let parts = route.path.dropFirst().split(separator: "/", omittingEmptySubsequences: route.path == "/")
      let segments = parts.compactMap { Segment($0) }
      guard segments.count == parts.count else { throw Failure(reason: "\(route.key) is no route") }
      let entry = Entry(route: route, segments: segments, target: target)
      if let twin = entries.first(where: { $0.route.method == route.method && Self.shape($0) == Self.shape(entry) }) {
        throw Failure(reason: "\(route.key) and \(twin.route.key) are the same route")
      }
      entries.append(entry)
    }
    // An exact segment goes before a parameter in the same place.
    let rank = { (entry: Entry) in entry.segments.map { $0.isParameter ? 1 : 0 } }
    entries.sort { rank($0).lexicographicallyPrecedes(rank($1)) }
  }

  private static func shape(_ entry: Entry) -> [String] {
    entry.segments.map { if case .exact(let text) = $0 { text } else { "{}" } }
  }

  /// The route of a request. HEAD falls to GET where it has no route of its own.
  func match(_ method: String, _ path: RequestPath) -> Match {
    var fitting = entries.compactMap { entry in Self.parameters(of: path, in: entry.segments).map { (entry, $0) } }
    // What the most exact path does not answer, a less exact one does not either.
    if let shape = fitting.first.map({ Self.shape($0.0) }) { fitting.removeAll { Self.shape($0.0) != shape } }
    for wanted in method == "HEAD" ? ["HEAD", "GET"] : [method] {
      if let (entry, parameters) = fitting.first(where: { $0.0.route.method == wanted }) {
        return .found(Found(route: entry.route, target: entry.target, parameters: parameters))
      }
    }
    guard !fitting.isEmpty else { return .none }
    var allow = Set(fitting.map(\.0.route.method)).union(["OPTIONS"])
    if allow.contains("GET") { allow.insert("HEAD") }
    return .otherMethod(allow: allow.sorted())
  }

  private static func parameters(of path: RequestPath, in segments: [Segment]) -> [String: String]? {
    guard path.segments.count == segments.count else { return nil }
    var parameters: [String: String] = [:]
    for (segment, part) in zip(segments, path.segments) {
      switch segment {
      case .exact(let text): guard text == part.raw else { return nil }
      case .parameter(let name):
        guard !part.decoded.isEmpty else { return nil }
        parameters[name] = part.decoded
      }
    }
    return parameters
  }
}
