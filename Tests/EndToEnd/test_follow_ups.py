"""Follow-ups: each is reminded of once at its time, by mail to the agent; the daily digests; conversations.follow_up_date."""

import email
import email.policy
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import handlers
from admin import KEY, AdminClient
from cluster import Session
from common import TEST_USER, until
from instance import Instance

OFFICE = "agents@truenester.com"
CHANNELS = json.dumps([{"channel": "email", "recipient": OFFICE}])


def sweep(database, channels=CHANNELS, **settings):
    done = handlers.run("follow-up-sweep", "{}", DATABASE_URL=database.url, LEADPIPE_CHANNELS=channels, **settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def agent(database, name="Omar", address="omar@truenester.com", status="available"):
    made = str(uuid.uuid4())
    address = "null" if address is None else "'" + address.replace("'", "''") + "'"
    database.run(f"insert into agents (id, name, email, status) values ('{made}', '{name}', {address}, '{status}')")
    return made


def lead(database, agent=None, name="Sara Ahmed", **columns):
    made = str(uuid.uuid4())
    values = {"id": f"'{made}'", "customer_name": f"'{name}'", "customer_phone": "'+971501234567'", "source": "'chatbot'",
              "assigned_agent_id": f"'{agent}'" if agent else "null", **columns}
    database.run(f"insert into conversations ({', '.join(values)}) values ({', '.join(values.values())})")
    return made


def follow_up(database, lead, due="-1 second", kind="email", **columns):
    made = str(uuid.uuid4())
    values = {"id": f"'{made}'", "conversation_id": f"'{lead}'", "follow_up_date": f"now() + interval '{due}'", "reminder_type": f"'{kind}'", **columns}
    database.run(f"insert into follow_up_tasks ({', '.join(values)}) values ({', '.join(values.values())})")
    return made


def many(database, count, agent=None, due="-1 second"):
    """Leads of one agent, with a follow-up each."""
    database.run(f"""with leads as (insert into conversations (customer_name, customer_phone, source, assigned_agent_id)
        select 'Lead ' || n, '+971501234567', 'chatbot', {f"'{agent}'" if agent else 'null'} from generate_series(1, {count}) n returning id)
      insert into follow_up_tasks (conversation_id, follow_up_date) select id, now() + interval '{due}' from leads""")


def deliveries(database):
    return database.text("select channel || ' ' || recipient || ' ' || status from notification_logs order by channel::text, recipient").splitlines()


def counts(reply):
    return [reply[name] for name in ("reminded", "summedUp", "summaries", "digests")]


def next_date(database, lead):
    return database.text(f"select follow_up_date is not distinct from (select min(follow_up_date) from follow_up_tasks f where f.conversation_id = c.id "
                         f"and status in ('scheduled', 'in_progress', 'overdue')), follow_up_date is null from conversations c where id = '{lead}'")


def read(envelope):
    """(recipients, message, its text)."""
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return envelope.rcpt_tos, message, message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()


# ── The worker ──

@pytest.mark.seconds(90)
def test_worker_mails_the_agent_at_the_time(database, mail):
    """No poll: a new follow-up wakes the worker, which then sleeps until the time."""
    omar = agent(database)
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="3600", FRONTEND_URL="https://app.example", ADMIN_API_KEY=KEY, **mail.settings) as instance:
        client = AdminClient(instance)
        sara = instance.capture({**TEST_USER, "customerName": "سارة <b>أحمد</b>"})
        until(lambda: len(mail.envelopes) == 1, 10, "the new lead")
        client.post(f"/api/admin/conversations/{sara}/assign", {"agentId": omar})
        due = database.text("select to_char(clock_timestamp() + interval '4 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS') || 'Z'")
        made = client.post(f"/api/admin/conversations/{sara}/follow-ups", {
            "followUpDate": due, "reminderType": "call", "reminderText": "Ask about\nthe <viewing> & the price", "priority": "high"}, 201)
        assert made["status"] == "scheduled" and "warnings" not in made
        time.sleep(1.5)
        assert len(mail.envelopes) == 1
        until(lambda: len(mail.envelopes) == 2, 10, "the reminder")
        late = float(database.text(f"select extract(epoch from created_at - '{due}') from notification_logs where to_agent"))
        print(f"the reminder was planned {late:.2f} s after its time")
        assert 0 <= late < 3
        to, message, text, html = read(mail.envelopes[1])
        assert to == ["omar@truenester.com"] and message["To"] == "omar@truenester.com"
        assert message["Subject"] == "📞 Call the Customer: سارة <b>أحمد</b>"
        local = database.text(f"select to_char(timestamptz '{due}' at time zone 'Asia/Dubai', 'Dy FMDD Mon YYYY, HH24:MI')")
        for words in ("Call the customer: +971501234567", f"{local} (Asia/Dubai)", "Ask about", "the <viewing> & the price", "Omar",
                      f"https://app.example/admin/conversations/{sara}"):
            assert words in text, (words, text)
        assert "the &lt;viewing&gt; &amp; the price" in html and "<viewing>" not in html and "<b>" not in html
        until(lambda: deliveries(database) == ["email agents@truenester.com sent", "email omar@truenester.com sent"], 10, "the record")
        listed = client.get("/api/admin/follow-ups?status=overdue")["data"]
        assert [each["id"] for each in listed] == [made["id"]] and listed[0]["remindedAt"]
        assert [each["id"] for each in client.get("/api/admin/conversations?followUpStatus=overdue")["data"]] == [sara]
        assert database.count("conversation_timeline", "title = 'Follow-up by phone is due'") == 1
        assert "omar@" not in instance.log and "97150" not in instance.log


