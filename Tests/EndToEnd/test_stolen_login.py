"""A stolen login of a handler class: PostgreSQL lets every role change its own defaults and store what its functions take."""

import json
import re

import pytest

from cluster import Database
from common import TEST_USER, until
from instance import Instance
from sink import Sink

# What a role can set for itself that would lose leads, refuse them or leave them without notification.
DEFAULTS = ["default_transaction_read_only = on", "synchronous_commit = off", "idle_session_timeout = 100"]
ROLES = ["leadpipe_intake", "leadpipe_worker", "leadpipe_admin"]
SPY = """
  create table public.seen (kind text, synchronous_commit text);
  create function spy() returns trigger language plpgsql security definer as $$
  begin
    insert into public.seen values (tg_table_name, current_setting('synchronous_commit'));
    return null;
  end $$;
  create trigger spy after insert on conversations for each row execute function spy();
  create trigger spy after insert on conversation_timeline for each row execute function spy();
"""


@pytest.mark.parametrize("pooler", ["on", "off"])
def test_changed_defaults_neither_lose_nor_stop_leads(cluster, database, tmp_path, pooler):
    database.run(SPY)
    logins = {f"DATABASE_URL_{name.upper()}": cluster.url(database.name, f"leadpipe_{name}") for name in ("intake", "worker", "admin")}
    with Sink(tmp_path) as sink, Instance(DATABASE_URL=database.url, POOLER=pooler, **logins, **sink.settings) as instance:
        try:
            for role in ROLES:
                changes = [f"alter role {role} set {default};" for default in DEFAULTS]
                end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and pid <> pg_backend_pid();"
                Database(cluster.url(database.name, role)).run(" ".join([*changes, end]))
            try:
                until(lambda: instance.http("/api/chatbot/leads", TEST_USER)[0] == 201, 20, "a lead")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{instance.log[-3000:]}") from None
            until(lambda: database.value("select count(*) from notification_logs where status = 'sent'") != "0", 30, "a notification")
            until(lambda: database.value("select processed from lead_events where event_type = 'lead.created'") == "t", 30, "the end of the event")
            assert database.text("select distinct kind, synchronous_commit from seen order by 1") == "conversation_timeline|on\nconversations|on"
            health = instance.http("/health")[2]
            assert health["status"] == "degraded"
            assert all(any(f"the login {role} has changed defaults" in reason for reason in health["reasons"])
                       for role in ROLES)
        finally:
            for role in ROLES:
                database.run(f"set transaction_read_only = off; alter role {role} reset all")


def refusal(database, statement):
    done = database.psql(statement, check=False)
    return re.search(r"(?:ERROR: +)(.*)", done.stderr).group(1) if done.returncode else None


def as_role(cluster, database, role):
    return Database(cluster.url(database.name, role))


@pytest.mark.parametrize("argument", [
    {"requestId": "r" * 3_000_000}, {"source": "s" * 100_000}, {"userAgent": "u" * 20_000}, {"payload": {"a": 1e300}},
    {"payload": json.loads("[" * 20 + "]" * 20)}, {"receivedAt": "infinity"}, {"receivedAt": "-infinity"},
])
def test_the_newsletter_stores_nothing_without_bounds(cluster, database, argument):
    intake = as_role(cluster, database, "leadpipe_intake")
    given = json.dumps({"email": "a@example.com", "payload": {"email": "a@example.com"}, "requestId": "r"} | argument)
    message = refusal(intake, f"select subscribe_newsletter($q${given}$q$::jsonb)")
    if "receivedAt" in argument:
        assert message is None
        assert database.value("select subscribed_at between '1970-01-01 00:00Z' and '9999-12-31 23:59:59Z' from newsletter_subscribers") == "t"
    else:
        assert message == "lead_too_large"
        assert database.count("newsletter_subscribers") == database.count("lead_events") == 0


def test_outcomes_are_cut_to_what_lists_show(cluster, database):
    intake, worker = (as_role(cluster, database, role) for role in ("leadpipe_intake", "leadpipe_worker"))
    given = json.dumps({"email": "a@example.com", "payload": {"email": "a@example.com"}, "requestId": "r"})
    intake.run(f"select subscribe_newsletter('{given}')")
    claimed = json.loads(worker.value("""select claim_deliveries('{"worker": "w:1", "channels": [{"channel": "slack"}]}')"""))
    [delivery] = claimed["deliveries"]
    begin = json.dumps({"deliveries": [{"id": delivery["id"], "fence": delivery["fence"]}]})
    worker.run(f"select begin_deliveries('{begin}')")
    worker.run(f"""select record_outcomes(jsonb_build_object('outcomes', jsonb_build_array(jsonb_build_object(
      'id', '{delivery["id"]}', 'fence', {delivery["fence"]}, 'status', 'failed', 'class', 'permanent', 'burned', true,
      'reason', repeat('r', 5000000), 'excerpt', repeat('e', 5000000), 'providerCode', repeat('c', 5000000),
      'providerId', repeat('p', 5000000), 'subject', repeat('s', 5000000), 'finishedAt', 'infinity'))))""")
    assert database.text("select status, length(error_message), length(provider_id), length(subject) from notification_logs") == "failed|500|500|500"
    assert database.text("select length(excerpt), length(provider_code), finished_at < now() + interval '2 days' from notification_attempts") == "2000|200|t"


def test_a_worker_cannot_store_a_name_or_a_recipient_without_bounds(cluster, database):
    worker = as_role(cluster, database, "leadpipe_worker")
    assert refusal(worker, "select claim_deliveries(jsonb_build_object('worker', repeat('w', 300000), 'channels', '[]'::jsonb))") == "lead_too_large"
    worker.run("""select claim_deliveries(jsonb_build_object('worker', repeat('w', 3000), 'version', repeat('v', 3000), 'channels', '[]'::jsonb))""")
    assert database.text("select length(name), length(version) from workers") == "200|100"
