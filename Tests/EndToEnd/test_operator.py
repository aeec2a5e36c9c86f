"""The operator's commands for deliveries, channels and events, on a running instance and on rows inserted for the
test."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from cluster import leadpipe
from common import REPO, TEST_USER, until
from instance import Instance

CONVERSATION = "00000000-0000-4000-8000-0000000000c1"


def command(database, *words, code=0, **environment):
    """The command's output. Its exit status must be `code`."""
    done = leadpipe(*words, DATABASE_URL=database.url, **environment)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def documents(text):
    return [json.loads(line) for line in text.splitlines()]


def deliver(database, status="pending", channel="slack", recipient="default", **columns):
    """Inserts an event with one delivery in the given state. Returns the delivery's id."""
    event, delivery = str(uuid.uuid4()), str(uuid.uuid4())
    columns = {"status": status, "channel": channel, "recipient": recipient, **columns}
    names = ", ".join(columns)
    values = ", ".join(value if value.startswith("now()") else f"'{value}'" for value in columns.values())
    final = status == "sent" or (status == "failed" and "next_attempt_at" not in columns)
    database.run(f"""
        insert into conversations (id, customer_name) values ('{CONVERSATION}', 'Lead') on conflict do nothing;
        insert into lead_events (id, event_type, conversation_id, planned_at, processed, processed_at)
          values ('{event}', 'lead.created', '{CONVERSATION}', now(), {final}, {'now()' if final else 'null'});
        insert into notification_logs (id, lead_event_id, conversation_id, {names}) values ('{delivery}', '{event}', '{CONVERSATION}', {values});
        """)
    return delivery


def event_of(database, delivery):
    return database.value(f"select lead_event_id from notification_logs where id = '{delivery}'")


def test_explains_and_resumes_a_channel_with_a_wrong_webhook(database, providers):
    providers.answers["slack"] = (404, "no_service", {"Content-Type": "text/plain"})
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        for name in ("First User", "Second User", "Third User"):
            instance.capture({**TEST_USER, "customerName": name})
        until(lambda: database.count("notification_channels", "paused_until > now()") == 1, 15, "the pause")
        until(lambda: database.count("notification_logs") == 3, 15, "the deliveries")
        assert len(providers.of("slack")) == 1, "a delivery claimed before the pause was sent"
        row, = documents(command(database, "channel", "list", "--json"))
        assert (row["name"], row["class"], row["state"], row["waiting"]) == ("slack", "config", "paused", 3)
        assert "paused (config)" in command(database, "channel", "list")
        failed, = documents(command(database, "delivery", "list", "--status", "waiting", "--class", "config", "--json"))
        other = next(d["id"] for d in documents(command(database, "delivery", "list", "--json")) if d["id"] != failed["id"])
        for one in (failed["id"], other):
            sentence = command(database, "delivery", "explain", one)
            assert sentence.startswith("slack is misconfigured (") and "`leadpipe channel resume slack`" in sentence
        providers.answers.clear()
        # Releases the channel's deliveries that the worker still holds.
        name = database.value("select name from workers")
        command(database, "invoke", "event-claim", input=json.dumps({"worker": name, "release": True}))
        assert "slack is resumed; 1 waiting delivery is due now" in command(database, "channel", "resume", "slack")
        until(lambda: database.count("notification_logs", "status = 'sent'") == 3, 15, "all messages")
        assert database.count("notification_logs", "retry_count > 1") == 0, "the wrong webhook was counted as an attempt"
        assert "slack was not paused" in command(database, "channel", "resume", "slack")