@pytest.mark.seconds(90)
def test_two_workers_and_a_restart_after_days_send_one_summary_per_agent(database, mail):
    omar, mona = agent(database), agent(database, "Mona", "mona@truenester.com")
    for who, count in ((omar, 30), (mona, 2), (None, 3)):
        many(database, count, who, "-3 days")
    settings = {"DATABASE_URL": database.url, "WORKER_POLL_SECONDS": "1", "FRONTEND_URL": "https://app.example", **mail.settings}
    with Instance(**settings), Instance(**settings):
        until(lambda: len(mail.envelopes) == 3, 20, "the summaries")
        time.sleep(3)
    with Instance(**settings):
        time.sleep(3)
    told = {read(each)[0][0]: read(each)[1]["Subject"] for each in mail.envelopes}
    assert len(mail.envelopes) == 3
    assert told == {"omar@truenester.com": "⏰ Follow-ups Are Due: 30 follow-ups", "mona@truenester.com": "⏰ Follow-ups Are Due: 2 follow-ups",
                    OFFICE: "⏰ Follow-ups Are Due: 3 follow-ups"}
    assert "https://app.example/admin/follow-ups" in read(mail.envelopes[0])[2]
    assert database.count("lead_events", "event_type = 'lead.follow_up_due' and conversation_id is not null") == 35
    assert database.count("follow_up_tasks", "status = 'overdue'") == 35


# ── The step by hand ──

def test_twenty_sweeps_at_once_remind_once(database):
    for n in range(10):
        many(database, 15, agent(database, f"Agent {n}", f"agent{n}@truenester.com"))
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: sweep(database), range(20)))
    assert sum(reply["reminded"] for reply in replies) == 150
    assert database.count("lead_events", "event_type = 'lead.follow_up_due'") == 150
    assert database.text("select count(distinct recipient) || ' ' || count(*) from notification_logs where to_agent and status = 'pending'") == "10 150"
    assert database.count("conversation_timeline", "title = 'Follow-up by email is due'") == 150


