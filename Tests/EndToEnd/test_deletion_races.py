"""Rows are deleted while others use them: idempotency keys are pruned and agents deleted under load. No lead is lost, no
request fails, no row is left without its owner, and there is no deadlock."""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from admin import KEY, AdminClient
from cluster import Session
from common import TEST_USER
from instance import Instance, without_limits

SECONDS = 12


@pytest.fixture
def instance(database):
    """Does not wait for the disk, so that more calls meet and a slow disk fails no request."""
    database.run(f"alter database {database.name} set synchronous_commit = off")
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", **without_limits()) as instance:
        yield instance


class Meanwhile:
    """Repeats SQL statements in sessions of their own until the end of the block. `failures` has what the server refused."""

    def __init__(self, database, *statements):
        self.database = database
        self.ended = threading.Event()
        self.failures = []
        self.counts = [0] * len(statements)
        self.threads = [threading.Thread(target=self.repeat, args=each) for each in enumerate(statements)]

    def repeat(self, number, statement):
        with Session(self.database.url) as session:
            while not self.ended.is_set():
                try:
                    session.text(statement)
                    self.counts[number] += 1
                except AssertionError as error:
                    self.failures.append(str(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)


def for_a_while(work, clients=16):
    """Calls `work` with the number of the client, again and again. Returns all results."""
    end = time.monotonic() + SECONDS

    def client(number):
        results = []
        while time.monotonic() < end:
            results.append(work(number, len(results)))
        return results
    with ThreadPoolExecutor(clients) as pool:
        return [result for results in pool.map(client, range(clients)) for result in results]


ORPHANS = """
  select (select count(*) from chat_messages m where not exists (select from conversations c where c.id = m.conversation_id)),
    (select count(*) from conversation_timeline t where not exists (select from conversations c where c.id = t.conversation_id)),
    (select count(*) from lead_events e where not exists (select from conversations c where c.id = e.conversation_id)),
    (select count(*) from conversations c where not exists (select from lead_events e where e.conversation_id = c.id and e.event_type = 'lead.created')),
    (select count(*) from conversations c where assigned_agent_id is not null and not exists (select from agents a where a.id = c.assigned_agent_id)),
    (select count(*) from follow_up_tasks f where assigned_agent_id is not null and not exists (select from agents a where a.id = f.assigned_agent_id)),
    (select count(*) from conversations group by idempotency_key having count(*) > 1 and idempotency_key is not null limit 1)"""
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


@pytest.mark.parametrize("keyed", [True, False], ids=["with-keys", "repeats"])
def test_pruning_keys_under_load(database, instance, keyed):
    """16 clients send each lead up to four times, and keys are pruned a moment after they were made."""
    before = database.text(DEADLOCKS)

    def send(number, count):
        name = f"Client {number} Lead {count // 4}"
        headers = {"Idempotency-Key": f"{number}-{count // 4}"} if keyed else {}
        status, _, document = instance.http("/api/chatbot/leads", {**TEST_USER, "customerName": name, "customerPhone": f"+9715{number:02}{count // 4:06}"},
                                            headers=headers)
        return status, document and document.get("id"), name
    aging = """update idempotency_keys set created_at = created_at - interval '8 days'
      where (route, key) in (select route, key from idempotency_keys where created_at > now() - interval '7 days' limit 50 for update skip locked)"""
    with Meanwhile(database, aging, "select public.prune('{}')", "select public.prune('{\"days\": 1}')") as meanwhile:
        sent = for_a_while(send)
    assert {status for status, _, _ in sent} <= {200, 201}, "\n".join(line for line in instance.log.splitlines() if "INFO" not in line)[:4000]
    assert meanwhile.failures == [] and meanwhile.counts[1] > 5
    kept = dict(line.split("|") for line in database.text("select id, customer_name from conversations").splitlines())
    assert all(kept.get(id) == name for _, id, name in sent)
    assert len(sent) > 64 and len(kept) >= len({name for _, _, name in sent})
    assert database.text(ORPHANS) == "0|0|0|0|0|0|"
    assert database.text(DEADLOCKS) == before


def test_deleting_agents_under_load(database, instance):
    """Leads are captured, continued, assigned and given follow-ups while the agents are deleted and made again."""
    before = database.text(DEADLOCKS)
    admin = AdminClient(instance)
    soon = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() + 864_000))
    leads = [instance.capture({**TEST_USER, "customerName": f"Lead {n}", "customerPhone": f"+97150{n:07}"}) for n in range(12)]
    agents = [admin.post("/api/admin/agents", {"name": f"Agent {n}", "email": f"{n}@example.com"}, 201)["id"] for n in range(4)]

    def work(number, count):
        lead, agent = leads[(number * 5 + count) % len(leads)], agents[(number + count) % len(agents)]
        kind = ("capture", "continue", "assign", "bulk", "delete", "follow-up", "update", "assign")[number % 8]
        if kind == "capture":
            return kind, instance.http("/api/chatbot/leads", {**TEST_USER, "customerName": f"New {number}", "customerPhone": f"+9715{number}{count:06}"},
                                       headers={"Idempotency-Key": str(uuid.uuid4())})[0]
        if kind == "continue":
            n = leads.index(lead)
            body = {**TEST_USER, "conversationId": lead, "customerName": f"Lead {n}", "customerPhone": f"+97150{n:07}"}
            return kind, instance.http("/api/chatbot/leads", {**body, "messages": [{"id": f"{number}-{count}", "messageText": "more"}]})[0]
        if kind == "assign":
            return kind, admin.request("POST", f"/api/admin/conversations/{lead}/assign", {"agentId": agent, "force": True})[0]
        if kind == "bulk":
            return kind, admin.request("POST", "/api/admin/conversations/bulk", {"ids": leads, "change": {"agentId": agent, "force": True}})[0]
        if kind == "follow-up":
            return kind, admin.request("POST", f"/api/admin/conversations/{lead}/follow-ups", {"followUpDate": soon, "reminderType": "call"})[0]
        if kind == "update":
            return kind, admin.request("PATCH", f"/api/admin/conversations/{lead}", {"notes": f"{number} {count}", "status": "in-progress"})[0]
        status, _, _ = admin.request("DELETE", f"/api/admin/agents/{agent}?force=true")
        if status in (200, 204):
            new = {"name": f"Agent {number} {count}", "email": f"{number}.{count}@example.com"}
            agents[(number + count) % len(agents)] = admin.post("/api/admin/agents", new, 201)["id"]
        return kind, status
    done = for_a_while(work)
    statuses = {kind: sorted({status for each, status in done if each == kind}) for kind, _ in done}
    print(statuses, len(done))
    assert all(status < 500 and status != 429 for _, status in done), statuses
    for kind, good in {"capture": 201, "continue": 200, "assign": 200, "bulk": 200, "follow-up": 201, "update": 200, "delete": 204}.items():
        assert good in statuses[kind], statuses
    assert database.text(ORPHANS) == "0|0|0|0|0|0|"
    assert database.text(DEADLOCKS) == before
    assert database.count("conversations") == 12 + sum(each == ("capture", 201) for each in done)
