"""The roll-back of the deployment checklist (docs/how-to/roll-back.md): the event tables are dropped while leads are
captured, a worker announces the leads directly, and nothing is sent twice when events come back."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest

from cluster import leadpipe
from common import BIN, clean_environment, until
from deployment import Deployment
from stubs import Providers

EVENTS_OFF = "drop table notification_logs, follow_up_tasks, conversation_timeline, lead_events"
ENVELOPE = '{"limits": {"slack": 10}, "worker": "w", "isComplete": true}'


@pytest.fixture
def providers():
    providers = Providers()
    yield providers
    providers.close()


@pytest.fixture
def parts(cluster, providers, tmp_path):
    database = cluster.migrated()
    settings = {"SLACK_WEBHOOK_URL": providers.settings["SLACK_WEBHOOK_URL"], "RATE_LIMIT_LEAD": "off"}
    with Deployment(database, tmp_path, settings) as deployment:
        deployment.providers = providers
        yield deployment
    cluster.drop(database)


class Feed:
    """Sends leads until it is stopped, and notes each last reply. Repeats a lead after a 503, as the chatbot does. A
    context."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/api/chatbot/leads"
        self.statuses, self.names, self.count, self.repeated = Counter(), [], 0, 0
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(3)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)

    def send(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while not self.ended.is_set():
            with self.lock:
                self.count += 1
                number = self.count
            name = f"Feed {number:05d}"
            body = {"customerName": name, "customerPhone": f"+97150{number:07d}", "intent": "buy"}
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"feed-{number}"}
            request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
            for _ in range(5):
                try:
                    with opener.open(request, timeout=20) as reply:
                        status = reply.status
                except urllib.error.HTTPError as error:
                    status = f"{error.code} {error.read().decode()}"
                    if error.code == 503:
                        self.repeated += 1
                        time.sleep(1)
                        continue
                break
            with self.lock:
                self.statuses[status] += 1
                if status == 201:
                    self.names.append(name)
            time.sleep(0.05)

    def goes_on(self, count=30):
        """Waits until so many more leads are stored."""
        before = len(self.names)
        until(lambda: len(self.names) >= before + count, 30, "the feed")


def announced(providers):
    """How often each lead of the feed has arrived at Slack."""
    return Counter(message["json"]["text"].split("New Lead: ")[1][:10] for message in providers.of("slack"))


def rolled_back(deployment):
    return leadpipe("rollback", "--yes", DATABASE_URL=deployment.settings["DATABASE_URL"])


def unsent(deployment):
    return deployment.database.count("leadpipe.unsent_leads")


def start_direct_worker(deployment, **more):
    """Not start_worker, which waits for the heartbeat in a table that may not exist."""
    deployment.stop("worker")
    deployment.worker = deployment.start(["worker"], {"DIRECT_NOTIFICATIONS": "true", **more})


