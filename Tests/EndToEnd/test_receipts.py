"""Receipts: a visitor gets at most one mail for a new lead, in words of the agency only, and nobody can be bothered with them."""

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
from stubs import MailServer

OFFICE = "agents@truenester.com"
CHANNELS = json.dumps([{"channel": "email", "recipient": OFFICE}])
TYPED = "Visit https://evil.example <b>now</b>"


class StrictMailServer(MailServer):
    """Refuses recipients in `refusals` with the reply given there."""

    def __init__(self):
        self.refusals = {}
        super().__init__()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def strict_mail():
    mail = StrictMailServer()
    yield mail
    mail.close()


def sweep(database, channels=CHANNELS, **settings):
    done = handlers.run("receipt-sweep", "{}", **{"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": channels, "RECEIPTS": "on", **settings})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def swept(database):
    """A database in which the sweep has begun: only later leads count."""
    assert sweep(database)["planned"] == 0
    return database


def lead(database, address="sara@example.com", event="null", language="en", **columns):
    """A new lead with its event, which is `planned_at` = `event`."""
    made = str(uuid.uuid4())
    values = {"id": f"'{made}'", "customer_name": "'Sara'", "customer_phone": "'+971501234567'", "source": "'chatbot'",
              "customer_email": "null" if address is None else "'" + address.replace("'", "''") + "'",
              "metadata": f"'{{\"language\": \"{language}\"}}'", **columns}
    database.run(f"insert into conversations ({', '.join(values)}) values ({', '.join(values.values())});"
                 f"insert into lead_events (event_type, conversation_id, planned_at) values ('lead.created', '{made}', {event})")
    return made


def receipts(database):
    """(recipient, state, reason) of every receipt, in the order of their addresses."""
    return [tuple(line.split("|")) for line in database.text(
        "select recipient, status, coalesce(error_message, '') from notification_logs where to_visitor order by recipient, created_at").splitlines()]


def reasons(database):
    return database.text("select payload ->> 'notSent' from lead_events where event_type = 'lead.receipt' and payload ? 'notSent' order by seq").splitlines()


def plan_team(database):
    """Sends what the team is to get, without a mail server: only receipts are left."""
    database.run("update lead_events set planned_at = now() + interval '1 second', processed = true where planned_at is null")


def deliver(database, mail, **settings):
    """One claim with all steps. Returns the lines that were recorded."""
    given = {"DATABASE_URL": database.url, "LEADPIPE_CHANNELS": CHANNELS, **mail.settings, **settings}
    lines = handlers.run("event-claim", json.dumps({"worker": "w", "isComplete": True}), **given).stdout
    for step in ("delivery-begin", "notify-email", "delivery-record"):
        done = handlers.run(step, lines, "--stream", **given)
        assert done.returncode == 0, done.stderr
        lines = done.stdout
    return handlers.lines(lines)


def claim(database, limit=10):
    done = handlers.run("event-claim", json.dumps({"worker": "w", "limit": limit, "isComplete": True}), DATABASE_URL=database.url, LEADPIPE_CHANNELS=CHANNELS)
    assert done.returncode == 0, done.stderr
    return handlers.lines(done.stdout)


def begin(database, line):
    done = handlers.run("delivery-begin", json.dumps(line) + "\n", "--stream", DATABASE_URL=database.url, LEADPIPE_CHANNELS=CHANNELS)
    assert done.returncode == 0, done.stderr
    return handlers.lines(done.stdout)[0]


