import Contract
import Wire

/// The whole HTTP interface as one OpenAPI 3.1 document, made from what the handlers say of themselves. It tells
/// nothing that their replies would not.
package enum OpenAPI {
  /// The route under which the gateway serves it, described like a handler's.
  package static let itself = Description(
    name: "openapi-show", kind: .endpoint, summary: "This document: every route, in OpenAPI 3.1",
    routes: [.init("GET", "/api/openapi.json")], bodyLimit: 0, timeLimitMs: 1000, streams: false, input: .init([:]),
    output: .init([
      "type": "object", "required": ["openapi", "info", "paths"],
      "properties": ["openapi": ["const": "3.1.0"], "info": ["type": "object"], "paths": ["type": "object"]],
    ]))

  /// The document of these handlers, and of what the gateway answers itself. Steps are not part of it. An error in a
  /// description costs its own operation a detail and nothing else.
  /// - Parameter ours: the names of the handlers that belong to this product; they keep its rules for replies.
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
        "summary": "Lead capture for a property agency: what website, chatbot and admin panel may ask",
      ],
      "servers": [["url": "/"]],
      "tags": .array(paths.families.sorted().map { ["name": .string($0)] }),
      "paths": paths.document, "components": OpenAPIComponents.document,
    ]
  }
}

/// The paths of the document while they are collected.
struct OpenAPIPaths {
  private let ours: Set<String>
  private var paths: [(path: String, operations: [JSON.Member])] = []
  /// The path that stands for all of one shape: to OpenAPI two that differ only in names of parameters are the same.
  private var spoken: [String: Int] = [:]
  private var operationIDs: Set<String> = []
  private(set) var families: Set<String> = []

  init(ours: Set<String>) { self.ours = ours }

  /// By their text, so that the same handlers always give the same document.
  var document: JSON {
    .object(paths.sorted { $0.path < $1.path }.map { JSON.Member($0.path, .object($0.operations)) })
  }

  /// Adds an operation for each route. HEAD goes without saying where there is GET.
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

  /// The handler's name; with a number behind it from its second route on.
  private mutating func operationID(_ name: String) -> String {
    var number = 1
    var id = name
    while !operationIDs.insert(id).inserted {
      number += 1
      id = "\(name)-\(number)"
    }
    return id
  }

  /// The noun of noun-verb.
  private mutating func family(_ name: String) -> String {
    let family = String(name.prefix { $0 != "-" })
    families.insert(family)
    return family
  }
}