def test_an_agent_with_many_gets_twenty_and_a_summary(database):
    many(database, 50, agent(database))
    assert counts(sweep(database)) == [20, 30, 1, 0]
    assert database.text("select payload ->> 'sumsUp' from lead_events where conversation_id is null") == "30"
    assert counts(sweep(database)) == [0, 0, 0, 0]


def test_once_for_each_time_that_it_is_set_to(database):
    task = follow_up(database, lead(database, agent(database)), "2 minutes")
    reply = sweep(database)
    assert counts(reply) == [0, 0, 0, 0] and 100_000 < reply["nextDueInMs"] <= 120_000
    database.run(f"update follow_up_tasks set follow_up_date = now() - interval '2 seconds' where id = '{task}'")
    assert counts(sweep(database)) == [1, 0, 0, 0]
    # Marked by the checklist's function, and reset by hand: the event's key still says that it was emitted.
    database.run("select update_overdue_follow_ups(); update follow_up_tasks set reminded_for = null")
    assert counts(sweep(database)) == [0, 0, 0, 0]
    database.run(f"update follow_up_tasks set follow_up_date = now() - interval '1 second', status = 'scheduled' where id = '{task}'")
    assert counts(sweep(database)) == [1, 0, 0, 0]
    assert counts(sweep(database)) == [0, 0, 0, 0]
    assert database.text("select status || ' ' || (reminded_for = follow_up_date) from follow_up_tasks") == "overdue true"


def test_marked_as_overdue_elsewhere_is_still_reminded_of(database):
    follow_up(database, lead(database, agent(database)))
    database.run("select update_overdue_follow_ups()")
    assert counts(sweep(database)) == [1, 0, 0, 0]


@pytest.mark.parametrize("change", [
    "update follow_up_tasks set status = 'completed'", "update follow_up_tasks set status = 'cancelled'",
    "update conversations set status = 'lost'", "select leadpipe.erase_conversations(array(select id from conversations), 'Sara')"])
def test_no_reminder_of_what_is_over(database, change):
    follow_up(database, lead(database, agent(database)))
    database.run(change)
    assert counts(sweep(database)) == [0, 0, 0, 0] and database.count("lead_events", "event_type = 'lead.follow_up_due'") == 0
    assert sweep(database)["nextDueInMs"] is None, "it does not stay in the index"


def change(database, function, **argument):
    return json.loads(database.text(f"select {function}('{json.dumps({'by': 'Sara', **argument})}')"))


def status_of(database):
    return database.text("select status || coalesce(' ' || error_message, '') from notification_logs order by created_at, id").splitlines()


def test_reopening_a_lead_brings_back_its_reminder(database):
    id = lead(database, agent(database))
    change(database, "update_conversation", id=id, status="lost")
    follow_up(database, id)
    assert counts(sweep(database)) == [0, 0, 0, 0]
    change(database, "update_conversation", id=id, status="in-progress")
    assert counts(sweep(database)) == [1, 0, 0, 0]
    # One that still waits is cancelled when the lead is closed, and one that was sent is not repeated.
    change(database, "update_conversation", id=id, status="lost")
    assert status_of(database) == ["failed cancelled: the lead was closed"]
    change(database, "update_conversation", id=id, status="in-progress")
    assert counts(sweep(database)) == [1, 0, 0, 0]
    database.run("update notification_logs set status = 'sent', sent_at = now() where status = 'pending'")
    database.run("update lead_events set processed = true, processed_at = now()")
    for status in ("lost", "in-progress"):
        change(database, "update_conversation", id=id, status=status)
    assert counts(sweep(database)) == [0, 0, 0, 0]


