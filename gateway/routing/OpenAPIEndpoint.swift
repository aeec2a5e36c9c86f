import Contract
import Host
import NIOCore
import OpenAPI
import Wire

/// GET /api/openapi.json. No handler can serve it, because a handler may not run the others for their descriptions. The
/// gateway creates the reply when it reads the handlers.
struct OpenAPIEndpoint: HandlerProcesses {
  private let reply: Reply

  private init(_ handlers: [HostedHandler]) {
    reply = Reply(OpenAPI.document(of: handlers.map(\.description), ours: TrustClass.ours))
  }

  /// Returns the routes of the OpenAPI document for these handlers.
  static func routes(over handlers: [HostedHandler]) -> [(Description.Route, Endpoint)] {
    let endpoint = Endpoint(handler: HostedHandler(ofGateway: OpenAPI.itself), processes: OpenAPIEndpoint(handlers))
    return OpenAPI.itself.routes.map { ($0, endpoint) }
  }

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    loop.makeSucceededFuture(HandlerResult(outcome: .replied(reply)))
  }

  func status(of handler: String) async -> ProcessStatus { ProcessStatus() }
}