def test_retry_sends_a_failed_delivery_and_the_timeline_names_the_operator(database, providers):
    providers.answers["slack"] = (400, "invalid_payload", {"Content-Type": "text/plain"})
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        until(lambda: database.count("notification_logs", "status = 'failed' and next_attempt_at is null") == 1, 15, "the failure")
        one = database.value("select id from notification_logs")
        assert "given up after" in command(database, "delivery", "explain", one)
        shown = command(database, "delivery", "show", one)
        assert "permanent" in shown and "given-up" in shown and "lead.created at" in shown
        assert "1 would be retried" in command(database, "delivery", "retry", "--channel", "slack", "--class", "permanent", "--dry-run")
        assert database.count("lead_events", "not processed") == 0
        providers.answers.clear()
        assert "1 will be retried at once" in command(database, "delivery", "retry", one, "--by", "Night Shift")
        until(lambda: database.count("notification_logs", "status = 'sent'") == 1, 15, "the message")
        assert database.count("lead_events", "not processed") == 0
        assert database.count("conversation_timeline", "actor_name = 'Night Shift' and title like 'Notification to be tried again%'") == 1
        assert len(json.loads(command(database, "delivery", "show", one, "--json"))["attempts"]) >= 2
        said = command(database, "delivery", "retry", one, code=65)
        assert f"{one}: cannot be retried, because it is sent" in said


def test_replay_reaches_only_the_requested_channel(database, providers):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **providers.settings) as instance:
        instance.capture(TEST_USER)
        until(lambda: database.count("notification_logs", "status = 'sent'") == 2, 15, "the first messages")
        event = event_of(database, database.value("select id from notification_logs limit 1"))
        assert "2 would be sent again" in command(database, "event", "replay", "--id", event, "--dry-run")
        assert "1 would be sent again" in command(database, "event", "replay", "--from", "1h", "--channel", "slack", "--dry-run")
        assert "0 would be sent again" in command(database, "event", "replay", "--to", "1h", "--dry-run")
        assert len(providers.of("slack")) == 1
        made, = documents(command(database, "event", "replay", "--id", event, "--channel", "slack", "--json"))
        assert (made["channel"], made["wasStatus"]) == ("slack", "sent")
        until(lambda: len(providers.of("slack")) == 2, 15, "the replay")
        until(lambda: database.count("lead_events", "not processed") == 0, 15, "the event's end")
        assert len(providers.of("telegram")) == 1
        row, = database.rows(f"select replay_of, status from notification_logs where id = '{made['id']}'")
        assert row == {"replay_of": made["replayOf"], "status": "sent"}
        assert database.count("conversation_timeline", "title = 'Notification to be sent once more via slack' and actor_name is not null") == 1


def test_replay_of_many_events_takes_each_once(database):
    database.run(f"""
        insert into conversations (id, customer_name) values ('{CONVERSATION}', 'Lead');
        insert into lead_events (event_type, conversation_id, planned_at, processed, created_at)
          select 'lead.created', '{CONVERSATION}', now(), true, now() - interval '1 hour' from generate_series(1, 2300);
        insert into notification_logs (lead_event_id, conversation_id, channel, status, created_at)
          select id, conversation_id, 'slack', 'sent', created_at from lead_events""")
    assert "2300 would be sent again" in command(database, "event", "replay", "--channel", "slack", "--dry-run")
    assert "2300 will be sent again" in command(database, "event", "replay", "--channel", "slack")
    assert database.value("select count(*), count(distinct replay_of) from notification_logs where replay_of is not null") == "2300|2300"


