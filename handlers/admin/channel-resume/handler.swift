// POST /api/admin/channels/{name}/resume: ends a channel's pause, whatever its reason.
import Admin
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "channel-resume", "Ends a channel's pause", .init("POST", "/api/admin/channels/{name}/resume"),
  output: .init(ChannelState.resumedSchema), needs: [.wake], environment: [Recipient.setting(required: false)],
  calls: .resumeChannel, argument: ChannelState.withConfiguredRecipients
).handler
