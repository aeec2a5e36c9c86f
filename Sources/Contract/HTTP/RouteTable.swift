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

  private let routes: RouteIndex
  private let targets: [Target]

  package var count: Int { targets.count }

  /// Creates a table of routes and their targets. Throws if a route is malformed or two routes match the same requests.
  package init(_ routes: [(Description.Route, Target)]) throws(InvalidRoutes) {
    self.routes = try RouteIndex(routes.map(\.0))
    targets = routes.map(\.1)
  }

  /// Finds the route of a request. HEAD uses the route of GET if it has none of its own.
  package func match(_ method: String, _ path: RequestPath) -> Lookup {
    switch routes.match(method, path) {
    case .found(let entry, let parameters):
      .found(Match(route: entry.route, target: targets[entry.number], parameters: parameters))
    case .otherMethod(let allow): .otherMethod(allow: allow)
    case .none: .none
    }
  }
}

/// The search of a table of routes. It is not generic, because the code of a generic type that another module uses is
/// not specialised: the same search over the targets took a third of the gateway's instructions.
private struct RouteIndex: Sendable {
  enum Lookup {
    case found(RouteEntry, parameters: [String: String])
    case otherMethod(allow: [String])
    case none
  }

  struct RouteEntry: Sendable {
    /// The position of the route in the list that was given.
    let number: Int
    let route: Description.Route
    let segments: [Segment]

    var shape: [String] { segments.map { if case .exact(let text) = $0 { text } else { "{}" } } }
  }

  enum Segment: Sendable, Equatable {
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

  init(_ routes: [Description.Route]) throws(InvalidRoutes) {
    for (number, route) in routes.enumerated() {
      let parts = route.path.dropFirst().split(separator: "/", omittingEmptySubsequences: route.path == "/")
      let segments = parts.compactMap { Segment($0) }
      guard segments.count == parts.count else { throw InvalidRoutes(reason: "\(route.key) is not a valid route") }
      let entry = RouteEntry(number: number, route: route, segments: segments)
      if let twin = entries.first(where: { $0.route.method == route.method && $0.shape == entry.shape }) {
        throw InvalidRoutes(reason: "\(route.key) and \(twin.route.key) are the same route")
      }
      entries.append(entry)
    }
    // An exact segment sorts before a parameter in the same place.
    let rank = { (entry: RouteEntry) in entry.segments.map { $0.isParameter ? 1 : 0 } }
    entries.sort { rank($0).lexicographicallyPrecedes(rank($1)) }
  }

  func match(_ method: String, _ path: RequestPath) -> Lookup {
    var fitting = entries.filter { Self.fits(path, $0.segments) }
    // Only the most exact path counts. The methods of less exact ones are ignored.
    if let shape = fitting.first?.shape { fitting.removeAll { $0.shape != shape } }
    for wanted in method == "HEAD" ? ["HEAD", "GET"] : [method] {
      if let entry = fitting.first(where: { $0.route.method == wanted }) {
        return .found(entry, parameters: Self.parameters(of: path, in: entry.segments))
      }
    }
    guard !fitting.isEmpty else { return .none }
    var allow = Set(fitting.map(\.route.method)).union(["OPTIONS"])
    if allow.contains("GET") { allow.insert("HEAD") }
    return .otherMethod(allow: allow.sorted())
  }

  private static func fits(_ path: RequestPath, _ segments: [Segment]) -> Bool {
    path.segments.count == segments.count
      && zip(segments, path.segments).allSatisfy { segment, part in
        switch segment {
        case .exact(let text): text == part.raw
        case .parameter: !part.decoded.isEmpty
        }
      }
  }

  private static func parameters(of path: RequestPath, in segments: [Segment]) -> [String: String] {
    var parameters: [String: String] = [:]
    for (segment, part) in zip(segments, path.segments) {
      if case .parameter(let name) = segment { parameters[name] = part.decoded }
    }
    return parameters
  }
}
