import Contract
import Host
import NIOCore
import OpenAPI
import Wire

/// GET /api/openapi.json. No handler can answer it, because a handler may not ask the others for their descriptions. The gateway
/// makes the reply when it reads the handlers.
struct OpenAPIEndpoint: HandlerProcesses {
  private let reply: Reply

  private init(_ handlers: [HostedHandler]) {
    reply = Reply(OpenAPI.document(of: handlers.map(\.description), ours: TrustClass.ours))
  }

  /// The routes of the document over these handlers.
  static func routes(over handlers: [HostedHandler]) -> [(Description.Route, Endpoint)] {
    let endpoint = Endpoint(handler: HostedHandler(ofGateway: OpenAPI.itself), processes: OpenAPIEndpoint(handlers))
    return OpenAPI.itself.routes.map { ($0, endpoint) }
  }

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    loop.makeSucceededFuture(HandlerResult(outcome: .replied(reply)))
  }

  func status(of handler: String) async -> ProcessStatus { ProcessStatus() }
}
