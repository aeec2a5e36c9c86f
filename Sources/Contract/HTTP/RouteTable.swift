/// The methods that a route may have.
package enum RouteMethods {
  package static let all: Set<String> = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
}

/// Why a list of routes is invalid.
package struct InvalidRoutes: Error { package let reason: String }

/// The fixed table of routes. A request's path is compared with it segment by segment, and has no other effect.
package struct RouteTable<Target: Sendable>: Sendable {
  /// The route of a request, with the values of the route's parameters.
  package struct Match: Sendable {
    package let route: Description.Route
    package let target: Target
    package let parameters: [String: String]
  }

  package enum Lookup: Sendable {
    case found(Match)
    /// The path exists, but only with the methods of `allow`.
    case otherMethod(allow: [String])
    case none
  }

  private struct RouteEntry: Sendable {
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

  private var entries: [RouteEntry] = []

  package var count: Int { entries.count }

  /// Creates a table of routes and their targets. Throws if a route is malformed or two routes match the same requests.
  package init(_ routes: [(Description.Route, Target)]) throws(InvalidRoutes) {
    for (route, target) in routes {
      let parts = route.path.dropFirst().split(separator: "/", omittingEmptySubsequences: route.path == "/")
      let segments = parts.compactMap { Segment($0) }
      guard segments.count == parts.count else { throw InvalidRoutes(reason: "\(route.key) is not a valid route") }
      let entry = RouteEntry(route: route, segments: segments, target: target)
      if let twin = entries.first(where: { $0.route.method == route.method && Self.shape($0) == Self.shape(entry) }) {
        throw InvalidRoutes(reason: "\(route.key) and \(twin.route.key) are the same route")
      }
      entries.append(entry)
    }
    // An exact segment sorts before a parameter in the same place.
    let rank = { (entry: RouteEntry) in entry.segments.map { $0.isParameter ? 1 : 0 } }
    entries.sort { rank($0).lexicographicallyPrecedes(rank($1)) }
  }

  private static func shape(_ entry: RouteEntry) -> [String] {
    entry.segments.map { if case .exact(let text) = $0 { text } else { "{}" } }
  }

  /// Finds the route of a request. HEAD uses the route of GET if it has none of its own.
  package func match(_ method: String, _ path: RequestPath) -> Lookup {
    var fitting = entries.compactMap { entry in Self.parameters(of: path, in: entry.segments).map { (entry, $0) } }
    // Only the most exact path counts. The methods of less exact ones are ignored.
    if let shape = fitting.first.map({ Self.shape($0.0) }) { fitting.removeAll { Self.shape($0.0) != shape } }
    for wanted in method == "HEAD" ? ["HEAD", "GET"] : [method] {
      if let (entry, parameters) = fitting.first(where: { $0.0.route.method == wanted }) {
        return .found(Match(route: entry.route, target: entry.target, parameters: parameters))
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