def test_follow_ups_go_with_their_lead_to_another_agent(database):
    omar, mona = agent(database), agent(database, "Mona", "mona@truenester.com")
    id = lead(database, omar)
    made = change(database, "create_follow_up", id=id, followUpDate="2031-01-01T10:00:00Z", reminderType="email")["id"]
    other = follow_up(database, id, "1 day", assigned_agent_id="null")
    database.run(f"update follow_up_tasks set follow_up_date = now() - interval '1 second' where id = '{made}'")
    assert counts(sweep(database)) == [1, 0, 0, 0] and deliveries(database) == ["email omar@truenester.com pending"]
    change(database, "assign_conversation", id=id, agentId=mona)
    assert status_of(database) == ["failed cancelled: the follow-up has another agent"]
    assert counts(sweep(database)) == [1, 0, 0, 0]
    assert deliveries(database) == ["email mona@truenester.com pending", "email omar@truenester.com failed"]
    # By hand to another agent than the lead's.
    change(database, "update_follow_up", id=made, assignedAgentId=omar)
    assert counts(sweep(database)) == [1, 0, 0, 0]
    assert database.count("notification_logs", "recipient = 'omar@truenester.com' and status = 'pending'") == 1
    change(database, "unassign_conversation", id=id)
    assert database.text(f"select assigned_agent_id from follow_up_tasks where id = '{made}'") == omar
    assert database.text(f"select assigned_agent_id is null from follow_up_tasks where id = '{other}'") == "t"


@pytest.mark.parametrize("leave", ["delete", "update"])
def test_an_address_that_is_no_agents_any_more_gets_nothing(database, leave):
    omar = agent(database)
    database.run(f"""insert into admin_keys (name, rights, sha256, agent_id) values ('omar', 'write', decode(repeat('ab', 32), 'hex'), '{omar}')""")
    follow_up(database, lead(database, omar))
    sweep(database)
    if leave == "delete":
        change(database, "delete_agent", id=omar, force=True)
    else:
        change(database, "update_agent", id=omar, email="omar.k@truenester.com")
    assert status_of(database) == ["failed cancelled: no agent has this address"]
    assert database.count("admin_keys", "revoked_at is not null") == (leave == "delete")
    event = database.text("select id from lead_events where event_type = 'lead.follow_up_due'")
    delivery = database.text("select id from notification_logs")
    assert change(database, "replay_events", ids=[event])["deliveries"] == []
    assert change(database, "retry_deliveries", ids=[delivery])["deliveries"] == []


def test_rows_that_wait_for_a_provider_are_not_sent_again(database):
    follow_up(database, lead(database, agent(database)), kind="whatsapp", notify_customer="true")
    sweep(database)
    event = database.text("select id from lead_events where event_type = 'lead.follow_up_due'")
    database.run("update notification_logs set status = 'sent', sent_at = now() where status = 'pending'")
    again = change(database, "replay_events", ids=[event])["deliveries"]
    assert [each["recipient"] for each in again] == ["omar@truenester.com"]
    assert change(database, "retry_deliveries", channel="whatsapp")["deliveries"] == []


def test_locked_rows_delay_no_other(database):
    omar = agent(database)
    held, _ = lead(database, omar), follow_up(database, lead(database, omar))
    task = follow_up(database, held)
    with Session(database.url) as other:
        other.text("begin")
        other.text(f"update follow_up_tasks set status = 'completed' where id = '{task}'")
        reply = sweep(database)
        assert reply["reminded"] == 1 and reply["nextDueInMs"] == 1000
        other.text("commit")
    assert counts(sweep(database)) == [0, 0, 0, 0]


def test_sms_and_whatsapp_say_that_they_wait(database):
    omar = agent(database)
    follow_up(database, lead(database, omar), kind="sms", notify_customer="true")
    follow_up(database, lead(database, omar), kind="whatsapp")
    assert counts(sweep(database)) == [2, 0, 0, 0]
    assert deliveries(database) == ["email omar@truenester.com pending"] * 2 + [
        "sms agent failed", "sms customer failed", "whatsapp agent failed"]
    reasons = database.text("select error_message from notification_logs where status = 'failed' order by channel::text, recipient").splitlines()
    assert reasons == ["waits for its provider: SMS is not available yet; the reminder went out by another channel instead",
                       "waits for its provider: this version sends no messages to customers",
                       "waits for its provider: WhatsApp is not available yet; the reminder went out by another channel instead"]
    assert database.count("notification_logs", "status = 'failed' and next_attempt_at is null and error_message like 'waits for%'") == 3


