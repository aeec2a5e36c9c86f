import Glibc
import Wire

/// NDJSON both ways: a reply line for each request line, in their order. A bad line gets an error line, and the stream
/// goes on. The exit status is that of the first failure.
struct StreamDoor {
  let handler: Handler
  let environment: [String: String]
  let log: Log

  func serve() -> Int32 {
    var lines = LineReader(limit: Input.limit(forBody: handler.description.bodyLimit))
    var firstFailure: Int32 = 0
    let answer = handler.opened(environment, log: log)
    while let line = lines.next() {
      let exchange: Exchange
      switch line {
      case .bytes(let bytes) where bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0D }): continue
      case .bytes(let bytes):
        let document = Result { () throws(JSONFault) in try JSON(reading: bytes) }
        exchange = handler.answer(document, bytes: bytes, by: answer, log: log)
      case .tooLarge:
        exchange = Exchange(refusing: Problem(.tooLarge, "the line is too large"))
      case .unreadable(let reason):
        exchange = Exchange(refusing: Problem(.internalError, reason))
      }
      if firstFailure == 0 { firstFailure = exchange.exitStatus }
      guard Output.write(exchange.output) else { return ExitStatus.unwritable }
    }
    return firstFailure
  }
}