def record(database, line, **outcome):
    done = handlers.run("delivery-record", json.dumps({**line, "outcome": outcome}) + "\n", "--stream", DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    return done


def read(envelope):
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return message, message.get_body(("plain",)).get_content(), message.get_body(("html",)).get_content()


def plain(text):
    return text.replace("\u2068", "").replace("\u2069", "")


# ── The worker ──

@pytest.mark.seconds(120)
def test_visitors_get_one_receipt_in_their_language_and_in_our_words(database, mail):
    person = {**TEST_USER, "customerName": TYPED, "customerEmail": "visitor@example.com"}
    forms = {
        "/api/contact": ({"message": TYPED, "subject": TYPED}, "your message from the contact form"),
        "/api/property-inquiry": ({"message": TYPED, "propertyTitle": TYPED, "propertyUrl": "https://evil.example/x"}, "your question about a property"),
        "/api/sell-submission": ({"propertyAddress": TYPED, "propertyDescription": TYPED}, "your request for a valuation of a property"),
    }
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", ADMIN_API_KEY=KEY, RECEIPTS="on", AGENCY_NAME="Palm & Sons", RATE_LIMIT_CONTACT="off",
                  AGENCY_PHONE="+971 4 123 4567", AGENCY_EMAIL="hello@palm.example", **mail.settings) as instance:
        until(lambda: database.count("leadpipe.receipt_sweep", "seen is not null") == 1, 20, "the first sweep")
        client = AdminClient(instance)
        found = {}
        arabic = {**person, "customerEmail": "arab@example.com", "metadata": {"language": "ar"}, "notes": TYPED}
        found["arab@example.com"] = (instance.capture(arabic), "طلبك عبر المحادثة في موقعنا")
        for number, (path, (body, words)) in enumerate(forms.items()):
            to = f"visitor{number}@example.com"
            status, _, document = instance.http(path, {**person, **body, "customerEmail": to})
            assert status == 201, document
            found[to] = (document["id"], words)
        until(lambda: {to for each in mail.envelopes for to in each.rcpt_tos} == {*found, OFFICE} and len(mail.envelopes) == 8, 30, "all mail")
        for envelope in mail.envelopes:
            to, = envelope.rcpt_tos
            if to == OFFICE:
                continue
            id, words = found[to]
            message, text, html = read(envelope)
            assert message["To"] == to and message["Reply-To"] == "hello@palm.example"
            assert message["Auto-Submitted"] == "auto-generated" and message["X-Auto-Response-Suppress"] == "All"
            assert not [name for name in message if name.startswith("List-")]
            reference = id[:8].upper()
            assert reference in message["Subject"] and message["Subject"].startswith("Palm & Sons")
            for fact in (words, reference, "+971 4 123 4567", "hello@palm.example", "Palm & Sons"):
                assert fact in plain(text), (fact, text)
            assert "Palm &amp; Sons" in html
            everything = f"{message['Subject']} {text} {html}"
            assert not any(word in everything for word in ("evil", "Visit", "<b>", "http", "97150")), everything
            if to.startswith("arab"):
                assert '<html lang="ar" dir="rtl">' in html and "استلمنا طلبك" in text and "\u2068+971 4 123 4567\u2069" in text
            else:
                assert '<html lang="en" dir="ltr">' in html and "did not send us a request" in text
        until(lambda: database.count("notification_logs", "to_visitor and status = 'sent'") == 4, 10, "the records")

        # A continued conversation has had its receipt.
        id = found["arab@example.com"][0]
        status, _, _ = instance.http("/api/chatbot/leads", {**arabic, "conversationId": id, "messages": [
            {"id": "m1", "sender": "customer", "text": "one more", "timestamp": "2026-11-28T10:00:00Z"}]})
        assert status in (200, 201)
        until(lambda: database.count("lead_events", "event_type = 'lead.updated'") >= 1, 10, "the addition")
        time.sleep(3)
        assert len(mail.envelopes) == 8 and len(receipts(database)) == 4

        listed = client.get(f"/api/admin/conversations/{id}/notifications")["data"]
        mine, = [each for each in listed if each["eventType"] == "lead.receipt"]
        assert mine["status"] == "sent" and mine["recipient"] == "arab@example.com" and mine["subject"].startswith("Palm & Sons")
        sentences = json.dumps(client.get(f"/api/admin/conversations/{id}/explain")["sentences"], ensure_ascii=False)
        assert f"Receipt for the visitor {mine['id']} via email: It was sent" in sentences
        assert "The visitor got a receipt" in [each["title"] for each in client.get(f"/api/admin/conversations/{id}/timeline")["data"]]
        assert "[INFO] Receipt sent" in instance.log and "@example.com" not in instance.log and "evil" not in instance.log


