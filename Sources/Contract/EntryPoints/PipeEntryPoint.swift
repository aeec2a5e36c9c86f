import Glibc
import Wire

/// Reads one document from stdin, writes one line to stdout, and exits.
struct PipeEntryPoint {
  let handler: Handler
  let environment: [String: String]
  let log: Log
  /// Members that the arguments add to the document on stdin.
  var options: [JSON.Member] = []
  private let afterwards = Afterwards()

  /// Reads stdin to its end, answers, and returns the exit status. It reads everything because a parent that writes all
  /// its input first would otherwise block. An alarm ends a process that hangs for any reason.
  ///
  /// If a person started it at a terminal without input, it prints its usage, unless it needs no input.
  func serve() -> Int32 {
    if StandardInput.isTerminal, options.isEmpty, handler.description.needsInput {
      _ = StandardError.write(handler.description.usage)
      return ExitStatus.usage
    }
    alarm(UInt32(handler.description.processorSeconds))
    let input = StandardInput.readAll(limit: StandardInput.limit(forBody: handler.description.bodyLimit))
    let exchange = answer(input)
    if isStartedByHand(environment), let refusal = exchange.refusal { log.warn("Refused: \(refusal)") }
    var status = StandardOutput.write(exchange.output) ? exchange.exitStatus : ExitStatus.unwritable
    if status == 0, let body = exchange.reply.following { status = body.write(log: log).exitStatus }
    if afterwards.dueAt != nil {
      // A client that reads to end of file has the reply now.
      close(1)
      afterwards.finish(now: .steady, log: log)
    }
    return status
  }

  private func answer(_ input: StandardInput.Document) -> AnsweredRequest {
    switch input {
    case .tooLarge: return AnsweredRequest(refusing: Problem(.documentTooLarge))
    case .unreadable(let reason): return AnsweredRequest(refusing: .internalError(reason))
    case .bytes(let bytes):
      // A handler that needs no body also accepts an empty stdin.
      let mayBeEmpty = handler.description.acceptsEmptyInput || !options.isEmpty
      let bytes = adding(options, to: bytes.isEmpty && mayBeEmpty ? Array("{}".utf8) : bytes)
      let answer = handler.opened(environment, afterwards: afterwards, log: log)
      let exchanges = handler.answer([bytes], by: answer, log: log)
      return exchanges.first ?? AnsweredRequest(refusing: .internalError("the handler made no reply"))
    }
  }
}

extension PipeEntryPoint {
  /// Adds the options to a bare document. Anything else is left to the handler, which refuses it.
  private func adding(_ options: [JSON.Member], to bytes: [UInt8]) -> [UInt8] {
    guard !options.isEmpty, let document = try? JSON(reading: bytes), document.members != nil,
      document["requestContext"] == nil
    else { return bytes }
    return options.reduce(document) { $0.setting($1.key, $1.value) }.bytes
  }
}

extension Description {
  /// Reads arguments such as `--format csv --status new,lost` as members of the body, for a handler whose body follows:
  /// it is a command for people too. Nil if they are anything else.
  func options(_ words: [String]) -> [JSON.Member]? {
    guard bodyFollows, words.count.isMultiple(of: 2), let fields = input.body["properties"] else { return nil }
    var options: [JSON.Member] = []
    for index in stride(from: 0, to: words.count, by: 2) {
      let name = String(words[index].dropFirst(2))
      guard words[index].hasPrefix("--"), let field = fields[name], !Self.personal.contains(name),
        !options.contains(where: { $0.key == name })
      else { return nil }
      let text = words[index + 1]
      let isList = Self.isList(field)
      let items = text.split(separator: ",").map { JSON.string(String($0)) }
      options.append(.init(name, isList ? .array(items) : .string(text)))
    }
    return options
  }

  /// Members that may have personal data, such as a phone number: every user of the machine sees the arguments.
  private static let personal: Set = ["query"]

  /// True if a word is an option whose value must come on stdin.
  func mustBeOnStdin(_ word: String) -> Bool {
    bodyFollows && word.hasPrefix("--") && Self.personal.contains(String(word.dropFirst(2)))
  }

  /// The names of the options that `options` reads, with whether they take a list.
  var optionNames: [(name: String, isList: Bool)] {
    let members = bodyFollows ? input.body["properties"]?.members ?? [] : []
    return members.filter { !Self.personal.contains($0.key) }.map { ($0.key, Self.isList($0.value)) }
  }

  private static func isList(_ field: JSON) -> Bool {
    ([field] + (field["anyOf"]?.array ?? [])).contains { $0["type"] == "array" }
  }

  /// True if an empty stdin is a valid request: the input schema requires no member.
  var acceptsEmptyInput: Bool { Self.requires(input.body).isEmpty }

  /// True if no request without members can be valid: the body or the query requires one, or every route has a
  /// parameter.
  var needsInput: Bool {
    let hasChoices = !(input.body["anyOf"]?.array ?? []).isEmpty
    let isAlwaysNamed = !routes.isEmpty && routes.allSatisfy { $0.path.contains("{") }
    return !acceptsEmptyInput || hasChoices || isAlwaysNamed || !Self.requires(input.query ?? [:]).isEmpty
  }

  private static func requires(_ schema: JSON) -> [JSON] { schema["required"]?.array ?? [] }
}
