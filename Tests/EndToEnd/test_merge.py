"""Two customers become one, and the merge is undone: the rows afterwards are those before. Merges beside captures, beside
each other, in chains, and with erasures."""

import json
import subprocess
import threading
import uuid

import pytest

from cluster import Session
from common import BIN, clean_environment, until

A, B, C = "+971501112233", "+971502223344", "+971503334455"
MAIL = {A: "a@merge.example", B: "b@merge.example", C: "c@merge.example"}
# All columns but those that say when a row was changed.
ROWS = """select 'conversation', to_jsonb(c) - 'updated_at' from conversations c union all select 'identity', to_jsonb(i) from customer_identities i
  union all select 'subscriber', to_jsonb(s) from newsletter_subscribers s union all select 'follow-up', to_jsonb(f) from follow_up_tasks f
  union all select 'event', to_jsonb(e) from lead_events e union all select 'timeline', to_jsonb(t) from conversation_timeline t order by 1, 2"""


def call(database, function, **argument):
    return json.loads(database.text(f"select public.{function}($argument${json.dumps(argument)}$argument$)"))


def refusal(database, function, **argument):
    done = database.psql(f"select public.{function}($argument${json.dumps(argument)}$argument$)", "-v", "VERBOSITY=verbose", check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr.split("ERROR:  ")[1].split("\n")[0]


def capture(database, phone, email=None, **members):
    """A lead, stored as by the chatbot. Returns its id."""
    lead = {"customerName": f"Person {phone[-4:]}", "customerPhone": phone, "customerEmail": email, "leadScore": 10, "leadQuality": "cold", **members}
    lead = {name: value for name, value in lead.items() if value is not None}
    return call(database, "capture_lead", route="lead-capture", source="chatbot", lead=lead)["id"]


def merge(database, keep, merged):
    return call(database, "merge_persons", keep={"phone": keep}, merge={"phone": merged}, by="Sara")


def customers(database):
    """The ids of conversations by customer, as sets of phone numbers."""
    rows = database.rows("select customer_id, array_agg(distinct customer_phone) as phones from conversations group by 1")
    return sorted(sorted(row["phones"]) for row in rows)


@pytest.fixture
def filled(database):
    """Three customers, each with two leads, a subscription and a follow-up."""
    for phone in (A, B, C):
        ids = [capture(database, phone, MAIL[phone]), capture(database, phone)]
        call(database, "subscribe_newsletter", email=MAIL[phone], payload={})
        database.run(f"insert into follow_up_tasks (conversation_id, follow_up_date, reminder_text) values ('{ids[0]}', now(), 'call {phone}')")
    return database


def test_undo_restores_every_row(filled):
    before = filled.text(ROWS)
    done = merge(filled, A, B)
    assert (done["isNew"], done["conversations"], done["contacts"]) == (True, 2, 2)
    assert customers(filled) == [[A, B], [C]]
    shown = call(filled, "show_person", email=MAIL[B])
    assert shown["phones"] == [A, B] and len(shown["conversations"]) == 4 and len(shown["subscriptions"]) == 2
    # Again: nothing more.
    assert merge(filled, A, B) == {"id": done["id"], "isNew": False, "conversations": 0, "contacts": 0}
    assert merge(filled, B, A)["isNew"] is False
    undone = call(filled, "undo_merge", id=done["id"], by="Omar")
    assert (undone["isNew"], undone["conversations"], undone["contacts"]) == (True, 2, 2)
    assert filled.text(ROWS) == before
    assert call(filled, "undo_merge", id=done["id"])["isNew"] is False and filled.text(ROWS) == before
    assert filled.text(f"select actor, action, subject = '{done['id']}', details from leadpipe.audit_log order by created_at") == (
        'Sara|person.merged|t|{"contacts": 2, "conversations": 2}\nOmar|person.merge_undone|t|{"contacts": 2, "conversations": 2}')


def test_rows_from_before_leadpipe_are_merged_and_restored(database):
    """Conversations without a customer, and contacts that belong to none."""
    database.run(f"""insert into conversations (customer_name, customer_phone) values ('Old', '{A}'), ('Old', '{B}'), ('Else', '{C}');
      insert into newsletter_subscribers (email) values ('{MAIL[C]}')""")
    before = database.text(ROWS)
    done = merge(database, A, B)
    assert (done["conversations"], done["contacts"]) == (1, 1)
    assert database.count("conversations", "customer_id is not null") == 2
    assert database.text(f"select customer_id from conversations where id = '{capture(database, B)}'") == database.text(
        f"select customer_id from customer_identities where value = '{A}'")
    database.run(f"delete from conversations where customer_name = 'Person {B[-4:]}'")
    subscriber = call(database, "merge_persons", keep={"phone": A}, merge={"email": MAIL[C]})
    assert (subscriber["conversations"], subscriber["contacts"]) == (0, 1)
    assert len(call(database, "show_person", phone=B)["subscriptions"]) == 1
    for id in (subscriber["id"], done["id"]):
        assert call(database, "undo_merge", id=id)["isNew"] is True
    assert database.text(ROWS) == before


def test_later_leads_are_of_the_kept_customer_until_the_undo(filled):
    done = merge(filled, A, B)
    new = [capture(filled, B), capture(filled, "+971504445566", MAIL[B]), capture(filled, A)]
    kept = filled.text(f"select customer_id from customer_identities where value = '{A}'")
    assert {filled.text(f"select customer_id from conversations where id = '{id}'") for id in new} == {kept}
    call(filled, "undo_merge", id=done["id"])
    merged = filled.text(f"select customer_id from customer_identities where value = '{B}'")
    assert merged != kept
    assert [filled.text(f"select customer_id from conversations where id = '{id}'") for id in new] == [merged, merged, kept]
    assert filled.text("select customer_id from customer_identities where value = '+971504445566'") == merged
    assert filled.text(f"select customer_id from conversations where id = '{capture(filled, B)}'") == merged


def test_chain_is_undone_in_reverse(filled):
    before = filled.text(ROWS)
    first = merge(filled, A, B)
    second = merge(filled, C, A)
    assert customers(filled) == [[A, B, C]]
    assert "merge_not_latest" in refusal(filled, "undo_merge", id=first["id"])
    assert customers(filled) == [[A, B, C]]
    call(filled, "undo_merge", id=second["id"])
    assert customers(filled) == [[A, B], [C]]
    call(filled, "undo_merge", id=first["id"])
    assert filled.text(ROWS) == before
    # And again, in the other direction.
    third = merge(filled, B, C)
    assert customers(filled) == [[A], [B, C]]
    call(filled, "undo_merge", id=third["id"])
    assert filled.text(ROWS) == before


def test_erasing_finds_both_and_ends_the_undo(filled):
    done = merge(filled, A, B)
    shown = call(filled, "show_person", phone=A)
    call(filled, "erase_person", phone=A, conversations=len(shown["conversations"]), subscriptions=len(shown["subscriptions"]))
    assert filled.count("conversations", "customer_name is null and customer_id is null") == 4
    text = subprocess.run(["pg_dump", "--data-only", filled.url], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60).stdout
    for value in (A, B, MAIL[A], MAIL[B], A[4:], B[4:]):
        assert value not in text, value
    assert C in text
    assert "merge_erased" in refusal(filled, "undo_merge", id=done["id"])
    assert filled.count("leadpipe.merged_rows") == 0


def test_erasing_after_the_undo_leaves_the_other(filled):
    done = merge(filled, A, B)
    call(filled, "undo_merge", id=done["id"])
    call(filled, "erase_person", phone=B, conversations=2, subscriptions=1)
    assert filled.count("conversations", f"customer_phone = '{A}'") == 2
    text = subprocess.run(["pg_dump", "--data-only", filled.url], env=clean_environment(), capture_output=True, text=True, check=True, timeout=60).stdout
    assert B not in text and MAIL[B] not in text and A in text
    assert call(filled, "undo_merge", id=done["id"])["isNew"] is False


def test_undo_after_the_merge_expired_is_refused(filled):
    done = merge(filled, A, B)
    filled.run("update leadpipe.customer_merges set created_at = now() - interval '31 days'")
    call(filled, "prune_persons")
    assert filled.count("leadpipe.merged_rows") == 0
    assert "merge_not_found" in refusal(filled, "undo_merge", id=done["id"])
    assert customers(filled) == [[A, B], [C]]


def test_capture_that_has_read_the_old_customer_is_settled(filled):
    """Its lead is stored after the merge for the customer who is no more: housekeeping moves it."""
    old = filled.text(f"select customer_id from customer_identities where value = '{B}'")
    done = merge(filled, A, B)
    late = str(uuid.uuid4())
    filled.run(f"""insert into conversations (id, customer_id, customer_name, customer_phone) values ('{late}', '{old}', 'Late', '{B}');
      insert into customer_identities values ('email', 'late@merge.example', '{old}')""")
    call(filled, "prune_persons")
    kept = filled.text(f"select customer_id from customer_identities where value = '{A}'")
    assert filled.text(f"select customer_id from conversations where id = '{late}'") == kept
    assert filled.text("select customer_id from customer_identities where value = 'late@merge.example'") == kept
    call(filled, "undo_merge", id=done["id"])
    assert filled.text(f"select customer_id from conversations where id = '{late}'") == old


def test_captures_beside_merges_and_undos_all_succeed(filled):
    """Two merges and undos at once, and leads of both customers all the time."""
    failures, ids, end = [], [], threading.Event()

    def work(task):
        try:
            while not end.is_set():
                task()
        except (AssertionError, subprocess.CalledProcessError) as failure:
            failures.append(failure)

    def leads():
        ids.extend([capture(filled, A), capture(filled, B, MAIL[B])])

    def changes():
        id = merge(filled, A, B)["id"]
        if id:
            done = filled.psql(f"""select public.undo_merge('{{"id": "{id}"}}')""", check=False)
            assert done.returncode == 0 or "merge" in done.stderr, done.stderr

    threads = [threading.Thread(target=work, args=(task,)) for task in (leads, leads, changes, changes)]
    for thread in threads:
        thread.start()
    until(lambda: len(ids) >= 30 or failures, 60, "leads beside merges")
    end.set()
    for thread in threads:
        thread.join(30)
    assert failures == []
    merge(filled, A, B)
    call(filled, "prune_persons")
    assert customers(filled) == [[A, B], [C]]
    assert filled.count("conversations") == len(ids) + 6
    assert filled.count("customer_identities") == 6


def test_twenty_merges_at_once_are_one(filled):
    procs = [subprocess.Popen(
        [str(BIN / "leadpipe"), "person", "merge", "--yes", "--json"], env=clean_environment(DATABASE_URL=filled.url), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(20)]
    # Half of them in the other direction.
    done = [proc.communicate(f"{A}\n{B}\n" if n % 2 else f"{B}\n{A}\n", timeout=60) for n, proc in enumerate(procs)]
    replies = [json.loads(out) for out, _ in done]
    assert sum(reply["isNew"] for reply in replies) == 1
    assert filled.count("leadpipe.customer_merges") == 1 and filled.count("leadpipe.audit_log") == 1
    assert customers(filled) == [[A, B], [C]]


def test_merge_waits_for_an_erasure(filled):
    session = Session(filled.url)
    session.text("begin")
    argument = json.dumps({"phone": B, "conversations": 2, "subscriptions": 1})
    session.text(f"select public.erase_person('{argument}')")
    proc = subprocess.Popen(
        [str(BIN / "leadpipe"), "person", "merge", "--yes"], env=clean_environment(DATABASE_URL=filled.url), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    proc.stdin.write(f"{A}\n{B}\n")
    proc.stdin.flush()
    until(lambda: filled.count("pg_stat_activity", "wait_event_type = 'Lock' and query ~ 'merge_persons'") == 1, 10, "a merge that waits")
    session.text("commit")
    out, err = proc.communicate(timeout=20)
    assert proc.returncode == 65 and "nothing is stored about the person in merge" in err, (out, err)
    assert filled.count("conversations", "customer_id is null") == 2 and filled.count("leadpipe.customer_merges") == 0


def test_command_asks_and_tells_how_to_undo(filled):
    def leadpipe(*words, lines="", status=0):
        done = subprocess.run(
            [str(BIN / "leadpipe"), "person", *words], input=lines, env=clean_environment(DATABASE_URL=filled.url), capture_output=True, text=True, timeout=30)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    assert "nothing was merged" in leadpipe("merge", lines=f"{A}\n{B}\nno\n", status=65)
    assert "the second line of stdin must be" in leadpipe("merge", lines=f"{A}\n\n", status=65)
    said = leadpipe("merge", "--by", "Sara", lines=f"{A}\n{MAIL[B]}\nmerge\n")
    assert "merged 2 conversations and 2 numbers or addresses" in said and MAIL[A] in said
    id = said.split()[-1]
    assert id in leadpipe("show", lines=f"{B}\n") and "both are one customer already" in leadpipe("merge", "--yes", lines=f"{A}\n{B}\n")
    assert leadpipe("unmerge", id) == "gave back 2 conversations and 2 numbers or addresses\n"
    assert leadpipe("unmerge", id) == "this merge was undone before\n"
    assert "there is no such merge" in leadpipe("unmerge", str(uuid.uuid4()), status=65)
