// POST /api/admin/persons/merge/undo: undoes a merge of two customers.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "person-unmerge", "Undoes a merge of two customers", .init("POST", "/api/admin/persons/merge/undo"),
  input: .init(body: Person.undoForm), output: .init(Person.mergedSchema, problems: [404, 409]), calls: .undoMerge
).handler
