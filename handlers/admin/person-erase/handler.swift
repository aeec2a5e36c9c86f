// POST /api/admin/persons/erase: erases a person's data. The body repeats the numbers that person-show has returned.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "person-erase", "Erases what is stored about a person", .init("POST", "/api/admin/persons/erase"),
  input: .init(body: Person.eraseForm), output: .init(Person.erasedSchema, problems: [404, 409]), calls: .erasePerson,
  argument: { checked throws(Problem) in Person.argument(checked.document) }
).handler
