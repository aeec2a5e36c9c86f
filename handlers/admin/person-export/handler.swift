// POST /api/admin/persons/export: everything that is stored about a person, as a JSON file.
import Admin
import Contract
import Wire

package let handler = PersonExport.handler(named: "person-export")
