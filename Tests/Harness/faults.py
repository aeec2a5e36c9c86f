"""Thousands of leads while every fault in docs/reference/providers.md occurs, and the operator's work on the deliveries
that failed."""

import json
import subprocess
import time
from collections import Counter
from itertools import chain

from cluster import leadpipe
from common import HANDLERS, clean_environment, until
from instance import Instance
from ledger import CHANNELS, Ledger, lead, none
from sink import Sink

# Each fault with the class of the attempt that meets it. None: the message is accepted and acknowledged in time. FORM:
# the same attempt continues once in another form. UNSENT: retry or unknown, depending on how much of the message was
# sent.
RETRY, THROTTLED, CONFIG, PERMANENT, UNKNOWN, UNSENT, FORM = "retry", "throttled", "config", "permanent", "unknown", "unsent", "form"


def said(say, kind, **more):
    return {"fail": "refuse", "say": say, **more}, kind


def status(number, kind, **more):
    return {"fail": "refuse", "status": number, **more}, kind


BROKEN = [
    ({"fail": "drop"}, UNKNOWN), ({"fail": "drop", "taken": True}, UNKNOWN), ({"fail": "reset"}, UNKNOWN),
    ({"fail": "reset", "taken": True}, UNKNOWN), ({"fail": "drop", "at": "head"}, UNSENT), ({"fail": "reset", "at": "head"}, UNSENT),
    ({"fail": "garble"}, UNKNOWN), ({"fail": "garble", "taken": True}, UNKNOWN), ({"fail": "cut"}, UNKNOWN),
    ({"fail": "cut", "taken": True}, UNKNOWN), ({"fail": "slow", "milliseconds": 300}, None)]
PROXIES = [*(status(n, RETRY) for n in (408, 425, 500, 502, 503, 504)), *(status(n, CONFIG) for n in (302, 401, 403, 404, 410)),
           *(status(n, PERMANENT) for n in (418, 501, 505)), status(429, THROTTLED, retryAfter=1), status(503, RETRY, retryAfter=3)]
