import Handler
import Host
import NIOCore
import Wire

/// GET /api/openapi.json, which no handler could answer, because none may ask the others what they are: a reply that is
/// made with the set of handlers and lives as long.
struct OpenAPIEndpoint: ProcessSource {
  private let reply: Reply

  private init(_ handlers: [HostedHandler]) {
    reply = Reply(OpenAPI.document(of: handlers.map(\.description)))
  }

  /// The route with what it leads to.
  static func route(over handlers: [HostedHandler]) -> [(Description.Route, Endpoint)] {
    let endpoint = Endpoint(handler: HostedHandler(ofGateway: OpenAPI.itself), processes: OpenAPIEndpoint(handlers))
    return OpenAPI.itself.routes.map { ($0, endpoint) }
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    loop.makeSucceededFuture(HandlerResult(end: .answered(reply)))
  }

  func standing(of handler: String) async -> Standing { Standing() }
}
