// POST /api/admin/persons/merge: makes two customers one.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "person-merge", "Merges a customer into another", .init("POST", "/api/admin/persons/merge"),
  input: .init(body: Person.mergeForm), output: .init(Person.mergedSchema, problems: [404]), calls: .mergePersons
).handler
