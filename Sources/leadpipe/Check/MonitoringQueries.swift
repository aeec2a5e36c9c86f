import Store
import Wire

extension CheckGroup {
  /// The checklist's three queries. The test lead is gone by now.
  static let monitoring = CheckGroup(
    title: "Monitoring", items: [backlog, unsent, failed, late])

  /// How long an event may be unfinished, in seconds: longer than the first attempts take.
  private static let longestWait = 300

  private static let backlog = CheckItem(
    "monitoring.backlog", "events are processed", doing: "counts the events with processed = false",
    needs: ["before.tables"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let (count, oldest) = try database.backlog(deadline: run.deadline)
      return oldest < longestWait
        ? .passed("\(count) are not processed")
        : .failed(
          "\(count) are not processed, the oldest for \(oldest) s",
          fix:
            "see that a worker runs, and why they wait: `leadpipe channel list`, `leadpipe delivery list --status waiting`; "
            + "fix the cause, then `leadpipe delivery retry ID` sends one at once, and `leadpipe channel resume NAME` ends "
            + "a pause"
        )
    }
  }

  private static let unsent = CheckItem(
    "monitoring.unsent", "leads without an event are announced",
    doing: "counts the leads that were stored while events were off", needs: ["before.tables"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let (count, oldest, latest) = try database.unsentLeads(deadline: run.deadline)
      guard oldest >= longestWait else { return .passed("\(count) wait") }
      let isDirect = run.environment["DIRECT_NOTIFICATIONS"] == "true"
      return .failed(
        "\(count) leads that were stored while events were off are not announced, the oldest for \(oldest) s"
          + (latest.isEmpty ? "" : "; \(latest)"),
        fix: (isDirect
          ? "see the worker's log" : "set DIRECT_NOTIFICATIONS=true and start the worker again to send them")
          + ", or, if nobody needs them, delete them:\n"
          + "psql \"$DATABASE_URL\" -c \"\(Database.forgettingUnsentLeads)\"")
    }
  }

  private static let failed = CheckItem(
    "monitoring.failed", "notifications arrive", doing: "counts the failed notifications of the last day",
    needs: ["before.tables"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let (count, latest) = try database.failedNotifications(deadline: run.deadline)
      return count == 0
        ? .passed("none has failed in the last day")
        : .failed(
          "\(count) failed in the last day; the latest, \(latest)",
          fix: "fix the cause, then send them: `leadpipe delivery list --status failed`, `leadpipe delivery retry ID`"
        )
    }
  }

  private static let late = CheckItem(
    "monitoring.sla", "late leads are noticed", doing: "counts the leads with sla_breached, and late ones without it",
    needs: ["before.columns"]
  ) { run in
    run.asking { database throws(StoreFailure) in
      let (marked, waiting, unnoticed) = try database.lateLeads(deadline: run.deadline)
      return unnoticed == 0
        ? .passed("\(marked) leads are marked as late; \(waiting) of them still wait for a response")
        : .failed(
          "\(unnoticed) leads have been late for more than five minutes, and no worker has noticed",
          fix: "start `leadpipe worker`: it marks and announces them")
    }
  }
}
