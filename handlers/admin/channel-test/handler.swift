// POST /api/admin/channels/{name}/test: sends a test message to each of a channel's recipients, through the same
// pipeline as leads.
import Admin
import Contract
import Deliveries
import Store
import StoreAccess
import Wire

package let handler = AdminEndpoint(
  "channel-test", "Sends a test message to each recipient of a channel",
  .init("POST", "/api/admin/channels/{name}/test"),
  output: .init(ChannelState.testedSchema, statuses: [202]), needs: [.wake],
  environment: [Recipient.setting(required: false)], calls: .testChannel,
  argument: ChannelState.withConfiguredRecipients
).handler