ONCE = {
    "slack": [
        *(said(word, CONFIG) for word in (
            "user_not_found", "action_prohibited", "invalid_token", "team_disabled", "posting_to_general_channel_denied",
            "channel_not_found", "no_active_hooks", "no_service", "no_service_id", "no_team", "channel_is_archived")),
        said("invalid_payload", PERMANENT), said("no_text", PERMANENT), said("rollup_error", RETRY),
        said("rate_limited", THROTTLED, retryAfter=2), *PROXIES, *BROKEN,
        *(said(word, FORM) for word in ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "too_many_attachments"))],
    "telegram": [
        *(said(text, CONFIG) for text in (
            "Bad Request: chat not found", "Unauthorized", "Forbidden: bot was blocked by the user", "Forbidden: user is deactivated",
            "Forbidden: bot was kicked from the group chat", "Forbidden: bot is not a member of the channel chat",
            "Forbidden: the group chat was deleted", "Not Found")),
        said("Bad Request: message text is empty", PERMANENT),
        said("Internal Server Error", RETRY), said("Internal Server Error: restart", RETRY),
        said("Too Many Requests", THROTTLED, retryAfter=2), *PROXIES, *BROKEN,
        said("Bad Request: can't parse entities", FORM), said("Bad Request: message is too long", FORM),
        said("Bad Request: group chat was upgraded to a supergroup chat", FORM, migrateTo=-100987)],
    "email": [
        *(said(line, CONFIG, at="auth") for line in ("535 5.7.8 no", "534 5.7.9 too weak", "538 5.7.11 TLS first")),
        said("454 4.7.0 later", RETRY, at="auth"), said("530 5.7.0 TLS first", CONFIG, at="mail"),
        said("554 5.7.1 not you", CONFIG, at="greeting"), said("550 who are you", CONFIG, at="hello"), said("550 5.7.1 policy", CONFIG, at="mail"),
        said("421 4.3.2 busy", RETRY, at="greeting"), said("451 4.3.0 later", RETRY, at="mail"),
        said("450 4.2.0 busy", RETRY, at="rcpt"), said("452 4.3.1 full", RETRY, at="data"), said("451 4.7.1 grey", RETRY),
        said("550 5.1.1 who", PERMANENT, at="rcpt"), said("552 5.2.2 full", PERMANENT, at="rcpt"),
        said("554 5.6.0 no", PERMANENT), said("553 5.1.3 what", PERMANENT, at="mail"),
        ({"fail": "greylist", "at": "rcpt"}, RETRY), ({"fail": "greylist", "at": "body"}, RETRY), ({"fail": "tls"}, RETRY),
        *(({"fail": way, "at": at}, RETRY) for way in ("drop", "reset") for at in ("greeting", "hello", "auth", "mail", "rcpt", "data")),
        *(({"fail": way, "taken": taken}, UNKNOWN) for way in ("drop", "reset") for taken in (False, True)),
        ({"fail": "slow", "milliseconds": 300}, None), ({"fail": "slow", "at": "rcpt", "milliseconds": 300}, None)],
}
# Faults that use up the sender's whole time limit of ten seconds.
HANGS = {
    "slack": [({"fail": "hang"}, UNKNOWN), ({"fail": "hang", "taken": True}, UNKNOWN)],
    "telegram": [({"fail": "hang"}, UNKNOWN), ({"fail": "hang", "taken": True}, UNKNOWN)],
    "email": [({"fail": "hang", "at": "rcpt"}, RETRY), ({"fail": "hang"}, UNKNOWN), ({"fail": "hang", "taken": True}, UNKNOWN)],
}
# The percentage of requests that meet each of these faults: 20 % in all.
OFTEN = {
    "slack": [(3, said("rollup_error", RETRY)), (3, status(503, RETRY)), (2, status(500, RETRY)), (2, BROKEN[0]), (2, BROKEN[1]),
              (1, BROKEN[5]), (1, BROKEN[3]), (1, BROKEN[6]), (1, BROKEN[9]), (1, ({"fail": "slow", "milliseconds": 30}, None)),
              (1, said("invalid_blocks", FORM)), (1, said("invalid_payload", PERMANENT)), (1, said("rate_limited", THROTTLED, retryAfter=1))],
    "telegram": [(3, said("Internal Server Error", RETRY)), (3, status(502, RETRY)), (2, status(500, RETRY)), (2, BROKEN[0]),
                 (2, BROKEN[1]), (1, BROKEN[5]), (1, BROKEN[3]), (1, BROKEN[7]), (1, BROKEN[8]),
                 (1, ({"fail": "slow", "milliseconds": 30}, None)), (1, said("Bad Request: can't parse entities", FORM)),
                 (1, said("Bad Request: message text is empty", PERMANENT)), (1, said("Too Many Requests", THROTTLED, retryAfter=1))],
    "email": [(2, said("451 4.3.0 later", RETRY, at="mail")), (2, said("450 4.2.0 busy", RETRY, at="rcpt")),
              (1, said("452 4.3.1 full", RETRY, at="data")), (3, ({"fail": "greylist", "at": "body"}, RETRY)),
              (1, said("421 4.3.2 busy", RETRY, at="mail")), (1, ({"fail": "drop", "at": "data"}, RETRY)),
              (1, ({"fail": "reset", "at": "rcpt"}, RETRY)), (3, ({"fail": "drop", "taken": True}, UNKNOWN)),
              (1, ({"fail": "drop"}, UNKNOWN)), (1, ({"fail": "reset", "taken": True}, UNKNOWN)),
              (1, said("550 5.1.1 who", PERMANENT, at="rcpt")), (1, said("554 5.6.0 no", PERMANENT)),
              (1, ({"fail": "slow", "milliseconds": 30}, None)), (1, ({"fail": "tls"}, RETRY))],
}


def kind(fault):
    """The name under which the sink counts a fault."""
    way, at = fault["fail"], fault.get("at", {"greylist": "rcpt"}.get(fault["fail"], "body"))
    if way == "refuse":
        if "say" not in fault:
            return f"status {fault['status']}"
        return fault["say"] if fault["say"][0].isalpha() else f"{fault['say'][:3]} at {at}"
    return way if way in ("slow", "garble", "cut", "tls") else f"{way} at {at}"


