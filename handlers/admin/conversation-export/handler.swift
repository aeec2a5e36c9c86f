// GET and POST /api/admin/conversations/export: all conversations of the list with these filters, as a file. The body
// follows the reply's head, so that memory does not grow with the number of rows.
import Admin
import Contract
import Wire

package let handler = ConversationExport.handler(named: "conversation-export")
