import Deliveries
import Glibc
import Leads
import Store
import Transports
import Wire

extension CheckGroup {
  /// The life of one lead, from the public address to each channel.
  static let afterDeployment = CheckGroup(
    title: "After the deployment: a test lead",
    items: [capture, conversation, event, timeline, worker, logs] + ChannelKind.all.map(delivery))

  private static let capture = CheckItem(
    "after.capture", "a test lead is stored", doing: "sends a lead named \"\(TestLead.name)\" to \(TestLead.route)",
    needs: ["before.database", "before.columns", "before.migrations", "before.logins", "interfaces.chatbot"]
  ) { run in
    run.openSession()
    run.noteLivePosition()
    prove(run.testLead, run)
    // The lead is sent only if it can be kept away from the agents and removed again.
    do throws(StoreFailure) { _ = try run.call(.prepareTestLead, [:]) } catch {
      return .failed(
        "nothing was sent, because the lead could not be kept away from the agents: \(CheckRun.describe(error))",
        fix: run.rest == nil
          ? "run `leadpipe migrate`, and grant leadpipe_admin to the login in DATABASE_URL"
          : "run `leadpipe migrate` with DATABASE_URL")
    }
    if Interruption.isRequested { return .skipped("interrupted") }
    run.testLead.mayExist = true
    let reply = run.send(
      "POST", TestLead.route, headers: ["Idempotency-Key: check-\(run.testLead.id.text)"], body: run.testLead.body)
    guard reply.status == 201 else {
      return .failed(describe(reply), fix: "the gateway's log has the reason; look for this time")
    }
    run.testLead.isAccepted = true
    do throws(StoreFailure) { _ = try run.call(.prepareTestLead, run.testLead.argument) } catch {
      let setting = run.rest == nil ? "DATABASE_URL" : "SUPABASE_URL"
      return .failed(
        "201, but the lead is not in the database of \(setting): \(CheckRun.describe(error))",
        fix:
          "set \(setting) to the database of the instance at \(run.base), or --url to the instance "
          + "of this database; a check with the other database removes the lead")
    }
    return .passed("201, conversation \(run.testLead.id.text)")
  }

  /// Adds a form token, and its work, if the instance gives tokens: without one the lead could be set aside as spam.
  private static func prove(_ lead: TestLead, _ run: CheckRun) {
    let reply = run.send("GET", "/api/form-token")
    guard reply.status == 200, let document = reply.document, let token = document["token"]?.string else {
      return
    }
    let usable = Instant.steady.adding(seconds: FormTokens.minimumSeconds + 1)
    lead.body = lead.body.setting("formToken", .string(token))
    if let bits = document["work"]?["bits"]?.integer, 1...FormWork.mostBits ~= bits {
      let end = Instant.steady.adding(seconds: 60)
      let work = FormWork.find(token: token, bits: bits) { !Interruption.isRequested && .steady < end }
      if let work { lead.body = lead.body.setting("formWork", .string(work)) }
    }
    _ = run.wait(FormTokens.minimumSeconds + 1) { .steady >= usable ? true : nil }
  }

  private static let conversation = CheckItem(
    "after.conversation", "the conversation is in the database", doing: "reads the conversation",
    needs: ["after.capture"]
  ) { run in
    stored(run, .showConversation) { reply in
      let conversation = reply["conversation"] ?? reply
      return conversation["customerName"]?.string == TestLead.name ? "\(TestLead.name), status new" : nil
    }
  }

  private static let event = CheckItem(
    "after.event", "lead_events has lead.created", doing: "reads the events of the conversation",
    needs: ["after.capture"]
  ) { run in
    stored(run, .listConversationEvents) { reply in
      reply["data"]?.array?.contains { $0["type"]?.string == "lead.created" } == true ? "lead.created" : nil
    }
  }

  private static let timeline = CheckItem(
    "after.timeline", "conversation_timeline has \"Lead Created\"", doing: "reads the timeline of the conversation",
    needs: ["after.capture"]
  ) { run in
    stored(run, .listTimeline) { reply in
      reply["data"]?.array?.contains { $0["title"]?.string == "Lead Created" } == true ? "Lead Created" : nil
    }
  }