class Plan:
    """A behaviour of the sink, and the expected outcome class of each of its faults."""

    def __init__(self, seed, every, hangs):
        """`every` = 3 uses every third of the faults that occur once."""
        self.document = {"seed": seed}
        self.classes = {}
        for channel in CHANNELS:
            once = self.apart(ONCE[channel][seed % every::every] + (HANGS[channel] if hangs else []))
            self.document[channel] = [{**fault, "times": 1} for fault, _ in once]
            self.document[channel] += [{**fault, "percent": share} for share, (fault, _) in OFTEN[channel]]
            for fault, outcome in chain(once, (item for _, item in OFTEN[channel])):
                known = self.classes.setdefault((channel, kind(fault)), set())
                known.add(outcome)
        assert all(len(known) == 1 for known in self.classes.values()), "two faults with the same name must lead to the same class"
        assert all(sum(share for share, _ in OFTEN[channel]) == 20 for channel in CHANNELS)

    @staticmethod
    def apart(faults):
        """Keeps rejected forms apart. Two in a row would end the same attempt."""
        forms = [fault for fault in faults if fault[1] == FORM]
        others = [fault for fault in faults if fault[1] != FORM]
        for n, fault in enumerate(forms):
            others.insert(3 * n, fault)
        return others

    def expected(self, channel, counts):
        """The number of attempts in each class, from what the sink did."""
        expected = Counter({"delivered": counts["taken"]})
        for name, times in counts["failed"].items():
            outcome, = self.classes[channel, name]
            # A client rejected at EHLO sends HELO next.
            times = (times + 1) // 2 if name == "550 at hello" else times
            expected[outcome] += times
        return expected