@pytest.mark.seconds(90)
def test_receipts_are_off_by_default(database, mail):
    with Instance(DATABASE_URL=database.url, WORKER_POLL_SECONDS="1", **mail.settings) as instance:
        instance.capture(TEST_USER)
        until(lambda: len(mail.envelopes) == 1, 10, "the team's mail")
        time.sleep(3)
    assert [each.rcpt_tos for each in mail.envelopes] == [[OFFICE]] and database.count("leadpipe.receipt_sweep") == 0
    lead(database, "later@example.com")
    assert sweep(database, RECEIPTS="off") == {"planned": 0, "limited": 0, "nextDueInMs": None}


def test_without_email_there_are_none_and_it_is_said(swept):
    lead(swept)
    slack = json.dumps([{"channel": "slack", "recipient": "default"}])
    done = handlers.run("receipt-sweep", "{}", DATABASE_URL=swept.url, LEADPIPE_CHANNELS=slack, RECEIPTS="on")
    assert json.loads(done.stdout)["planned"] == 0 and b"[WARN] RECEIPTS is on and email is not configured" in done.stderr
    assert sweep(swept)["planned"] == 0 and receipts(swept) == []


# ── Who gets one ──

def test_only_open_new_leads_with_an_address_get_one(swept):
    born_processed = "now()"
    for number, (address, columns) in enumerate([
            (None, {}), ("", {}), ("a@b.example\r\nBcc: x@y.example", {}), ("<a@b.example>", {}), ("a" * 300 + "@b.example", {}), ("زوي@b.example", {}),
            ("mailer-daemon@b.example", {}), ("No-Reply@b.example", {}), ("noreply+x@b.example", {}), ("postmaster@b.example", {}),
            ("a1@b.example", {"event": born_processed}), ("a2@b.example", {"status": "'in-progress'"}), ("a3@b.example", {"status": "'lost'"}),
            ("a4@b.example", {"erased_at": "now()"}), ("a5@b.example", {"source": "'website'"}), ("a6@b.example", {"source": "null"}),
            ("a7@b.example", {"created_at": "now() - interval '61 minutes'"})]):
        lead(swept, address, **{"customer_name": f"'{number}'", **columns})
    assert sweep(swept) == {"planned": 0, "limited": 0, "nextDueInMs": None} and receipts(swept) == []
    for source in ("chatbot", "contact_form", "property_inquiry", "sell_submission"):
        lead(swept, f"{source}@b.example", source=f"'{source}'")
    lead(swept, "planned@b.example", event="now() + interval '1 second'")
    assert sweep(swept)["planned"] == 5
    assert [each[0] for each in receipts(swept)] == [f"{name}@b.example" for name in (
        "chatbot", "contact_form", "planned", "property_inquiry", "sell_submission")]
    assert sweep(swept)["planned"] == 0


def test_an_address_that_comes_later_gets_one(swept):
    """The chatbot stores the lead once the phone is known, and asks for the address after that."""
    made = lead(swept, None)
    assert sweep(swept)["planned"] == 0
    swept.run(f"update conversations set customer_email = 'late@b.example' where id = '{made}'; select emit_lead_event('lead.updated', '{made}', '{{}}')")
    assert sweep(swept)["planned"] == 1
    swept.run(f"update conversations set customer_email = 'other@b.example' where id = '{made}'; select emit_lead_event('lead.updated', '{made}', '{{}}')")
    assert sweep(swept)["planned"] == 0 and [each[0] for each in receipts(swept)] == ["late@b.example"]


def test_leads_from_before_the_first_sweep_get_none(database):
    lead(database)
    assert sweep(database)["planned"] == 0 and sweep(database)["planned"] == 0


# ── The limits ──

