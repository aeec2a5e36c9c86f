import Contract
import Wire

/// The whole HTTP API as one OpenAPI 3.1 document, generated from the descriptions of the handlers. It reveals nothing
/// that their replies do not.
package enum OpenAPI {
  /// The description of the gateway's own route for this document.
  package static let itself = Description(
    name: "openapi-show", kind: .endpoint, summary: "The OpenAPI 3.1 document of all routes",
    routes: [.init("GET", "/api/openapi.json")], bodyLimit: 0, timeLimitMs: 1000, streams: false, input: .init([:]),
    output: .init([
      "type": "object", "required": ["openapi", "info", "paths"],
      "properties": ["openapi": ["const": "3.1.0"], "info": ["type": "object"], "paths": ["type": "object"]],
    ]))

  /// Returns the document for `handlers` and the gateway's own routes. Steps are not included. An error in a
  /// description affects only that part of its own operation.
  /// - Parameter ours: the names of our own handlers, which follow this product's rules for replies.
  package static func document(
    of handlers: [Description], ours: Set<String>, gateway: [Description] = [itself]
  ) -> JSON {
    var paths = OpenAPIPaths(ours: ours)
    for description in handlers where description.kind == .endpoint { paths.add(description, hasProcess: true) }
    for description in gateway { paths.add(description, hasProcess: false) }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Leadpipe", "version": .string(Build.version),
        "summary": "Lead capture for a property agency: the API for the website, the chatbot and the admin panel",
      ],
      "servers": [["url": "/"]],
      "tags": .array(paths.families.sorted().map { ["name": .string($0)] }),
      "paths": paths.document, "components": OpenAPIComponents.document,
    ]
  }
}

/// The paths of the document while it is being built.
struct OpenAPIPaths {
  private let ours: Set<String>
  private var paths: [(path: String, operations: [JSON.Member])] = []
  /// The first path of each shape. In OpenAPI, two paths that differ only in parameter names are the same path.
  private var spoken: [String: Int] = [:]
  private var operationIDs: Set<String> = []
  private(set) var families: Set<String> = []

  init(ours: Set<String>) { self.ours = ours }

  /// Sorted by path, so the same handlers always give the same document.
  var document: JSON {
    .object(paths.sorted { $0.path < $1.path }.map { JSON.Member($0.path, .object($0.operations)) })
  }

  /// Adds an operation for each route. HEAD is left out because GET implies it.
  mutating func add(_ description: Description, hasProcess: Bool) {
    for route in description.routes where route.method != "HEAD" {
      let shape = Self.segments(route.path).map { Self.parameter($0) == nil ? String($0) : "{}" }.joined(separator: "/")
      let index = spoken[shape] ?? paths.count
      if index == paths.count {
        paths.append((route.path, []))
        spoken[shape] = index
      }
      let operation = OpenAPIOperation(
        description: description, method: route.method,
        parameters: Self.segments(paths[index].path).compactMap(Self.parameter),
        id: operationID(description.name), family: family(description.name), hasProcess: hasProcess,
        isOurs: !hasProcess || ours.contains(description.name))
      paths[index].operations.append(.init(route.method.lowercased(), operation.document))
    }
  }

  private static func segments(_ path: String) -> [Substring] { path.split(separator: "/") }

  private static func parameter(_ segment: Substring) -> String? {
    segment.hasPrefix("{") && segment.hasSuffix("}") ? String(segment.dropFirst().dropLast()) : nil
  }

  /// Returns the handler's name, with a number appended from its second route on.
  private mutating func operationID(_ name: String) -> String {
    var number = 1
    var id = name
    while !operationIDs.insert(id).inserted {
      number += 1
      id = "\(name)-\(number)"
    }
    return id
  }

  /// Returns the noun of a noun-verb name.
  private mutating func family(_ name: String) -> String {
    let family = String(name.prefix { $0 != "-" })
    families.insert(family)
    return family
  }
}
