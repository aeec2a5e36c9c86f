// POST /api/admin/keys: creates a key. The reply is the only place where it is shown.
import Admin
import Contract

package let handler = AdminKey.creating(named: "key-create")
