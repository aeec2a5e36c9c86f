// DELETE /api/newsletter/subscribers/{id}: deletes a subscriber and the events that contain its address, with their
// deliveries.
import Admin
import Contract
import Store
import Wire

package let handler = AdminEndpoint(
  "subscriber-delete", "Deletes a newsletter subscriber", .init("DELETE", "/api/newsletter/subscribers/{id}"),
  // A body, because the original panel reads one.
  output: .init([
    "type": "object", "required": ["success", "id"],
    "properties": ["success": ["const": true], "id": ["type": "string", "format": "uuid"]],
  ]), calls: .deleteSubscriber
).handler
