// POST /api/admin/persons/show: what is stored about a person, found by a phone number or an email address in the body.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "person-show", "Shows what is stored about a person", .init("POST", "/api/admin/persons/show"),
  input: .init(body: Person.form), output: .init(Person.schema, problems: [404]), calls: .showPerson,
  argument: { checked throws(Problem) in Person.argument(checked.document) }
).handler
