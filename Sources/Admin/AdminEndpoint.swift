import Contract
import Forms
import Leads
import Store
import StoreAccess
import Wire

/// An admin route: its input, its output, and the database function behind it.
package struct AdminEndpoint {
  /// A request whose parameters and body have been validated.
  package struct CheckedRequest {
    /// The values of the path, the query and the body.
    package let values: CheckedForm
    package let request: Request
    package let settings: Settings

    /// The values as one object: the argument of the route's function.
    package var document: JSON { values.document }
  }

  /// Makes the function's argument from a request.
  package typealias ArgumentMaker = @Sendable (CheckedRequest) throws(Problem) -> JSON
  /// Makes the formatter of the function's results from the settings, once per process.
  package typealias Presentation = @Sendable (Settings) throws(Problem) -> @Sendable (JSON) -> JSON
  /// Makes the reply from the function's formatted result.
  package typealias ReplyMaker = @Sendable (JSON, Request) throws(Problem) -> Reply

  /// The input of a route.
  package struct Input {
    /// The query parameters.
    let query: Form?
    /// The JSON Schema of the request headers that the argument is made from.
    let headers: JSON?
    /// The JSON body; nil if the route reads none.
    let body: Form?

    package init(query: Form? = nil, headers: JSON? = nil, body: Form? = nil) {
      self.query = query
      self.headers = headers
      self.body = body
    }

    fileprivate var described: Description.Input {
      Description.Input(body?.schema ?? ["type": "object"], query: query?.querySchema, headers: headers)
    }
  }

  /// What a route needs besides the database.
  package struct Needs: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Its function returns the SLA state of conversations.
    package static let officeHours = Needs(rawValue: 1)
    /// Its function queues work for the workers.
    package static let wake = Needs(rawValue: 2)
    /// Its function sets deadlines of leads that wait from now on.
    package static let deadlines = Needs(rawValue: 4)

    /// True if it calculates with the office hours.
    fileprivate var usesHours: Bool { !isDisjoint(with: [.officeHours, .deadlines]) }

    fileprivate var settings: [Setting] {
      (usesHours ? OfficeHours.settings : []) + (contains(.wake) ? WakeCall.settings : [])
    }
  }

  private let description: Description
  private let input: Input
  private let needs: Needs
  private let function: Function
  private let makeArgument: ArgumentMaker
  private let presentation: Presentation?
  private let makeReply: ReplyMaker
  private let isList: Bool

  /// - Parameters:
  ///   - output: the first of its statuses is that of a successful reply. Its problems exclude 400, 401 and 403, which
  ///     are always added, and 404, which is added if the path has parameters.
  ///   - feed: the step that continues the stream, if the reply is the beginning of one.
  ///   - argument: makes the function's argument; defaults to the checked values.
  ///   - presentation: formats the function's result; defaults to the result unchanged.
  ///   - reply: makes the reply; defaults to the result with the first status.
  package init(
    _ name: String, _ summary: String, _ route: Description.Route, input: Input = Input(),
    output: Description.Output = .init(), needs: Needs = [], feed: String? = nil, environment: [Setting] = [],
    calls function: Function,
    argument: @escaping ArgumentMaker = { checked throws(Problem) in checked.document },
    presentation: Presentation? = nil, reply: ReplyMaker? = nil
  ) {
    let status = output.statuses[0]
    isList = ArrayReply.isList(output.body)
    var described = isList ? ArrayReply.described(output) : output
    described.headers = Self.uncached(described.headers)
    let describedInput = isList ? ArrayReply.described(input.described) : input.described
    description = Description(
      name: name, kind: .endpoint, summary: summary, routes: [route], access: .admin, rateClass: "admin",
      bodyLimit: input.body == nil ? 1024 : 65_536, feed: feed,
      environment: AdminDatabase.settings + needs.settings + environment, input: describedInput, output: described)
    self.input = input
    self.needs = needs
    self.function = function
    makeArgument = argument
    self.presentation = presentation
    makeReply =
      reply ?? { result, _ in
        status == 204 ? Reply(status: 204, headers: [:], body: []) : Reply(status: status, result)
      }
  }

  package var handler: Handler {
    Handler(description) { settings, afterwards throws(Problem) in
      let database = AdminDatabase(settings)
      let needsHours = needs.contains(.officeHours)
      let hours = needs.usesHours ? try OfficeHours(settings) : nil
      let wake = needs.contains(.wake) ? database.wakeCall(settings, afterwards) : nil
      let present = try presentation?(settings)
      return { request, log throws(Problem) in
        let result = try database.call(function, for: request, log: log) { () throws(Problem) in
          let checked = CheckedRequest(values: try read(request), request: request, settings: settings)
          var argument = try makeArgument(checked)
          if needs.contains(.deadlines) {
            argument = argument.setting("slaDeadlines", Self.deadlines(request.receivedAt, hours))
          }
          return needsHours ? argument.setting("warnBefore", Self.warnBefore(request.receivedAt, hours)) : argument
        }
        wake?.send()
        let shown = present?(result) ?? result
        let wantsArray = isList && ArrayReply.isRequested(request.headers["prefer"])
        var reply = wantsArray ? ArrayReply.reply(shown) : try makeReply(shown, request)
        // Caches must not store admin data.
        reply.headers["cache-control"] = "no-store"
        return reply
      }
    }
  }

  /// Returns the JSON Schema of a reply's headers, with `Cache-Control: no-store` added.
  /// - Parameter untransformed: true if the reply has a secret, so that nobody on its way may compress it.
  package static func uncached(_ headers: JSON? = nil, untransformed: Bool = false) -> JSON {
    let value: JSON = untransformed ? "no-store, no-transform" : "no-store"
    let properties = (headers?["properties"] ?? [:]).setting("Cache-Control", ["const": value])
    return ["properties": properties]
  }

  /// Returns the validated parameters and fields, or throws all errors at once. In a bare document, path and query
  /// parameters are members.
  private func read(_ request: Request) throws(Problem) -> CheckedForm {
    var errors = FormError()
    var values = CheckedForm()
    func take(_ form: Form, _ json: JSON) {
      do throws(FormError) { values.add(try form.check(json)) } catch { errors.add(error) }
    }
    let bare = request.isBare && !request.body.isEmpty ? try request.json() : [:]
    if let place = Self.place(of: description) {
      let given = request.isBare ? bare : .object(request.pathParameters.map { .init($0.key, .string($0.value)) })
      take(place, given)
    }
    if let query = input.query { take(query, request.isBare ? bare : query.document(query: request.query)) }
    // A misspelt filter must be an error: if it were ignored, the reply would contain everything.
    errors.add((input.query ?? Form([])).unknownParameters(in: request.query))
    if let body = input.body { take(body, request.isBare ? bare : try request.json()) }
    guard errors.isEmpty else { throw Problem(errors) }
    return values
  }

  /// The form of the path parameters: `id` is a UUID, any other is a string of 1 to 100 characters.
  private static func place(of description: Description) -> Form? {
    let names = description.routes.flatMap { $0.path.split(separator: "/") }.filter { $0.hasPrefix("{") }
      .map { String($0.dropFirst().dropLast()) }
    let fields = names.map { name -> any FormField in
      name == "id" ? Field.required(name, .uuid) : Field.required(name, .text(1...100))
    }
    return fields.isEmpty ? nil : Form(fields)
  }

  /// Returns, for each lead quality, when the first response to a lead that waits from now on is due.
  private static func deadlines(_ now: Instant, _ hours: OfficeHours?) -> JSON {
    .object(
      Lead.qualities.map {
        JSON.Member($0, .string(SLA.deadline(quality: $0, receivedAt: now, within: hours).iso8601))
      })
  }

  /// Returns, for each lead quality, the latest deadline at which a conversation is in warning: an argument of the
  /// functions that return conversations.
  package static func warnBefore(_ now: Instant, _ hours: OfficeHours?) -> JSON {
    .object(
      SLA.warnBefore(now, within: hours).sorted { $0.key < $1.key }
        .map { JSON.Member($0.key, .string($0.value.iso8601)) })
  }
}