def test_an_address_gets_one_in_a_day_and_five_in_a_month(swept):
    for address in ("Sara.Ahmed+one@Gmail.com", "saraahmed@googlemail.com", "s.araahmed+two@gmail.com", "sara.ahmed@b.example"):
        lead(swept, address)
        sweep(swept)
    day = "this address has had a receipt in the last 24 hours"
    assert [each[0] for each in receipts(swept)] == ["Sara.Ahmed+one@Gmail.com", "sara.ahmed@b.example"] and reasons(swept) == [day, day]
    for _ in range(4):
        swept.run("update leadpipe.receipts set decided_at = decided_at - interval '25 hours'")
        lead(swept, "SARA.AHMED@b.example")
        assert sweep(swept)["planned"] == 1
    swept.run("update leadpipe.receipts set decided_at = decided_at - interval '25 hours'")
    refused = lead(swept, "sara.ahmed@b.example")
    assert sweep(swept) == {"planned": 0, "limited": 1, "nextDueInMs": None}
    assert reasons(swept)[-1] == "this address has had five receipts in the last 30 days"
    assert swept.text(f"select description from conversation_timeline where conversation_id = '{refused}'") == reasons(swept)[-1]
    explained = swept.text(f"select explain_conversation('{{\"id\": \"{refused}\"}}') -> 'receipt' ->> 'notSent'")
    assert explained == reasons(swept)[-1]
    swept.run("update leadpipe.receipts set decided_at = decided_at - interval '30 days'")
    lead(swept, "sara.ahmed@b.example")
    assert sweep(swept)["planned"] == 1


def test_a_clock_that_ran_ahead_closes_an_address_for_a_day_only(swept):
    lead(swept)
    sweep(swept)
    swept.run("update leadpipe.receipts set decided_at = now() + interval '400 days';"
              "update leadpipe.receipt_sweep set tokens_at = now() + interval '400 days', tokens = 0")
    lead(swept)
    assert sweep(swept)["limited"] == 1
    swept.run("update leadpipe.receipts set decided_at = decided_at - interval '25 hours';"
              "update leadpipe.receipt_sweep set tokens_at = now() - interval '1 minute'")
    lead(swept)
    assert sweep(swept)["planned"] == 1


def test_there_is_a_limit_for_all_in_a_minute(swept):
    for number in range(30):
        lead(swept, f"v{number}@b.example")
    reply = sweep(swept, RECEIPTS_PER_MINUTE="7")
    # The first sweep began with a full minute of the default, 20; the setting is the maximum from then on.
    assert (reply["planned"], reply["limited"]) == (7, 23)
    assert set(reasons(swept)) == {"the limit for all receipts in a minute was reached"}
    swept.run("update leadpipe.receipt_sweep set tokens_at = tokens_at - interval '30 seconds'")
    for number in range(30, 40):
        lead(swept, f"v{number}@b.example")
    assert sweep(swept, RECEIPTS_PER_MINUTE="7")["planned"] in (3, 4)


def test_many_sweeps_at_once_plan_each_receipt_once(swept):
    for number in range(15):
        lead(swept, f"v{number % 10}@b.example")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: sweep(swept), range(8)))
    sweep(swept)
    assert sum(each["planned"] for each in replies) <= 10
    assert sorted(each[0] for each in receipts(swept)) == sorted(f"v{number}@b.example" for number in range(10)) and len(reasons(swept)) == 5


def test_a_locked_lead_waits_and_stops_no_other(swept):
    held, _ = lead(swept, "held@b.example"), lead(swept, "free@b.example")
    with Session(swept.url) as other:
        other.text("begin")
        other.text(f"update conversations set notes = 'x' where id = '{held}'")
        assert sweep(swept) == {"planned": 1, "limited": 0, "nextDueInMs": 1000}
        other.text("commit")
    assert sweep(swept)["planned"] == 1 and [each[0] for each in receipts(swept)] == ["free@b.example", "held@b.example"]


# ── Delivery ──

