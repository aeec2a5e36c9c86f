import Contract
import Glibc
import Wire

/// Passes a CGI request to the handler of its route. It answers what needs no handler itself: unknown paths, methods
/// that a path does not have, and preflights. The handler gets only the settings of its class, so one CGI server may
/// have the settings of all classes.
package enum CGIDispatcher {
  /// Serves one request. Returns the exit status only if no handler was started.
  package static func main(_ arguments: [String], _ environment: [String: String]) -> Int32 {
    let log = Log(environment)
    guard environment["GATEWAY_INTERFACE"] != nil else {
      log.error("leadpipe-cgi serves one request of a CGI server, which sets GATEWAY_INTERFACE and the other variables")
      return ExitStatus.usage
    }
    let served: ServedReply
    do throws(Problem) {
      switch try dispatch(environment, log) {
      case .answer(let reply): served = reply
      case .exec(let handler):
        start(handler, environment)
        let reason = String(cString: strerror(errno))
        log.error("A handler cannot be started", ["handler": handler.description.name, "reason": reason])
        throw Problem(.handlerUnavailable, retryAfter: 1)
      }
    } catch {
      let requestID = UUIDText.ordered().text
      let reply = error.reply(requestID: requestID)
      served = ServedReply(reply, to: "", requestID: requestID, origin: nil, access: .public)
    }
    return StandardOutput.write(served.cgiOutput) ? served.exitStatus : ExitStatus.unwritable
  }

  private enum Decision {
    case answer(ServedReply)
    case exec(HostedHandler)
  }

  private static func dispatch(_ environment: [String: String], _ log: Log) throws(Problem) -> Decision {
    let routes: RouteTable<HostedHandler>
    let cors: CORSPolicy
    do {
      let file = try RouteFile(in: environment["LEADPIPE_HANDLERS"] ?? folder)
      routes = try RouteTable(file.handlers.flatMap { handler in handler.description.routes.map { ($0, handler) } })
      cors = CORSPolicy(try Settings(EndpointServer.settings, from: environment))
    } catch {
      log.error((error as? RouteFile.Failure)?.reason ?? (error as? Problem)?.detail ?? "\(error)")
      throw Problem(.serviceNotConfigured)
    }
    let request = try CGIRequest(environment)
    let message = request.head { message in
      do throws(Problem) {
        if case .none = routes.match(message.method, try RequestTarget(message.target).path) { return false }
        return true
      } catch { return false }
    }
    let requestID = message["x-request-id"].first.flatMap(Request.cleanID) ?? UUIDText.ordered().text
    let origin = cors.allowed(message)
    func answer(_ reply: Reply, _ origin: WebOrigin?, _ access: Description.Access) -> Decision {
      CGIBody(of: request).discard()
      return .answer(ServedReply(reply, to: message.method, requestID: requestID, origin: origin, access: access))
    }
    do throws(Problem) {
      try EndpointServer.check(message)
      let head = try RequestHead(message)
      let routing = try Routing(head, in: routes, requestID: requestID, origin: origin) { $0.description.access }
      switch routing {
      case .found(let match): return .exec(match.target)
      case .answered(let reply, let origin, let access): return answer(reply, origin, access)
      }
    } catch { return answer(error.reply(requestID: requestID), origin, .public) }
  }

  /// Becomes the handler. Returns only if that fails.
  private static func start(_ handler: HostedHandler, _ environment: [String: String]) {
    var variables = handler.environment(from: environment)
    for setting in EndpointServer.settings { variables[setting.name] = environment[setting.name] }
    for (name, value) in environment where CGIRequest.isVariable(name) { variables[name] = value }
    variables["SWIFT_BACKTRACE"] = "enable=no"
    let words = [strdup(handler.path), nil]
    let entries = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    execve(handler.path, words, entries)
  }

  /// The folder of the handlers, beside this program.
  private static var folder: String {
    let launcher = Launch.path
    return (launcher.lastIndex(of: "/").map { String(launcher[..<$0]) } ?? ".") + "/handlers"
  }
}