def test_replies_warn_of_what_waits_for_a_provider(database, providers):
    with Instance(DATABASE_URL=database.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY, **providers.settings) as instance:
        client = AdminClient(instance)
        sara = instance.capture(TEST_USER)
        made = client.post(f"/api/admin/conversations/{sara}/follow-ups", {
            "followUpDate": "2099-01-01T10:00:00Z", "reminderType": "sms", "notifyCustomer": True}, 201)
        assert [each["path"] for each in made["warnings"]] == ["reminderType", "notifyCustomer"] and made["notifyCustomer"] is True
        path = f"/api/admin/follow-ups/{made['id']}"
        assert [each["code"] for each in client.patch(path, {"notifyCustomer": False})["warnings"]] == ["reminder_waits_for_provider"]
        assert "warnings" not in client.patch(path, {"reminderType": "call"})
        # A reminder that still waits is cancelled with the follow-up.
        database.run("update follow_up_tasks set follow_up_date = now() - interval '1 second'")
        assert counts(sweep(database)) == [1, 0, 0, 0]
        client.patch(path, {"status": "completed"})
        ours = "lead_event_id in (select id from lead_events where event_type = 'lead.follow_up_due')"
        assert database.text(f"select status, error_message from notification_logs where {ours}") == "failed|cancelled: the follow-up was completed"
        assert database.count("lead_events", "event_type = 'lead.follow_up_due' and processed") == 1
        sentences = json.dumps(client.get(f"/api/admin/conversations/{sara}/explain")["sentences"])
        assert "It was not sent: cancelled: the follow-up was completed." in sentences


@pytest.mark.parametrize("address", [
    None, "", "a@b.example\r\nBcc: x@y.example", "a@b.example\nRCPT TO:<x@y.example>", "a b@c.example", "<a@b.example>", "a@b.example,c@d.example",
    "a" * 300 + "@b.example"])
def test_without_an_agent_or_an_address_the_office_is_told(database, address):
    follow_up(database, lead(database, agent(database, address=address)))
    follow_up(database, lead(database))
    assert counts(sweep(database)) == [2, 0, 0, 0]
    assert deliveries(database) == [f"email {OFFICE} pending"] * 2
    assert database.text("select string_agg(coalesce(payload ->> 'assignedAgentName', 'nobody') || ' ' || coalesce(payload ->> 'agentHasNoAddress', ''), ', ' "
                         "order by payload ->> 'assignedAgentName') from lead_events") == "Omar true, nobody "


def test_without_email_all_channels_are_told(database):
    follow_up(database, lead(database, agent(database)))
    assert counts(sweep(database, json.dumps([{"channel": "slack", "recipient": "default"}]))) == [1, 0, 0, 0]
    assert deliveries(database) == ["email omar@truenester.com failed", "slack default pending"]
    assert "email is not configured" in database.text("select error_message from notification_logs where status = 'failed'")


def test_agents_share_the_limit_of_a_claim(database):
    for n in range(12):
        follow_up(database, lead(database, agent(database, f"Agent {n}", f"agent{n}@truenester.com")))
    follow_up(database, lead(database))
    sweep(database)
    sizes, seen = [], []
    for _ in range(12):
        done = handlers.run("event-claim", json.dumps({"worker": "w", "limit": 4, "isComplete": True}), DATABASE_URL=database.url, LEADPIPE_CHANNELS=CHANNELS)
        assert done.returncode == 0, done.stderr
        claimed = handlers.lines(done.stdout)
        sizes.append(len(claimed))
        seen += [each["recipient"] for each in claimed]
    assert max(sizes) <= 4 and sorted(seen) == sorted([OFFICE] + [f"agent{n}@truenester.com" for n in range(12)])


