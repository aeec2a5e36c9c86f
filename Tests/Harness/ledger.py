"""Compares the messages that the sink accepted with the database: every attempt of every delivery is accounted for. A
lead is identified by its name, `Lead 000123`. An email is also identified by its Message-ID, which contains the
delivery's id."""

import json
import re
from collections import Counter
from datetime import datetime
from typing import NamedTuple

NAME = re.compile(r"Lead \d{6}")
MARK = "(possible repeat)"
CHANNELS = ("slack", "telegram", "email")
# Both use the same clock, but the sink writes whole milliseconds.
TOLERANCE = 0.005


def lead(number):
    """A lead that differs from every other."""
    return {"customerName": f"Lead {number:06}", "customerPhone": f"+97151{number:07}", "customerEmail": f"lead-{number}@example.com",
            "intent": "buy", "idempotencyKey": f"soak-{number}"}


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Taken(NamedTuple):
    """A message that the sink accepted."""
    at: float
    channel: str
    name: str
    marked: bool
    # The fault that kept the response from the sender: the message was not acknowledged.
    unanswered: str
    mail_id: str

    @classmethod
    def read(cls, message):
        text = json.dumps(message["body"], ensure_ascii=False)
        names = set(NAME.findall(text))
        assert len(names) == 1, f"one message, one lead: {text}"
        return cls(moment(message["time"]), message["channel"], names.pop(), MARK in text or MARK in message.get("subject", ""),
                   message.get("unanswered", ""), message.get("id", "") if message["channel"] == "email" else "")


class Attempt(NamedTuple):
    began: float
    ended: float
    kind: str
    # The code and status of the provider's response.
    code: str
    # The worker that began it, as host:pid.
    worker: str


class Delivery:
    def __init__(self, id, channel, name, status, kind, reason, next_at, retries):
        self.id, self.channel, self.name, self.status, self.kind, self.reason = id, channel, name, status, kind, reason
        self.next_at, self.retries = next_at, int(retries)
        self.attempts, self.taken = [], []
        # The index of the attempt that sent each message.
        self.tried = {}

    def match(self, killed):
        """Matches messages with attempts. A message belongs to the attempt during which it was accepted. If the attempt
        ended unknown because its sender was killed, the message may also arrive a little later."""
        self.taken.sort()
        for message in self.taken:
            # A deferred attempt sends nothing. A message accepted at its end belongs to the next attempt.
            begun = [n for n, attempt in enumerate(self.attempts) if attempt.kind != "deferred" and attempt.began - TOLERANCE <= message.at]
            if begun:
                attempt = self.attempts[begun[-1]]
                if message.at <= attempt.ended + (1 if killed and attempt.kind == "unknown" else TOLERANCE):
                    self.tried[message] = begun[-1]

    def unknown_before(self, message):
        return any(attempt.kind == "unknown" for attempt in self.attempts[:self.tried.get(message, 0)])

    @property
    def acknowledged(self):
        return [message for message in self.taken if not message.unanswered]

    def __repr__(self):
        return (f"{self.channel} {self.id} {self.name} {self.status} {self.kind} {self.reason!r}\n  attempts "
                + "\n        ".join(map(str, self.attempts)) + "\n  taken " + "\n        ".join(map(str, self.taken)))


