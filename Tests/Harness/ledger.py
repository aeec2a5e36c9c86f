"""What the providers' stand-in took, beside what the database says of it: every try of every delivery is accounted for.

A lead is known by its name, `Lead 000123`; a mail by its Message-ID as well, which holds the delivery's id."""

import json
import re
from collections import Counter
from datetime import datetime
from typing import NamedTuple

NAME = re.compile(r"Lead \d{6}")
MARK = "(possible repeat)"
CHANNELS = ("slack", "telegram", "email")
# The clocks are one, but the sink writes whole milliseconds.
TOLERANCE = 0.005


def lead(number):
    """A lead that is told apart from every other."""
    return {"customerName": f"Lead {number:06}", "customerPhone": f"+97151{number:07}", "customerEmail": f"lead-{number}@example.com",
            "intent": "buy", "idempotencyKey": f"soak-{number}"}


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Taken(NamedTuple):
    """A message that the sink took."""
    at: float
    channel: str
    name: str
    marked: bool
    # The fault that kept the answer from its sender: it was not acknowledged.
    unanswered: str
    mail_id: str

    @classmethod
    def read(cls, message):
        text = json.dumps(message["body"], ensure_ascii=False)
        names = set(NAME.findall(text))
        assert len(names) == 1, f"one message, one lead: {text}"
        return cls(moment(message["time"]), message["channel"], names.pop(), MARK in text or MARK in message.get("subject", ""),
                   message.get("unanswered", ""), message.get("id", "") if message["channel"] == "email" else "")


class Try(NamedTuple):
    began: float
    ended: float
    kind: str
    # What the provider said: its word and its status.
    code: str
    # The one that began it, as host:pid.
    worker: str


class Delivery:
    def __init__(self, id, channel, name, status, kind, reason, next_at, retries):
        self.id, self.channel, self.name, self.status, self.kind, self.reason = id, channel, name, status, kind, reason
        self.next_at, self.retries = next_at, int(retries)
        self.tries, self.taken = [], []
        # The number of the try in which a message was taken.
        self.tried = {}

    def match(self, killed):
        """What is taken between the begin and the end of a try is of that try; of one that ends unknown because its sender was killed
        also what arrives a little later."""
        self.taken.sort()
        for message in self.taken:
            # One that was put back sends nothing: what is taken at its end is of the next.
            begun = [n for n, attempt in enumerate(self.tries) if attempt.kind != "deferred" and attempt.began - TOLERANCE <= message.at]
            if begun:
                attempt = self.tries[begun[-1]]
                if message.at <= attempt.ended + (1 if killed and attempt.kind == "unknown" else TOLERANCE):
                    self.tried[message] = begun[-1]

    def unknown_before(self, message):
        return any(attempt.kind == "unknown" for attempt in self.tries[:self.tried.get(message, 0)])

    @property
    def acknowledged(self):
        return [message for message in self.taken if not message.unanswered]

    def __repr__(self):
        return (f"{self.channel} {self.id} {self.name} {self.status} {self.kind} {self.reason!r}\n  tries "
                + "\n        ".join(map(str, self.tries)) + "\n  taken " + "\n        ".join(map(str, self.taken)))


class Ledger:
    def __init__(self, database, messages, killed=False):
        """`killed`: a sender may never read its answer."""
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
          from notification_attempts order by delivery, fence""")
        for id, began, ended, *rest in rows:
            self.deliveries[id].tries.append(Try(float(began), float(ended), *rest))
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
        """Rows as lists of text; a tab parts the columns, which none of ours holds."""
        done = database.psql(query, "-A", "-t", "-F", "\t")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def of(self, channel):
        return [delivery for delivery in self.deliveries.values() if delivery.channel == channel]

    def acknowledged(self, channel):
        return sum(len(delivery.acknowledged) for delivery in self.of(channel))

    def classes(self, channel):
        """How many tries came to which class."""
        return Counter(attempt.kind for delivery in self.of(channel) for attempt in delivery.tries)

    def words(self, channel, kind):
        """What the provider said where tries came to this class."""
        return Counter(attempt.code for delivery in self.of(channel) for attempt in delivery.tries if attempt.kind == kind)

    # ── What must be true ──

    def unsettled(self, parks=False):
        """What is neither final nor waiting with a reason and a time. A message of which nobody knows is final where it is parked."""
        return [d for d in self.deliveries.values() if not (
            d.status == "sent" and d.acknowledged or d.status == "failed" and d.reason and (
                d.next_at or d.kind == "permanent" or parks and d.kind == "unknown" and d.channel != "email"))]

    def repeats(self):
        """Deliveries of which a message was taken after one that was acknowledged."""
        return [d for d in self.deliveries.values() if d.acknowledged and d.taken[-1].at > min(m.at for m in d.acknowledged)]

    def misjudged(self):
        """Tries whose class is not what happened in the sink while they lasted, and messages that belong to no try."""
        unknown = ([], [True], [False]) if self.killed else ([], [True])
        wrong = []
        for d in self.deliveries.values():
            for number, attempt in enumerate(d.tries):
                answers = [bool(message.unanswered) for message in d.taken if d.tried.get(message) == number]
                fits = {"delivered": answers == [False], "unknown": answers in unknown}.get(attempt.kind, not answers)
                if not fits:
                    wrong.append((attempt, d))
            wrong += [(message, d) for message in d.taken if message not in d.tried]
        return wrong

    def silent_repeats(self):
        """Messages to Slack and Telegram that come after another, or after an unknown try, and do not say so."""
        return [d for d in self.deliveries.values() if d.channel != "email" and any(
            not message.marked and (n > 0 or d.unknown_before(message)) for n, message in enumerate(d.taken))]

    def marked_for_nothing(self):
        """Messages that say so though no try before them ended unknown."""
        return [d for d in self.deliveries.values() if any(message.marked and not d.unknown_before(message) for message in d.taken)]

    def first_but_marked(self):
        """Messages that say so and were the first: the try before them never came so far. Allowed, and a pity."""
        return [d for d in self.deliveries.values() if d.taken and d.taken[0].marked]


def none(items, what):
    """Fails with the first few of what must not be there."""
    items = list(items)
    assert not items, f"{len(items)} {what}, as\n" + "\n".join(str(item)[:1500] for item in items[:4])


def spread(values):
    """Median, 95th of a hundred, greatest."""
    values = sorted(values)
    if not values:
        return "none"
    median, most = values[len(values) // 2], values[min(len(values) - 1, len(values) * 95 // 100)]
    return f"median {median:.1f}, 95 % {most:.1f}, greatest {values[-1]:.1f}"
