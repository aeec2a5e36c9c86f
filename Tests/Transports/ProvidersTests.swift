import Contract
import Deliveries
import Testing
import Transports
import Wire

@Suite("The list of providers") struct ProvidersTests {
  @Test("each channel has a provider", arguments: ChannelKind.all) func complete(channel: ChannelKind) {
    #expect(Providers.all.contains { $0.channel == channel })
  }

  @Test("settings of a provider are its channel's, with the same destinations", arguments: 0..<Providers.all.count)
  func settings(index: Int) {
    let provider = Providers.all[index]
    #expect((provider.settings + provider.otherSettings).contains { $0.name == provider.chosenBy })
    let ofAll = ["FRONTEND_URL", "TIME_ZONE", "AGENCY_NAME", "AGENCY_PHONE", "AGENCY_EMAIL"]
    for setting in provider.settings + provider.otherSettings where !ofAll.contains(setting.name) {
      #expect(provider.channel.settings.contains(setting.name))
      #expect(setting.leadsTo == provider.channel.destinations[setting.name])
    }
  }

  @Test("every setting of a channel is validated once") func known() {
    #expect(Providers.known.map(\.name).sorted() == ChannelKind.all.flatMap(\.settings).sorted())
    #expect(!Providers.known.contains { $0.isRequired })
  }

  @Test("a change of any setting changes the channel's fingerprint", arguments: ChannelKind.all)
  func fingerprint(channel: ChannelKind) {
    let changed = channel.settings.map { channel.fingerprint([$0: "x"]) }
    #expect(Set(changed + [channel.fingerprint([:])]).count == changed.count + 1)
  }
}

@Suite("Recipients from the settings") struct ConfiguredRecipientsTests {
  @Test("without settings there is no recipient") func none() { #expect(configured([:]) == []) }

  @Test("an empty value counts as absent") func empty() { #expect(configured(["SLACK_WEBHOOK_URL": ""]) == []) }

  @Test("Slack has one recipient") func slack() {
    #expect(configured(["SLACK_WEBHOOK_URL": "https://hooks.slack.com/x"]) == ["slack default"])
  }

  @Test("Telegram needs its token and its chat") func telegram() {
    #expect(configured(["TELEGRAM_BOT_TOKEN": "1:a"]) == [])
    #expect(configured(["TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_CHAT_ID": "-5"]) == ["telegram -5"])
  }

  @Test("email goes to EMAIL_TO, or else to the user, or else to the sender") func email() {
    let from = ["EMAIL_HOST": "h", "EMAIL_FROM": "TrueNester <n@truenester.com>"]
    #expect(configured(from) == ["email n@truenester.com"])
    let user = from.merging(["EMAIL_USER": "u@truenester.com"]) { $1 }
    #expect(configured(user) == ["email u@truenester.com"])
    #expect(configured(from.merging(["EMAIL_USER": "smtp-user"]) { $1 }) == ["email n@truenester.com"])
    let list = user.merging(["EMAIL_TO": "a@x.com, B <b@x.com>"]) { $1 }
    #expect(configured(list) == ["email a@x.com", "email b@x.com"])
    #expect(configured(list.merging(["RESEND_API_KEY": "re_x"]) { $1 }) == ["email a@x.com", "email b@x.com"])
  }

  private func configured(_ settings: [String: String]) -> [String] {
    Providers.recipients(settings).map { "\($0.channel) \($0.address)" }
  }
}
