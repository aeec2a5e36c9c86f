// GET /api/admin/channels: the state of each channel, and why it is paused.
import Admin
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "channel-list", "Lists channels with their state and the reason for a pause", .init("GET", "/api/admin/channels"),
  output: .init([
    "type": "object", "required": ["data"], "properties": ["data": ["type": "array", "items": ChannelState.schema]],
  ]), environment: [Recipient.setting(required: false)], calls: .listChannels,
  argument: ChannelState.withConfiguredRecipients
).handler