# ── conversations.follow_up_date ──

def test_follow_up_date_is_true_on_every_path(database):
    sara, other = lead(database), lead(database)
    first, second = follow_up(database, sara, "2 days"), follow_up(database, sara, "1 day")
    assert next_date(database, sara) == "t|f"
    for change in (f"update follow_up_tasks set follow_up_date = now() + interval '3 days' where id = '{second}'",
                   f"update follow_up_tasks set status = 'completed' where id = '{first}'",
                   f"update follow_up_tasks set status = 'scheduled' where id = '{first}'",
                   f"delete from follow_up_tasks where id = '{first}'",
                   "select update_overdue_follow_ups()"):
        database.run(change)
        assert next_date(database, sara) == "t|f", change
    database.run(f"update follow_up_tasks set conversation_id = '{other}' where id = '{second}'")
    assert next_date(database, sara) == "t|t" and next_date(database, other) == "t|f"
    database.run(f"update follow_up_tasks set status = 'cancelled' where id = '{second}'")
    assert next_date(database, other) == "t|t"
    follow_up(database, other, "1 day")
    database.run(f"select leadpipe.erase_conversations(array['{other}']::uuid[], 'test')")
    assert next_date(database, other) == "t|t"
    follow_up(database, sara, "1 day")
    database.run(f"delete from conversations where id = '{sara}'")
    assert database.count("follow_up_tasks", f"conversation_id = '{sara}'") == 0


def test_two_changes_at_once_leave_the_date_true(database):
    sara = lead(database)
    late, early = follow_up(database, sara, "2 days"), follow_up(database, sara, "1 day")
    with Session(database.url) as one, ThreadPoolExecutor(1) as pool:
        one.text("begin")
        one.text(f"update follow_up_tasks set status = 'completed' where id = '{early}'")
        change = pool.submit(database.run, f"update follow_up_tasks set follow_up_date = now() + interval '5 days' where id = '{late}'")
        time.sleep(0.5)
        assert not change.done()
        one.text("commit")
        change.result(10)
    assert next_date(database, sara) == "t|f"


# ── The digest ──

def digest(database, day, until="now() + interval '6 hours'", channels=CHANNELS):
    return json.loads(database.text(
        f"select digest_follow_ups(jsonb_build_object('day', '{day}', 'until', leadpipe.iso8601({until}), 'channels', '{channels}'::jsonb))"))


def test_digest_says_to_each_what_is_theirs_once_a_day(database):
    omar, mona, away = agent(database), agent(database, "Mona", "mona@truenester.com"), agent(database, "Away", "away@truenester.com", "offline")
    agent(database, "Idle", "idle@truenester.com")
    sara = lead(database, omar, name="سارة", sla_response_deadline="now() + interval '1 hour'")
    follow_up(database, sara, "1 hour", "call", reminder_text="'Ask \"her\"'")
    follow_up(database, sara, "-1 hour")
    follow_up(database, sara, "2 days")
    follow_up(database, sara, "1 hour", status="'completed'")
    follow_up(database, lead(database, omar, name="Closed", status="'lost'"), "1 hour")
    follow_up(database, lead(database, omar, name="For Mona"), "2 hours", assigned_agent_id=f"'{mona}'")
    follow_up(database, lead(database, away, name="Of Away"), "2 hours")
    lead(database, name="Unassigned", sla_response_deadline="now() - interval '1 hour'")
    lead(database, omar, name="Answered", sla_response_deadline="now()", first_response_at="now()")
    sweep(database)
    database.run("delete from lead_events")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: digest(database, "2026-11-28"), range(8)))
    assert sum(reply["digests"] for reply in replies) == 3
    facts = {line.split("|")[0]: line.split("|")[1:] for line in database.text(
        "select coalesce(payload ->> 'assignedAgentName', 'office'),"
        " concat_ws('/', payload ->> 'overdue', payload ->> 'today', payload ->> 'waiting', payload ->> 'more'),"
        " (select string_agg(l ->> 'customerName', ',') from jsonb_array_elements(payload -> 'lines') l) from lead_events").splitlines()}
    assert facts == {"Omar": ["1/1/1/0", "سارة,سارة,سارة"], "Mona": ["0/1/0/0", "For Mona"], "office": ["0/1/1/0", "Of Away,Unassigned"]}
    assert deliveries(database) == [f"email {OFFICE} pending", "email mona@truenester.com pending", "email omar@truenester.com pending"]
    # The key, not only the state, prevents a second one; an earlier day is over; the next day has its own.
    database.run("update leadpipe.follow_up_sweep set digested_on = null")
    assert digest(database, "2026-11-28")["digests"] == 0
    assert digest(database, "2026-11-27")["digests"] == 0
    assert digest(database, "2026-11-29")["digests"] == 3