def test_a_refused_visitor_changes_nothing_for_the_team(swept, strict_mail):
    strict_mail.refusals = {"sara@example.com": "550 5.1.1 <sara@example.com> no such mailbox"}
    made = lead(swept)
    sweep(swept)
    assert [each["outcome"]["class"] for each in deliver(swept, strict_mail)] == ["delivered"]
    assert [each["outcome"]["class"] for each in deliver(swept, strict_mail)] == ["permanent"]
    assert swept.count("notification_channels", "paused_until > now() or fail_streak > 0") == 0
    assert swept.text("select processed, retry_count, coalesce(last_error, '') from lead_events where event_type = 'lead.created'") == "t|0|"
    assert "sara@example.com" not in swept.text("select error_message from notification_logs where to_visitor")
    assert swept.text(f"select title from conversation_timeline where conversation_id = '{made}' and title like 'Receipt%'") == "Receipt failed"
    # The address is known to refuse mail, also after the limits of a day and a month.
    swept.run("update leadpipe.receipts set decided_at = now() - interval '40 days'")
    lead(swept, "sara@example.com")
    assert sweep(swept)["limited"] == 1 and reasons(swept) == ["an earlier receipt to this address was refused for good"]


def test_a_refusal_that_is_not_the_mailboxs_is_not_remembered(swept, strict_mail):
    """Our server may not relay, or its settings are wrong: nothing is known about the address."""
    strict_mail.refusals = {"sara@example.com": "550 5.7.1 relaying denied"}
    lead(swept)
    sweep(swept)
    deliver(swept, strict_mail)
    assert [each["outcome"]["class"] for each in deliver(swept, strict_mail)] == ["permanent"]
    swept.run("update leadpipe.receipts set decided_at = now() - interval '40 days'")
    lead(swept, "sara@example.com")
    assert sweep(swept)["planned"] == 1


def test_a_receipt_that_waited_for_a_day_is_cancelled(swept, strict_mail):
    lead(swept)
    sweep(swept)
    swept.run("update notification_logs set created_at = now() - interval '25 hours' where to_visitor")
    claim(swept)
    assert swept.text("select error_message from notification_logs where to_visitor") == "cancelled: it is too late for a receipt"


def test_a_temporary_refusal_is_tried_again_and_a_log_in_fault_pauses(swept, strict_mail):
    strict_mail.refusals = {"sara@example.com": "451 4.7.1 greylisted"}
    lead(swept)
    sweep(swept)
    plan_team(swept)
    assert [each["outcome"]["class"] for each in deliver(swept, strict_mail)] == ["retry"]
    strict_mail.refusals = {}
    swept.run("update notification_logs set next_attempt_at = now() where to_visitor")
    assert [each["outcome"]["class"] for each in deliver(swept, strict_mail)] == ["delivered"]
    assert len(strict_mail.envelopes) == 1
    lead(swept, "other@b.example")
    sweep(swept)
    plan_team(swept)
    record(swept, begin(swept, claim(swept)[0]), **{"class": "config", "statusCode": 535, "reason": "535 log in"})
    assert swept.count("notification_channels", "paused_until > now()") == 1


@pytest.mark.parametrize("way", ["outcome", "crash"])
def test_an_unknown_outcome_is_never_sent_again(swept, way):
    made = lead(swept)
    sweep(swept)
    plan_team(swept)
    line, = claim(swept)
    assert line["recipient"] == "sara@example.com" and line["eventType"] == "lead.receipt"
    begun = begin(swept, line)
    if way == "outcome":
        done = record(swept, begun, **{"class": "unknown", "reason": "no clear reply"})
        assert b"[WARN] The receipt was not sent" in done.stderr and b"All notification channels failed" not in done.stderr
    else:
        swept.run("update notification_logs set lease_until = now() - interval '1 second'")
        assert claim(swept) == []
    assert receipts(swept) == [("sara@example.com", "failed", "It is unknown whether this receipt arrived; it is not sent again.")]
    assert swept.count("notification_logs", "next_attempt_at is not null or due_at is not null") == 0
    id = line["id"]
    # Raises `retried` if nothing refuses it.
    swept.run(f"do $$ begin perform retry_delivery('{{\"id\": \"{id}\"}}'); raise 'retried'; "
              "exception when sqlstate 'LP409' then if sqlerrm <> 'receipt_final' then raise; end if; end $$")
    assert swept.text("select jsonb_array_length(retry_deliveries('{\"channel\": \"email\", \"class\": \"unknown\"}') -> 'deliveries')") == "0"
    assert swept.text("select jsonb_array_length(replay_events('{\"channel\": \"email\"}') -> 'deliveries')") == "0"
    assert claim(swept) == []
    assert swept.text(f"select title from conversation_timeline where conversation_id = '{made}' and title like 'Receipt%'").startswith("Receipt")


