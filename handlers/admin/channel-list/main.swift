// GET /api/admin/channels: how each channel stands, and why it is paused.
import Admin
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

AdminEndpoint(
  "channel-list", "How each channel stands, and why it is paused", .init("GET", "/api/admin/channels"),
  output: .init([
    "type": "object", "required": ["data"], "properties": ["data": ["type": "array", "items": ChannelState.schema]],
  ]), environment: [Recipient.setting(required: false)], calls: .listChannels, asking: ChannelState.asking
).run()