class Run:
    """One run over a fresh database. The first part ends when no next attempt is due within `horizon` seconds."""

    def __init__(self, database, folder, count, seed, horizon, every, hangs, parks):
        self.database, self.count, self.seed, self.horizon, self.parks = database, count, seed, horizon, parks
        self.plan = Plan(seed, every, hangs)
        self.sink = Sink(folder, self.plan.document)
        self.resumed = Counter()
        self.story = []

    def say(self, text):
        self.story.append(text)
        print(text, flush=True)

    def check(self, seconds):
        began = time.monotonic()
        self.say(f"seed {self.seed}, {self.count} leads, {', '.join(CHANNELS)}")
        settings = {**self.sink.settings, "EMAIL_USER": "u", "EMAIL_PASS": "p", "WORKER_BATCH_SIZE": "50", "WORKER_POLL_SECONDS": "1",
                    "UNKNOWN_OUTCOME": "park" if self.parks else "resend"}
        with Instance(DATABASE_URL=self.database.url, **settings) as instance:
            self.capture()
            self.say(f"captured after {time.monotonic() - began:.0f} s")
            until(lambda: self.is_quiet(instance), seconds, "the first part: nothing is due soon")
            self.say(f"first part over after {time.monotonic() - began:.0f} s; ended configuration pauses {dict(self.resumed)}")
            before = self.look("before the operator")
            self.heal()
            until(lambda: self.database.count("notification_logs", "status <> 'sent'") == 0, seconds, "everything to be sent")
            self.say(f"all sent after {time.monotonic() - began:.0f} s")
            # Longer than the check of a lease, to see that nothing else is sent.
            time.sleep(1.5)
            after = self.look("after the operator")
            self.check_settled(after)
        return before, after

    def capture(self):
        lines = "".join(json.dumps(lead(number)) + "\n" for number in range(1, self.count + 1))
        done = subprocess.run([str(HANDLERS / "lead-capture"), "--stream"], input=lines, text=True, capture_output=True, timeout=300,
                              env=clean_environment(DATABASE_URL=self.database.url, LOG_LEVEL="error"), cwd="/")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == self.count, done.stderr[-2000:]

    def operate(self, *words):
        done = leadpipe(*words, DATABASE_URL=self.database.url)
        assert done.returncode == 0, (words, done.stdout[-500:], done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()] if "--json" in words else done.stdout

    def is_quiet(self, instance):
        """Ends the pauses that need the operator. True if nothing is due soon."""
        assert instance.process.poll() is None, instance.log[-2000:]
        for row in self.operate("channel", "list", "--json"):
            if row["state"] == "paused" and row["class"] == "config":
                self.operate("channel", "resume", row["name"])
                self.resumed[row["name"]] += 1
        time.sleep(0.2)
        return self.database.text(f"""
          select not exists (select from lead_events where planned_at is null) and not exists (
            select from notification_logs where status in ('pending', 'sending') or next_attempt_at < now() + interval '{self.horizon} seconds')
          """) == "t"

    def heal(self):
        """Ends the faults of the providers, and resumes the channels and retries the failed deliveries as an operator
        would."""
        self.sink.request("DELETE", "/behaviour")
        for channel in CHANNELS:
            self.operate("channel", "resume", channel)
            failed = self.database.count("notification_logs", f"channel = '{channel}' and status = 'failed'")
            if failed:
                told = self.operate("delivery", "retry", "--channel", channel)
                assert f"{failed} will be retried at once" in told, (failed, told[-300:])

    # ── Checks ──

    def look(self, when):
        """Compares the sink with the database, for each delivery and in total."""
        counts, ledger = self.sink.counts, Ledger(self.database, self.sink.messages)
        self.say(f"── {when}")
        for channel in CHANNELS:
            deliveries = ledger.of(channel)
            states = Counter(d.status if d.status != "failed" else "waiting" if d.next_at else "given up" for d in deliveries)
            self.say(f"{channel:<9}{dict(states)}; taken {counts[channel]['taken']}, of them acknowledged {ledger.acknowledged(channel)}; "
                     f"faults {sum(counts[channel]['failed'].values())}; attempts {dict(ledger.classes(channel))}")
        none(ledger.unsettled(self.parks), "deliveries that are not final and not waiting with a reason and a time")
        none(ledger.repeats(), "repeats of acknowledged messages")
        none(ledger.wrong_outcomes(), "attempts with a wrong outcome")
        none(ledger.unmarked_repeats(), "repeats that are not marked")
        none(ledger.marked_without_reason(), "messages marked as a repeat without a reason")
        for channel in CHANNELS:
            deliveries = ledger.of(channel)
            assert len(deliveries) == self.count, (channel, len(deliveries))
            sent = sum(d.status == "sent" for d in deliveries)
            assert ledger.acknowledged(channel) == sent, (channel, ledger.acknowledged(channel), sent)
            self.check_classes(channel, counts[channel], ledger)
        return ledger

    def check_classes(self, channel, counts, ledger):
        """Checks that every fault got the class in docs/reference/providers.md, by comparing the totals."""
        found = ledger.classes(channel)
        expected = self.plan.expected(channel, counts)
        unsent, forms, _ = expected.pop(UNSENT, 0), expected.pop(FORM, 0), expected.pop(None, None)
        # A message that was accepted but not acknowledged is counted with its fault.
        expected["delivered"] = ledger.acknowledged(channel)
        for name in (RETRY, THROTTLED, CONFIG, PERMANENT, "delivered"):
            # A form that is rejected twice ends its attempt.
            room = unsent if name == RETRY else forms // 2 if name == PERMANENT else 0
            assert expected[name] <= found[name] <= expected[name] + room, (
                channel, name, expected, found, counts["failed"], ledger.words(channel, name))
        assert expected[RETRY] + expected[UNKNOWN] + unsent == found[RETRY] + found[UNKNOWN], (channel, expected, found)
        assert set(found) <= {*expected, RETRY, UNKNOWN, "deferred"}, (channel, found)

    def check_settled(self, ledger):
        assert self.database.count("lead_events", "not processed") == 0
        assert self.database.count("notification_logs", "lease_until is not null or next_attempt_at is not null") == 0
        none((d for d in ledger.deliveries.values() if len(d.acknowledged) != 1), "deliveries not acknowledged exactly once")
        spent = Counter(attempt.kind not in (THROTTLED, CONFIG, "deferred") for d in ledger.deliveries.values() for attempt in d.attempts)
        assert sum(d.retries for d in ledger.deliveries.values()) == spent[True], "the number of counted attempts is wrong"


def check(database, folder, count, seed, horizon, seconds, every=1, hangs=True, parks=False):
    run = Run(database, folder, count, seed, horizon, every, hangs, parks)
    try:
        return run.check(seconds)
    finally:
        run.sink.close()
