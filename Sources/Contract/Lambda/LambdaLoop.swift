import Glibc
import Wire

/// The loop of a program that Lambda starts but that is no handler: each event is a signal to work for a while, and its
/// content is ignored.
package struct LambdaLoop {
  private let api: RuntimeAPI

  /// Nil if the process was not started by Lambda, or if the address in its environment is malformed.
  package init?(_ environment: [String: String]) {
    guard let address = LambdaEntryPoint.address(in: environment) else { return nil }
    api = RuntimeAPI(at: address)
  }

  /// Calls `work` for each event, until the runtime API fails. Lambda ends the process at `deadline`, on the steady
  /// clock; the result of `work` must be posted before.
  package func serve(_ work: (_ deadline: Instant?) -> JSON) throws(RuntimeFailure) -> Never {
    while true {
      let invocation = try api.next()
      let result = work(invocation.deadline?.onSteadyClock)
      _ = try api.respond(to: invocation.id, result.bytes)
    }
  }

  /// Reports that the program cannot start. The caller exits afterwards.
  package func failInit(_ reason: String) throws(RuntimeFailure) {
    _ = try api.failInit(RuntimeAPI.Report(type: "Runtime.InvalidSettings", message: reason))
  }
}