def test_explains_every_state(database):
    seen = "insert into workers (name, last_seen) values ('h:1', now()) on conflict (name) do update set last_seen = now()"
    database.run(f"insert into conversations (id, customer_name) values ('{CONVERSATION}', 'Lead')")
    event = database.value(f"select emit_lead_event('lead.created', '{CONVERSATION}')")
    assert "not planned yet; no worker has ever been seen: start `leadpipe worker`." in command(database, "delivery", "explain", event)
    database.run(seen)
    assert "not planned yet; it is waiting for its turn." in command(database, "delivery", "explain", event)
    told = database.value(f"select emit_lead_event('lead.updated', '{CONVERSATION}')")
    assert "lead.updated sends no notification" in command(database, "delivery", "explain", told)
    wanted = {
        "It has waited for its first attempt since": deliver(database),
        "Worker h:7 has claimed it": deliver(database, lease_until="now() + interval '20 s'", leased_by="h:7"),
        "Worker h:7 is sending it now": deliver(database, "sending", lease_until="now() + interval '20 s'", leased_by="h:7"),
        "its lease ended at": deliver(database, "sending", lease_until="now() - interval '20 s'", leased_by="h:7"),
        "Attempt 2 failed (retry: HTTP 500); attempt 3 is due at": deliver(
            database, "failed", outcome_class="retry", error_message="HTTP 500", retry_count="2", next_attempt_at="now() + interval '1 h'"),
        "parked: `leadpipe delivery retry": deliver(database, "failed", outcome_class="unknown", error_message="parked"),
        "given up after 3 attempts (permanent: too long)": deliver(
            database, "failed", outcome_class="permanent", error_message="too long", retry_count="3"),
        "Its recipient is not configured": deliver(
            database, "failed", outcome_class="config", next_attempt_at="now()",
            error_message="This recipient is not configured; the delivery waits until it is."),
        "It was sent via slack at": deliver(database, "sent", sent_at="now()"),
    }
    for words, one in wanted.items():
        sentence = command(database, "delivery", "explain", one)
        assert words in sentence and sentence.endswith(".\n") and sentence.count("\n") == 1, sentence
    first = next(iter(wanted.values()))
    assert "(Europe/Berlin); deliveries that were due earlier are sent first." in command(database, "delivery", "explain", first, TIME_ZONE="Europe/Berlin")
    database.run("""insert into notification_channels (channel, paused_until, pause_class, pause_reason)
                    values ('slack', now() + interval '1 h', 'throttled', 'HTTP 429')""")
    assert "slack asked Leadpipe to wait (HTTP 429)" in command(database, "delivery", "explain", first)
    database.run(f"update notification_channels set paused_until = null, fail_streak = 1, probe = '{first}'")
    assert "its next claim takes one delivery to test it" in command(database, "delivery", "explain", first)
    assert json.loads(command(database, "delivery", "explain", first, "--json"))["sentence"]


def test_tables_mask_addresses_and_json_does_not(database):
    deliver(database, "failed", "email", "secret.person@truenester.com", outcome_class="permanent", error_message="no\x1b[31m such user")
    for words in (["delivery", "list"], ["event", "replay", "--channel", "email", "--dry-run"], ["delivery", "retry", "--channel", "email", "--dry-run"]):
        table = command(database, *words)
        assert "s…@truenester.com" in table and "secret.person" not in table and "\x1b" not in table
    one = database.value("select id from notification_logs")
    assert "secret.person" not in command(database, "delivery", "show", one)
    assert "secret.person" in command(database, "delivery", "list", "--json")


def test_filters_and_limits_lists(database):
    for n in range(5):
        deliver(database, "failed", "slack", f"r{n}", outcome_class="permanent", created_at=f"now() - interval '{n} hours'")
    deliver(database, "sent", "telegram", "-1", outcome_class="delivered")
    def recipients(*words):
        return [row["recipient"] for row in documents(command(database, "delivery", "list", "--json", *words))]
    assert recipients("--channel", "slack", "--since", "150m") == ["r0", "r1", "r2"]
    assert recipients("--status", "given-up", "--limit", "2") == ["r0", "r1"]
    assert recipients("--class", "delivered") == ["-1"]
    assert recipients("--status", "parked") == []
    done = leadpipe("delivery", "list", "--limit", "2", DATABASE_URL=database.url)
    assert len(done.stdout.splitlines()) == 3 and "more deliveries match" in done.stderr