  private static let worker = CheckItem(
    "after.worker", "the notification worker runs", doing: "waits until a worker has taken the event of the test lead",
    needs: ["after.event", "before.worker-enabled", "before.channels"]
  ) { run in
    let poll = Int(run.environment["WORKER_POLL_SECONDS"] ?? "") ?? 5
    let taken = run.wait(min(poll, 60) + 10) { () -> String? in
      let events = (try? run.call(.listConversationEvents, run.testLead.argument))?["data"]?.array ?? []
      return events.first { $0["type"]?.string == "lead.created" }?["plannedAt"]?.string
    }
    if let taken { return .passed("took the event at \(taken)") }
    if Interruption.isRequested { return .skipped("interrupted") }
    let health = try? run.call(.healthReport, [:])
    let seen = health?["workerLastSeen"]?.string.map { "last seen at \($0)" } ?? "never seen"
    return .failed(
      "no worker has taken the event; \(seen)",
      fix: "start `leadpipe worker` with the same DATABASE_URL; its log begins with \"Notification worker started\"")
  }

  private static let logs = CheckItem(
    "after.logs", "notification_logs has an entry for each recipient", doing: "reads the deliveries of the test lead",
    needs: ["after.worker"]
  ) { run in
    let found = run.deliveries().map { "\($0["channel"]?.string ?? "") \($0["recipient"]?.string ?? "")" }
    let missing = run.channels.filter { !found.contains("\($0.channel) \($0.address)") }.map(\.channel)
    return missing.isEmpty
      ? .passed("\(found.count) entries")
      : .failed(
        "no entry for \(missing.joined(separator: ", "))",
        fix: "start the worker with the settings of this shell: it does not know these channels or recipients")
  }

  private static func delivery(_ channel: ChannelKind) -> CheckItem {
    CheckItem(
      "after.\(channel.name)", "the test lead is notified \(channel.way)",
      doing: "waits for the result of the first attempt, if the channel is configured", needs: ["after.logs"]
    ) { run in
      guard run.channels.contains(where: { $0.channel == channel.name }) else {
        return .skipped("\(channel.name) is not configured")
      }
      let own = { run.deliveries().filter { $0["channel"]?.string == channel.name } }
      let ended = run.wait(30) { () -> [JSON]? in
        let rows = own()
        return rows.allSatisfy({ $0["class"]?.string != nil }) || run.isPaused(channel.name) ? rows : nil
      }
      if ended == nil, Interruption.isRequested { return .skipped("interrupted") }
      let rows = own()
      guard let bad = rows.first(where: { !["sent", "delivered"].contains($0["status"]?.string ?? "") }) else {
        return .passed("\(rows.count) sent")
      }
      return .failed(
        "\(bad["state"]?.string ?? "not sent"): \(bad["reason"]?.string ?? run.pauseReason(channel.name))",
        fix: "correct \(channel.settings.joined(separator: ", ")) and restart the worker; "
          + "then see `leadpipe channel list`, and `leadpipe channel resume \(channel.name)` if it is still paused")
    }
  }

  /// Reads the test lead. `proof` returns what shows that the reply has what it must have.
  private static func stored(_ run: CheckRun, _ function: Function, _ proof: (JSON) -> String?) -> Finding {
    do throws(StoreFailure) {
      let reply = try run.call(function, run.testLead.argument)
      return proof(reply).map(Finding.passed)
        ?? .failed("it is missing", fix: "compare the schema with the migrations: before.tables and before.migrations")
    } catch { return CheckRun.finding(error) }
  }
}

extension CheckRun {
  /// The recipients that the settings configure.
  var channels: [Recipient] { Recipient.list(ServiceEnvironment.channels(environment)) ?? [] }

  /// The deliveries of the test lead's creation.
  func deliveries() -> [JSON] {
    (try? call(.listConversationDeliveries, testLead.argument))?["data"]?.array ?? []
  }

  private func channelState(_ name: String) -> JSON? {
    let reply = try? call(.listChannels, ["configured": .array(channels.map(\.document))])
    return reply?["data"]?.array?.first { $0["name"]?.string == name }
  }

  func isPaused(_ name: String) -> Bool { channelState(name)?["state"]?.string == "paused" }

  func pauseReason(_ name: String) -> String {
    channelState(name)?["reason"]?.string.map { "the channel is paused: \($0)" } ?? "no result within 30 s"
  }
}
