import Leads
import Wire

/// The way of one channel's deliveries through its steps, one at a time: begin, send, record. A pure state machine; the
/// loop around it moves the lines and reads the clock.
package struct Lane: Sendable {
  package enum Stage: Int, Sendable, CaseIterable {
    case begin, send, record
  }

  /// What the loop must do next for this lane.
  package enum Action: Sendable, Equatable {
    case pass(JSON, to: Stage)
    case nothing
  }

  /// What stands at a stage, and until when it may.
  package struct Work: Sendable, Equatable {
    package var line: JSON
    package var stage: Stage
    package var deadline: Instant
  }

  /// How long a step may take to answer a line. The send step bounds itself at 10 s; this is for one that hangs.
  private static let patience = [Stage.begin: 12, .send: 15, .record: 12]
  /// How long a record that fails is tried again: a repeat of what was sent is worse than a late entry.
  private static let recordPatience = 600

  package private(set) var queue: [JSON] = []
  package private(set) var work: Work?
  /// When a record that failed is tried again.
  package private(set) var recordAgainAt: Instant?
  private var recordSince: Instant?
  package let capacity: Int

  package init(capacity: Int) { self.capacity = capacity }

  /// How many more deliveries may be claimed for this lane.
  package var room: Int { max(0, capacity - queue.count - (work == nil ? 0 : 1)) }
  package var isIdle: Bool { queue.isEmpty && work == nil }

  package mutating func add(_ lines: [JSON]) { queue += lines }

  /// Forgets what has not begun: its lease runs out and it is claimed again, at no cost.
  package mutating func dropQueue() { queue = [] }

  /// Begins the next delivery, or the record that is due again.
  package mutating func next(now: Instant) -> Action {
    if let work, let again = recordAgainAt, again <= now {
      recordAgainAt = nil
      return pass(work.line, to: .record, now: now)
    }
    guard work == nil, !queue.isEmpty else { return .nothing }
    return pass(queue.removeFirst(), to: .begin, now: now)
  }

  /// A step has answered the line that it was given.
  package mutating func answered(_ reply: JSON, now: Instant) -> Action {
    guard let work else { return .nothing }
    if reply["problem"] != nil { return failed("its step answered a problem", now: now) }
    switch work.stage {
    case .begin: return reply["outcome"] == nil ? pass(reply, to: .send, now: now) : finish()
    case .send:
      // The channel does not want any more now: what is claimed of it goes back with its lease.
      if ["throttled", "config"].contains(reply["outcome"]?["class"]?.string) { dropQueue() }
      return pass(reply, to: .record, now: now)
    case .record: return finish()
    }
  }

  /// The step that held the line died, hung or could not work. Before the send nothing is lost: the lease runs out. A
  /// send without an answer is unknown. A record is tried again.
  package mutating func failed(_ reason: String, now: Instant) -> Action {
    guard let work else { return .nothing }
    switch work.stage {
    case .begin: return finish()
    case .send:
      let outcome = DeliveryOutcome(.unknown, reason: "the notifier gave no answer: \(reason)")
      return pass(work.line.setting("outcome", outcome.document), to: .record, now: now)
    case .record:
      guard now < (recordSince ?? now).adding(seconds: Self.recordPatience) else { return finish() }
      recordAgainAt = now.adding(seconds: 1)
      return .nothing
    }
  }

  /// Whether the step that holds the line has had its time.
  package func isOverdue(now: Instant) -> Bool { recordAgainAt == nil && work.map { $0.deadline <= now } == true }

  private mutating func pass(_ line: JSON, to stage: Stage, now: Instant) -> Action {
    if stage == .record, recordSince == nil { recordSince = now }
    work = Work(line: line, stage: stage, deadline: now.adding(seconds: Self.patience[stage] ?? 12))
    return .pass(line, to: stage)
  }

  private mutating func finish() -> Action {
    work = nil
    recordSince = nil
    recordAgainAt = nil
    return .nothing
  }
}