def test_every_listed_state_is_documented_and_can_be_filtered(database):
    made = {
        "pending": deliver(database), "claimed": deliver(database, lease_until="now() + interval '1 minute'"),
        "sending": deliver(database, "sending"), "sent": deliver(database, "sent"), "delivered": deliver(database, "delivered"),
        "waiting": deliver(database, "failed", next_attempt_at="now() + interval '1 hour'", outcome_class="retry"),
        "parked": deliver(database, "failed", outcome_class="unknown"), "given-up": deliver(database, "failed", outcome_class="permanent")}
    def ids(*words):
        return {row["id"]: row["state"] for row in documents(command(database, "delivery", "list", "--json", *words))}
    assert ids() == {delivery: state for state, delivery in made.items()}
    for state, delivery in made.items():
        assert ids("--status", state).get(delivery) == state
    assert set(ids("--status", "claimed")) == {made["claimed"]} and set(ids("--status", "given-up")) == {made["given-up"]}
    assert set(ids("--status", "pending")) == {made["pending"], made["claimed"]}
    assert set(ids("--status", "failed")) == {made["waiting"], made["parked"], made["given-up"]}
    told = leadpipe("delivery", "list", "--help").stdout
    documented = (REPO / "docs" / "reference" / "commands.md").read_text()
    classes = ("delivered", "accepted", "retry", "throttled", "permanent", "config", "unknown", "deferred")
    for word in (*made, "failed", *classes):
        assert re.search(rf"^ +{word} +- \S", told, re.MULTILINE), f"{word}\n{told}"
        assert re.search(rf"^\| {word} \|", documented, re.MULTILINE), word


def test_missing_database_url_is_reported_with_a_hint():
    for words in (["delivery", "list"], ["channel", "list"], ["migrate"], ["worker"]):
        assert ". .leadpipe/env" in leadpipe(*words).stderr
    assert ". /srv/leadpipe/env" in leadpipe("delivery", "list", LEADPIPE_STATE="/srv/leadpipe").stderr


@pytest.mark.parametrize("words, code", [
    ("delivery list --status lost", 64), ("delivery list --channel fax", 64), ("delivery list --class lost", 64),
    ("delivery list --since yesterday", 64), ("delivery list --since +5m", 64), ("delivery list --limit 0", 64), ("delivery list --limit 1001", 64),
    ("delivery show", 64), ("delivery show 7", 64), ("delivery retry", 64), ("delivery retry --class retry", 64),
    (f"delivery retry {CONVERSATION} --channel slack", 64), ("delivery retry --channel slack --by=", 64),
    ("channel resume", 64), ("channel resume fax", 64), ("event replay", 64), ("event replay --id 7", 64),
    ("event replay --from 1h --to 2h", 64), ("event replay --dry-run", 64), ("delivery", 0), ("delivery fly", 64),
    (f"delivery show {CONVERSATION}", 65), (f"delivery explain {CONVERSATION}", 65), (f"delivery retry {CONVERSATION}", 65),
    (f"event replay --id {CONVERSATION}", 65),
])
def test_checks_arguments(database, words, code):
    said = command(database, *words.split(), code=code)
    assert said.strip()


def test_exit_status_reports_a_missing_or_unavailable_database(database):
    assert leadpipe("delivery", "list").returncode == 78
    assert leadpipe("delivery", "list", DATABASE_URL="postgresql://nobody@/none?host=/nonexistent").returncode == 75
    assert leadpipe("delivery", "list", DATABASE_URL=database.url, UNKNOWN_OUTCOME="forget").returncode == 78


def test_admin_login_suffices_and_intake_login_does_not(cluster, database):
    deliver(database, "sent")
    own = cluster.url(database.name, "leadpipe_admin")
    assert len(leadpipe("delivery", "list", "--json", DATABASE_URL_ADMIN=own).stdout.splitlines()) == 1
    done = leadpipe("delivery", "list", DATABASE_URL_ADMIN=cluster.url(database.name, "leadpipe_intake"))
    assert done.returncode == 75 and "may not call the function" in done.stderr


