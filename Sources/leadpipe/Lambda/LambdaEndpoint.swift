import Contract
import Host
import Wire

/// The function of an endpoint.
struct LambdaEndpoint {
  /// The HTTP API ends a request after this time, in seconds.
  private static let longestRequest = 30
  /// What a function gets beyond its own time limit, in seconds: a cold start, and posting the reply.
  private static let margin = 5
  /// In MiB. The processor's share grows with it: below this size a cold start's login at the database takes long.
  private static let memory = 256

  let handler: HostedHandler

  var description: Description { handler.description }
  /// The name of its resource: `LeadCapture`.
  var resource: String { LambdaNames.capitalized(description.name) }
  /// Its own settings, and those that a gateway would have for it.
  var settings: [String] { (description.environment + EndpointServer.settings).map(\.name) }

  init(_ handler: HostedHandler) { self.handler = handler }

  func function(_ events: JSON) -> JSON {
    let seconds = (description.timeLimitMs + 999) / 1000 + Self.margin
    return [
      "Type": "AWS::Serverless::Function",
      "Properties": [
        // The executable is named bootstrap, and may serve several handlers: this is the name of the one.
        "Handler": .string(description.name),
        "FunctionName": ["Fn::Sub": .string("${AWS::StackName}-\(description.name)")],
        "Description": .string(description.summary),
        "CodeUri": .string("../../.build/lambda/\(description.name).zip"),
        "MemorySize": JSON(Self.memory), "Timeout": JSON(min(seconds, Self.longestRequest)),
        "Role": ["Fn::GetAtt": [.string(LambdaNames.role(of: handler.trust)), "Arn"]],
        "LoggingConfig": ["LogGroup": ["Ref": .string(LambdaNames.logs(of: handler.trust))]],
        "Environment": ["Variables": LambdaSettings.environment(settings, of: handler.trust)],
        "Events": events,
      ],
    ]
  }
}

/// The routes of the HTTP API. Each path has a route for each of its methods, and for all other methods one that leads
/// to one of its functions, which refuses them. All other paths lead to the function of /health, which replies 404.
struct LambdaRoutes {
  private let owners: [String: String]

  init(_ endpoints: [LambdaEndpoint]) {
    var owners: [String: String] = [:]
    for endpoint in endpoints.sorted(by: { $0.description.name < $1.description.name }) {
      for route in endpoint.description.routes where owners[route.path] == nil {
        owners[route.path] = endpoint.description.name
      }
    }
    self.owners = owners
  }

  func events(of endpoint: LambdaEndpoint) -> JSON {
    var events: [JSON.Member] = []
    func add(_ method: String, _ path: String) {
      events.append(
        .init(
          "Route\(events.count + 1)",
          [
            "Type": "HttpApi",
            "Properties": ["ApiId": ["Ref": "Api"], "Method": .string(method), "Path": .string(path)],
          ]))
    }
    var complete: Set<String> = []
    for route in endpoint.description.routes {
      add(route.method, route.path)
      if route.method == "GET" { add("HEAD", route.path) }
      if owners[route.path] == endpoint.description.name, complete.insert(route.path).inserted {
        add("ANY", route.path)
      }
    }
    if endpoint.description.routes.contains(where: { $0.path == "/health" }) {
      events.append(
        .init(
          "OtherPaths",
          ["Type": "HttpApi", "Properties": ["ApiId": ["Ref": "Api"], "Path": "$default", "Method": "ANY"]]))
    }
    return .object(events)
  }
}