def test_digest_has_at_most_fifty_lines_and_counts_the_rest(database):
    sara = lead(database, agent(database))
    database.run("insert into follow_up_tasks (conversation_id, follow_up_date, reminder_text) "
                 f"select '{sara}', now() + n * interval '1 minute', repeat('x', 500) from generate_series(1, 80) n")
    sweep(database)
    assert digest(database, "2026-11-28")["digests"] == 1
    assert database.text("select jsonb_array_length(payload -> 'lines'), payload ->> 'today', payload ->> 'more', octet_length(payload::text) < 30000 "
                         "from lead_events") == "50|80|30|t"


def test_digest_without_email_says_so_once(database):
    follow_up(database, lead(database, agent(database)), "1 hour")
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": json.dumps([{"channel": "slack", "recipient": "default"}]),
                "DIGEST": "00:00", "TIME_ZONE": midday(database)}
    first, second = (handlers.run("follow-up-sweep", "{}", **settings) for _ in range(2))
    assert b"[WARN] DIGEST is set and email is not configured" in first.stderr and second.stderr == b""
    assert database.count("notification_logs") == 0


def midday(database):
    """A time zone in which it is about noon."""
    hour = int(database.text("select extract(hour from now() at time zone 'UTC')::integer"))
    return f"Etc/GMT{hour - 12:+d}" if hour != 12 else "UTC"


@pytest.mark.seconds(90)
def test_digest_is_mailed_and_erasing_removes_its_lines(database, mail):
    omar = agent(database)
    sara, adam = lead(database, omar, name="Zebulon"), lead(database, omar, name="Adam")
    for each in (sara, adam):
        follow_up(database, each, "-2 hours", "call", reminder_text="'=HYPERLINK(1)<b>'", reminded_for="now()")
    database.run("update follow_up_tasks set reminded_for = follow_up_date")
    settings = {"DATABASE_URL": database.url, "DIGEST": "08:30", "TIME_ZONE": midday(database), "WORKER_POLL_SECONDS": "1", **mail.settings}
    # Starting after 08:30, it sends the digest then; two workers and a restart send no other.
    for _ in range(2):
        with Instance(**settings), Instance(**settings):
            until(lambda: len(mail.envelopes) == 1, 20, "the digest")
            time.sleep(2)
    assert len(mail.envelopes) == 1
    to, message, text, html = read(mail.envelopes[0])
    assert to == ["omar@truenester.com"] and message["Subject"].startswith("📋 Daily Digest: 20") and message["Subject"].endswith("2 overdue")
    assert "Zebulon" in text and "call: " in text and "=HYPERLINK(1)&lt;b&gt;" in html
    database.run(f"select leadpipe.erase_conversations(array['{sara}']::uuid[], 'test')")
    assert database.text("select payload ->> 'lines' from lead_events where event_type = 'agent.digest'").count("customerName") == 1
    assert database.count("lead_events", "payload::text like '%Zebulon%'") + database.count("notification_logs", "subject like '%Zebulon%'") == 0