def test_erasing_and_closing_cancel_a_receipt(swept):
    erased, closed = lead(swept, "erased@b.example"), lead(swept, "closed@b.example")
    assert sweep(swept)["planned"] == 2
    plan_team(swept)
    # Its address is not the lead's any more.
    swept.run(f"update conversations set customer_email = 'new@b.example' where id = '{erased}'")
    swept.run(f"select leadpipe.erase_conversations(array['{erased}']::uuid[], 'test')")
    assert swept.count("notification_logs", "recipient like 'erased %' and status = 'failed' and due_at is null") == 1
    assert swept.count("leadpipe.receipts", f"conversation_id = '{erased}'") == 0
    swept.run(f"update conversations set status = 'lost' where id = '{closed}'")
    assert claim(swept) == []
    assert receipts(swept)[0] == ("closed@b.example", "failed", "cancelled: the lead is not open any more")
    assert swept.count("lead_events", "event_type = 'lead.receipt' and not processed") == 0
    # A cancelled receipt is no refusal by the address.
    swept.run("update leadpipe.receipts set decided_at = now() - interval '2 days'")
    lead(swept, "closed@b.example")
    assert sweep(swept)["planned"] == 1
    deleted = lead(swept, "deleted@b.example")
    assert sweep(swept)["planned"] == 1
    swept.run(f"delete from conversations where id = '{deleted}'")
    assert "deleted@b.example" not in {each[0] for each in receipts(swept)}


def test_receipts_take_only_what_the_team_leaves(swept):
    for number in range(20):
        lead(swept, f"v{number}@b.example")
    assert sweep(swept)["planned"] == 20
    # The team's messages of all leads come first, however many claims they take.
    for _ in range(4):
        assert [each["recipient"] for each in claim(swept, 5)] == [OFFICE] * 5
    seen = []
    for _ in range(10):
        lines = claim(swept, 5)
        assert len(lines) == 2
        seen += [each["recipient"] for each in lines]
    assert sorted(seen) == sorted(f"v{number}@b.example" for number in range(20)) and claim(swept, 5) == []


def test_a_receipt_to_the_offices_own_address_is_sent_once(swept, strict_mail):
    lead(swept, OFFICE)
    assert sweep(swept)["planned"] == 1
    for _ in range(3):
        deliver(swept, strict_mail)
    assert len(strict_mail.envelopes) == 2
    assert sum(read(each)[0]["Subject"].startswith("TrueNester: ") for each in strict_mail.envelopes) == 1
    assert receipts(swept) == [(OFFICE, "sent", "")]


def test_a_receipt_is_never_rerouted_to_the_office(swept):
    lead(swept)
    sweep(swept)
    plan_team(swept)
    other = json.dumps([{"channel": "slack", "recipient": "default"}])
    done = handlers.run("event-claim", json.dumps({"worker": "w", "isComplete": True}), DATABASE_URL=swept.url, LEADPIPE_CHANNELS=other)
    assert done.stdout == b"" and [each[:2] for each in receipts(swept)] == [("sara@example.com", "failed")]
    assert [each["recipient"] for each in claim(swept)] == ["sara@example.com"]


def test_a_wrong_agency_setting_stops_no_team_mail(swept, strict_mail):
    lead(swept)
    sweep(swept)
    wrong = {"AGENCY_NAME": "x" * 200, "AGENCY_PHONE": "call\r\nBcc: x@y.example", "AGENCY_EMAIL": "a@b.example\r\nBcc: x@y.example"}
    outcomes = [deliver(swept, strict_mail, **wrong)[0]["outcome"]["class"] for _ in range(2)]
    assert outcomes == ["delivered", "delivered"]
    message, text, _ = read(strict_mail.envelopes[1])
    assert message["Subject"].startswith("TrueNester: ") and "reply to this message" in text and message["Reply-To"] is None and message["Bcc"] is None