def capture(deployment, name, **more):
    body = {"customerName": name, "customerPhone": "+971501234567", "intent": "buy", **more}
    request = urllib.request.Request(f"http://127.0.0.1:{deployment.port}/api/chatbot/leads", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
        return reply.status


@pytest.mark.seconds(120)
def test_every_lead_arrives_once_while_events_go_and_come_back(parts, providers):
    with Feed(parts.port) as feed:
        feed.goes_on()
        parts.stop("worker")
        feed.goes_on()
        done = rolled_back(parts)
        assert done.returncode == 0, done.stderr
        feed.goes_on()
        start_direct_worker(parts)
        feed.goes_on(60)
        until(lambda: unsent(parts) < 10, 30, "the leads that waited")
        parts.stop("worker")
        feed.goes_on()
        done = leadpipe("migrate", DATABASE_URL=parts.settings["DATABASE_URL"])
        assert done.returncode == 0, done.stderr
        feed.goes_on()
        parts.start_worker(DIRECT_NOTIFICATIONS="true")
        feed.goes_on()
    log = (parts.folder / "log").read_text()
    assert set(feed.statuses) == {201}, "\n".join(line for line in log.splitlines() if "refused the call" in line)
    assert feed.repeated < 20
    assert parts.database.count("conversations") == len(feed.names)
    until(lambda: len(announced(providers)) == len(feed.names), 60, "all messages")
    until(lambda: not unsent(parts) and not parts.database.count("lead_events", "not processed"), 20, "all outcomes")
    time.sleep(2)
    assert announced(providers) == Counter(feed.names)
    events = parts.database.count("lead_events", "event_type = 'lead.created'")
    assert 30 <= events < len(feed.names) - 60, "events are on again, and leads of the time without events have none"


@pytest.mark.seconds(90)
def test_a_message_in_flight_survives_the_rollback(parts, providers):
    """The worker is not stopped first: it records what it has begun to send under the same id and fence."""
    providers.answers["slack"] = "hold"
    parts.start_worker(DIRECT_NOTIFICATIONS="true")
    assert capture(parts, "In Flight") == 201
    until(lambda: len(providers.of("slack")) == 1, 15, "the request")
    assert capture(parts, "Behind It", customerPhone="+971501234568") == 201
    assert rolled_back(parts).returncode == 0
    providers.answers["slack"] = None
    providers.release.set()
    until(lambda: not unsent(parts), 30, "both to be sent")
    time.sleep(2)
    assert sorted(message["json"]["text"].split("New Lead: ")[1][:9] for message in providers.of("slack")) == ["Behind It", "In Flight"]


@pytest.mark.seconds(90)
def test_leads_wait_visibly_without_the_setting(parts, providers):
    parts.database.run(EVENTS_OFF)
    assert capture(parts, "Not Announced") == 201
    until(lambda: "nothing is sent unsentLeads=1" in (parts.folder / "log").read_text(), 15, "the warning")
    log = (parts.folder / "log").read_text()
    assert "[ERROR] Failed to emit lead.created event" in log
    assert "1 leads are not announced" in parts.check().failed["before.events"][0]
    assert not providers.of("slack")
    start_direct_worker(parts)
    until(lambda: len(providers.of("slack")) == 1, 15, "the message")
    until(lambda: not unsent(parts), 10, "the outcome")
    assert "[INFO] Notifications sent via: slack" in (parts.folder / "log").read_text()
    assert "the worker announces leads directly; 0 leads are not announced" in parts.check(DIRECT_NOTIFICATIONS="true").failed["before.events"][0]


@pytest.mark.seconds(90)
def test_a_failed_message_is_sent_again(parts, providers):
    parts.database.run(EVENTS_OFF)
    providers.answers["slack"] = (500, "oops", {})
    start_direct_worker(parts)
    assert capture(parts, "Tried Twice") == 201
    until(lambda: parts.database.count("leadpipe.direct_deliveries", "status = 'failed' and retry_count = 1 and due_at > now()"), 15, "the failure")
    providers.answers["slack"] = None
    parts.database.run("update leadpipe.direct_deliveries set due_at = now()")
    until(lambda: not unsent(parts), 15, "the second attempt")
    assert len(providers.of("slack")) == 2


def claimed(deployment, name):
    settings = {"DATABASE_URL": deployment.settings["DATABASE_URL"], "DIRECT_NOTIFICATIONS": "true",
                "LEADPIPE_CHANNELS": '[{"channel":"slack","recipient":"default"}]'}
    done = subprocess.run([str(BIN / "handlers" / "event-claim")], input=ENVELOPE.replace('"w"', f'"{name}"'), env=clean_environment(**settings), text=True,
                          capture_output=True, timeout=20, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.seconds(90)
def test_each_lead_is_claimed_once_and_again_after_its_lease(parts):
    """A claimer that dies after the claim loses no lead; one that dies after the begin leaves a possible repeat."""
    parts.database.run(EVENTS_OFF)
    parts.stop("worker")
    for number in range(4):
        assert capture(parts, f"Lead {number}", customerPhone=f"+97150123456{number}") == 201
    first, second = claimed(parts, "one"), claimed(parts, "two")
    assert len(first) == 4 and second == []
    parts.database.run("update leadpipe.direct_deliveries set lease_until = now() - interval '1 second'")
    again = claimed(parts, "two")
    assert {line["id"] for line in again} == {line["id"] for line in first} and {line["fence"] for line in again} == {2}
    assert not any("possibleRepeat" in line for line in again)
    # The first claimer is too late to begin, the second is not.
    begin = "select begin_deliveries(jsonb_build_object('deliveries', jsonb_build_array(jsonb_build_object('id', '{id}', 'fence', {fence}))))"
    late, begun = (json.loads(parts.database.text(begin.format(**lines[0]))) for lines in (sorted(first, key=by_id), sorted(again, key=by_id)))
    assert late["begun"] == [] and len(late["lost"]) == 1 and len(begun["begun"]) == 1 and begun["lost"] == []
    parts.database.run("update leadpipe.direct_deliveries set lease_until = now() - interval '1 second', due_at = now()")
    assert len(claimed(parts, "three")) == 3
    parts.database.run("update leadpipe.direct_deliveries set due_at = now()")
    repeat, = claimed(parts, "four")
    assert repeat["id"] == min(line["id"] for line in again) and repeat["possibleRepeat"] is True and repeat["attempt"] == 2


def by_id(line):
    return line["id"]


def test_a_reopened_conversation_is_announced_and_an_erased_one_is_not(parts, providers):
    parts.database.run(EVENTS_OFF)
    parts.stop("worker")
    assert capture(parts, "Closed Lead", idempotencyKey="first") == 201
    parts.database.run("delete from leadpipe.unsent_leads; update conversations set status = 'lost'")
    conversation = parts.database.text("select id from conversations")
    assert capture(parts, "Closed Lead", conversationId=conversation) == 200
    assert parts.database.text("select event_type, payload ->> 'reopenedFrom' from leadpipe.unsent_leads") == "lead.updated|lost"
    parts.database.run(f"select leadpipe.erase_conversations(array['{conversation}']::uuid[], 'test')")
    assert unsent(parts) == 0


def test_a_lead_that_is_brought_back_from_spam_is_announced(parts):
    parts.database.run(EVENTS_OFF)
    parts.stop("worker")
    assert capture(parts, "Kept Aside") == 201
    parts.database.run("update conversations set status = 'spam'")
    assert claimed(parts, "one") == []
    assert "0 leads are not announced" in parts.check().failed["before.events"][0]
    parts.database.run("update conversations set status = 'new'; select leadpipe.release_spam(id) from conversations")
    assert len(claimed(parts, "two")) == 1


def test_a_new_recipient_gets_what_waits_for_the_old_one(parts):
    parts.database.run(EVENTS_OFF)
    parts.stop("worker")
    assert capture(parts, "Moved Away", idempotencyKey="moved") == 201
    assert len(claimed(parts, "one")) == 1
    parts.database.run("update leadpipe.direct_deliveries set lease_until = null, recipient = 'gone', due_at = now()")
    assert len(claimed(parts, "two")) == 1


def test_pruning_goes_on_without_events(parts):
    parts.database.run(EVENTS_OFF)
    parts.stop("worker")
    assert capture(parts, "Given Up Long Ago") == 201
    parts.database.run("update leadpipe.unsent_leads set created_at = now() - interval '100 days', planned_at = now()")
    parts.database.run("""select prune('{"days": 90}')""")
    assert unsent(parts) == 0
