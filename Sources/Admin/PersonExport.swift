import Contract
import Forms
import Store
import StoreAccess
import Wire

/// The copy of everything that is stored about a person, as a file. It follows the reply's head, because it may be larger
/// than a reply.
package enum PersonExport {
  package static func handler(named name: String) -> Handler {
    Handler(description(name).withFollowingBody) { settings throws(Problem) in
      let database = AdminDatabase(settings)
      return { request, log throws(Problem) in
        let copy = try database.call(.exportPerson, for: request, log: log) { () throws(Problem) in
          try Person.argument(read(request))
        }
        let bytes = copy.bytes
        let file = "person-\(request.receivedAt.milliseconds).json"
        return Reply(
          headers: [
            "content-type": "application/json", "content-disposition": "attachment; filename=\"\(file)\"",
            "cache-control": "no-store", "x-content-type-options": "nosniff",
          ], following: FollowingBody { send throws(Problem) in _ = send(bytes) })
      }
    }
  }

  private static func read(_ request: Request) throws(Problem) -> JSON {
    var errors = Form([]).unknownParameters(in: request.query)
    let body = try request.json()
    do throws(FormError) {
      let checked = try Person.form.check(body)
      if errors.isEmpty { return checked.document }
    } catch { errors.add(error) }
    throw Problem(errors)
  }

  private static func description(_ name: String) -> Description {
    Description(
      name: name, kind: .endpoint, summary: "Exports everything that is stored about a person, as a file",
      routes: [.init("POST", "/api/admin/persons/export")], access: .admin, rateClass: "export", bodyLimit: 65_536,
      environment: AdminDatabase.settings, input: .init(Person.form.schema),
      output: .init(
        ["type": "object"],
        headers: AdminEndpoint.uncached(["properties": ["Content-Disposition": ["type": "string"]]]), problems: [404]))
  }
}