def test_claim_uses_only_partial_indexes(database):
    """With 200,000 finished and 20,000 future deliveries. The plans are those of the function itself."""
    database.run(f"""
        set synchronous_commit = off;
        insert into conversations (id, customer_name) values ('{CONVERSATION}', 'Lead');
        insert into lead_events (id, event_type, conversation_id, planned_at, processed, processed_at)
          select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'lead.created', '{CONVERSATION}', now(), n <= 200000, now()
          from generate_series(1, 220000) n;
        insert into notification_logs (lead_event_id, conversation_id, channel, status, next_attempt_at)
          select id, conversation_id, 'slack', case when processed then 'sent' else 'failed' end, case when not processed then now() + interval '1 day' end
          from lead_events""")
    deliver(database)
    def plans(when):
        done = database.psql(
            "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;"
            "set auto_explain.log_level = notice; set client_min_messages = notice;"
            "select claim_deliveries('{\"worker\": \"w\", \"isComplete\": true, \"channels\": [{\"channel\": \"slack\"}]}') -> 'deliveries';")
        for table in ("notification_logs", "lead_events"):
            assert f"Seq Scan on {table}" not in done.stderr, f"{when}\n{done.stderr}"
        assert "JIT:" not in done.stderr, "compiling takes longer than the claim"
        assert "notification_logs_due_idx" in done.stderr and "notification_logs_held_idx" in done.stderr, done.stderr
        return done.stdout
    assert "lead.created" in plans("without statistics")
    database.run("analyze")
    plans("with statistics")


def test_pruning_runs_beside_a_worker(database, providers):
    """Old finished rows are deleted while new deliveries are made."""
    database.run(f"""
        insert into conversations (id, customer_name) values ('{CONVERSATION}', 'Lead');
        insert into lead_events (event_type, conversation_id, planned_at, processed, processed_at, created_at)
          select 'lead.created', '{CONVERSATION}', now(), true, now() - interval '100 days', now() - interval '100 days' from generate_series(1, 3000);
        insert into notification_logs (lead_event_id, channel, status) select id, 'slack', 'sent' from lead_events""")
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", SLACK_WEBHOOK_URL=providers.settings["SLACK_WEBHOOK_URL"]) as instance:
        instance.capture(TEST_USER)
        done = leadpipe("invoke", "data-prune", input="{}", DATABASE_URL=database.url)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["events"] == 3000 and json.loads(done.stdout)["isComplete"] is True
        until(lambda: database.count("notification_logs", "status = 'sent'") == 1, 15, "the new message")
        assert re.search(r"\[INFO\] Pruned rows=6\d\d\d", done.stderr)


def test_twenty_claimers_get_one_probe_of_a_misconfigured_channel(database):
    for _ in range(5):
        deliver(database)
    database.run("insert into notification_channels (channel, paused_until, pause_class, fail_streak) values ('slack', now() - interval '1 s', 'config', 1)")
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": '[{"channel":"slack","recipient":"default"}]'}
    with ThreadPoolExecutor(20) as pool:
        ended = list(pool.map(lambda n: handlers.run("event-claim", {"worker": f"w{n}"}, **settings), range(20)))
    assert [done.returncode for done in ended] == [0] * 20
    assert sum(len(handlers.lines(done.stdout)) for done in ended) == 1


def test_claims_of_a_dead_worker_are_released_at_the_next_start(database):
    ids = {deliver(database) for _ in range(3)}
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": '[{"channel":"slack","recipient":"default"}]'}
    def claimed(worker):
        return handlers.lines(handlers.run("event-claim", {"worker": worker}, **settings).stdout)
    lines = claimed("host:7")
    assert {line["id"] for line in lines} == ids
    begun = handlers.run("delivery-begin", lines[0], DATABASE_URL=database.url)
    assert begun.returncode == 0
    released = handlers.run("event-claim", {"worker": "host:8", "release": True, "host": "host", "alive": ["host:8"]}, **settings)
    assert handlers.lines(released.stdout) == [{"released": 2}]
    again = claimed("host:8")
    assert {line["id"] for line in again} == ids - {lines[0]["id"]}
    assert {line["attempt"] for line in again} == {1} and {line["fence"] for line in again} == {2}
    late = handlers.lines(handlers.run("delivery-begin", lines[1], DATABASE_URL=database.url).stdout)
    assert late[0]["outcome"]["class"] == "lost"