class Ledger:
    def __init__(self, database, messages, killed=False):
        """`killed`: senders may be killed before they read the response."""
        self.deliveries, self.killed = {}, killed
        rows = self.table(database, """
          select d.id, d.channel, e.payload ->> 'customerName', d.status, coalesce(d.outcome_class, ''), coalesce(d.error_message, ''),
            coalesce(extract(epoch from d.next_attempt_at)::text, ''), d.retry_count
          from notification_logs d join lead_events e on e.id = d.lead_event_id""")
        for row in rows:
            self.deliveries[row[0]] = Delivery(*row)
        rows = self.table(database, """
          select delivery, extract(epoch from started_at), coalesce(extract(epoch from finished_at)::text, 'inf'),
            coalesce(class, 'open'), concat_ws(' ', provider_code, status_code), worker
          from (
            select * from notification_attempts
            union all
            select id, fence, retry_count + 1, begun_at, null, null, null, null, null, null, leased_by
            from notification_logs d where status = 'sending' and not exists (
              select from notification_attempts a where a.delivery = d.id and a.fence = d.fence)) attempts
          order by delivery, fence""")
        for id, began, ended, *rest in rows:
            self.deliveries[id].attempts.append(Attempt(float(began), float(ended), *rest))
        by_name = {(delivery.channel, delivery.name): delivery for delivery in self.deliveries.values()}
        for message in map(Taken.read, messages):
            delivery = by_name[message.channel, message.name]
            delivery.taken.append(message)
            if message.channel == "email":
                assert message.mail_id == f"<{delivery.id}@example.com>", (message, delivery)
        for delivery in self.deliveries.values():
            delivery.match(killed)

    @staticmethod
    def table(database, query):
        """Rows as lists of strings. Columns are separated by tabs, which no value contains."""
        done = database.psql(query, "-A", "-t", "-F", "\t")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def of(self, channel):
        return [delivery for delivery in self.deliveries.values() if delivery.channel == channel]

    def acknowledged(self, channel):
        return sum(len(delivery.acknowledged) for delivery in self.of(channel))

    def classes(self, channel):
        """The number of attempts in each class."""
        return Counter(attempt.kind for delivery in self.of(channel) for attempt in delivery.attempts)

    def words(self, channel, kind):
        """The provider's responses to attempts of this class."""
        return Counter(attempt.code for delivery in self.of(channel) for attempt in delivery.attempts if attempt.kind == kind)

    # ── What must be true ──

    def unsettled(self, parks=False):
        """Deliveries that are not final and not waiting with a reason and a time. A parked message with an unknown
        outcome is final."""
        return [d for d in self.deliveries.values() if not (
            d.status == "sent" and d.acknowledged or d.status == "failed" and d.reason and (
                d.next_at or d.kind == "permanent" or parks and d.kind == "unknown" and d.channel != "email"))]

    def repeats(self):
        """Deliveries with a message that was accepted after an acknowledged one."""
        return [d for d in self.deliveries.values() if d.acknowledged and d.taken[-1].at > min(m.at for m in d.acknowledged)]

    def wrong_outcomes(self):
        """Attempts whose class does not match what happened in the sink during them, and messages that belong to no
        attempt."""
        unknown = ([], [True], [False]) if self.killed else ([], [True])
        wrong = []
        for d in self.deliveries.values():
            for number, attempt in enumerate(d.attempts):
                answers = [bool(message.unanswered) for message in d.taken if d.tried.get(message) == number]
                fits = {"delivered": answers == [False], "unknown": answers in unknown}.get(attempt.kind, not answers)
                if not fits:
                    wrong.append((attempt, d))
            wrong += [(message, d) for message in d.taken if message not in d.tried]
        return wrong

    def unmarked_repeats(self):
        """Deliveries to Slack and Telegram with a message that follows another or an unknown attempt and is not marked
        as a repeat."""
        return [d for d in self.deliveries.values() if d.channel != "email" and any(
            not message.marked and (n > 0 or d.unknown_before(message)) for n, message in enumerate(d.taken))]

    def untold_repeats(self):
        """As `unmarked_repeats`, if the network may deliver a message after its sender has given up, and after a repeat of
        it: all messages of a delivery but one are marked, and so is that of every attempt that succeeded after an unknown
        one."""
        def is_told(d):
            later = [attempt for n, attempt in enumerate(d.attempts) if attempt.kind == "delivered" and any(a.kind == "unknown" for a in d.attempts[:n])]
            return sum(not message.marked for message in d.taken) <= 1 and all(
                any(message.marked and attempt.began - TOLERANCE <= message.at <= attempt.ended + TOLERANCE for message in d.taken) for attempt in later)
        return [d for d in self.deliveries.values() if d.channel != "email" and not is_told(d)]

    def marked_without_reason(self):
        """Deliveries with a message that is marked as a repeat although no earlier attempt ended unknown."""
        return [d for d in self.deliveries.values() if any(message.marked and not d.unknown_before(message) for message in d.taken)]

    def marked_first_messages(self):
        """Deliveries whose first message is marked as a repeat, because the attempt before it did not reach the
        provider. This is allowed."""
        return [d for d in self.deliveries.values() if d.taken and d.taken[0].marked]


def none(items, what):
    """Fails with the first few items, if there are any."""
    items = list(items)
    assert not items, f"{len(items)} {what}, as\n" + "\n".join(str(item)[:1500] for item in items[:4])


def spread(values):
    """Median, 95th percentile and maximum."""
    values = sorted(values)
    if not values:
        return "none"
    median, most = values[len(values) // 2], values[min(len(values) - 1, len(values) * 95 // 100)]
    return f"median {median:.1f}, 95 % {most:.1f}, greatest {values[-1]:.1f}"