def test_a_clock_that_ran_ahead_stops_no_digest(database):
    follow_up(database, lead(database, agent(database)))
    sweep(database)
    database.run("update leadpipe.follow_up_sweep set digested_on = current_date + 400")
    assert json.loads(database.text("select sweep_follow_ups()"))["digestedOn"] is None
    day = database.text("select current_date")
    assert digest(database, day)["digests"] == 1 and json.loads(database.text("select sweep_follow_ups()"))["digestedOn"] == day


@pytest.mark.parametrize(("hours", "sends"), [("Mon-Sun 10:00-12:00", True), (None, True), ("closed", False)])
def test_digest_is_for_days_on_which_the_office_opens(database, hours, sends):
    follow_up(database, lead(database, agent(database)), "-1 hour")
    zone = midday(database)
    if hours == "closed":
        today = int(database.text(f"select extract(isodow from now() at time zone '{zone}')::integer"))
        hours = ", ".join(f"{name} 09:00-18:00" for day, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1) if day != today)
    settings = {"BUSINESS_HOURS": hours} if hours else {}
    assert sweep(database, DIGEST="08:30", TIME_ZONE=zone, **settings)["digests"] == int(sends)


# ── Many follow-ups ──

def test_a_sweep_with_nothing_due_is_quick(database):
    sara = lead(database)
    database.run("alter table follow_up_tasks disable trigger user")
    database.run(f"""insert into follow_up_tasks (conversation_id, follow_up_date, status, reminded_for)
      select '{sara}', at, (array['completed', 'overdue', 'scheduled'])[n % 3 + 1]::follow_up_status, case when n % 3 = 1 then at end
      from generate_series(1, 60000) n, lateral (select now() + case when n % 3 = 2 then n else -n end * interval '1 minute') d (at)""")
    database.run("alter table follow_up_tasks enable trigger user; analyze follow_up_tasks")
    with Session(database.url) as session:
        times = []
        for _ in range(7):
            began = time.monotonic()
            reply = json.loads(session.text("select sweep_follow_ups('{\"channels\": []}')"))
            times.append(time.monotonic() - began)
    assert reply["isComplete"] and reply["nextAt"]
    print(f"nothing due among 60,000: {min(times) * 1000:.1f} to {max(times) * 1000:.1f} ms")
    assert sorted(times)[3] <= 0.05


def test_a_refused_address_of_an_agent_does_not_pause_email(database):
    follow_up(database, lead(database, agent(database)))
    sweep(database)
    settings = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": CHANNELS}

    def refuse(status=550):
        line = handlers.run("event-claim", json.dumps({"worker": "w", "isComplete": True}), **settings).stdout
        assert json.loads(line)["recipient"] == "omar@truenester.com"
        begun = handlers.lines(handlers.run("delivery-begin", line, "--stream", **settings).stdout)[0]
        line = json.dumps({**begun, "outcome": {"class": "config", "statusCode": status, "reason": f"{status} 5.7.1 refused"}}) + "\n"
        done = handlers.run("delivery-record", line, "--stream", **settings)
        assert done.returncode == 0, done.stderr
        return database.text("select status, next_attempt_at is null, (select count(*) from notification_channels where paused_until > now()) "
                             "from notification_logs")

    assert refuse() == "failed|f|0"
    database.run("update notification_logs set next_attempt_at = now() - interval '1 second', created_at = now() - interval '73 hours'")
    assert refuse() == "failed|t|0"
    # A log-in that is refused concerns every message.
    database.run("update notification_logs set next_attempt_at = now() - interval '1 second', created_at = now()")
    assert refuse(535) == "failed|f|1"
