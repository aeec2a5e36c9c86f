"""Changes to leads over HTTP: update, respond, assign, follow up. Each has its event and its timeline entry."""

import json
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from admin import KEY, AdminClient, with_key
from common import HANDLERS, TEST_USER, clean_environment
from instance import Instance

NOBODY = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with Instance(DATABASE_URL=base.url, ENABLE_NOTIFICATION_WORKER="false", ADMIN_API_KEY=KEY) as instance:
        yield instance


@pytest.fixture
def admin(instance):
    return AdminClient(instance)


@pytest.fixture
def lead(instance):
    return captured(instance)


def captured(instance, **more):
    """The path of a new conversation."""
    lead = instance.capture({**TEST_USER, "messages": [{"id": "1", "messageText": "hello"}], **more})
    return f"/api/admin/conversations/{lead}"


def agent(admin, capacity=15):
    name = uuid.uuid4().hex[:8]
    return admin.post("/api/admin/agents", {"name": f"Agent {name}", "email": f"{name}@example.com", "maxCapacity": capacity}, 201)


def events(base, lead):
    """The types of the lead's events, oldest first, without the first."""
    return base.text(f"select event_type from lead_events where conversation_id = '{lead[-36:]}' order by created_at").split("\n")[1:]


def timeline(base, lead):
    return base.rows(f"""select event_type, title, description, actor_type, actor_name from conversation_timeline
                         where conversation_id = '{lead[-36:]}' order by created_at""")[1:]


def soon(**ahead):
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# ── Changes ──


def test_change_has_an_event_and_a_timeline_entry_with_its_author(instance, base, lead):
    own = with_key(instance, base, f"Sara {uuid.uuid4().hex[:6]}", "write")
    changed = own.patch(lead, {"status": "in-progress", "tags": ["vip", "sea view", "vip"], "notes": "wants to see it on Friday"})
    assert (changed["status"], changed["tags"], changed["notes"]) == ("in-progress", ["vip", "sea view"], "wants to see it on Friday")
    assert events(base, lead) == ["lead.updated"]
    told = timeline(base, lead)
    assert {(entry["event_type"], entry["title"]) for entry in told} == {
        ("status_changed", "Status changed from new to in-progress"), ("note_added", "Notes changed"), ("note_added", "Tags changed")}
    assert {entry["actor_name"] for entry in told} == {base.value("select name from admin_keys order by created_at desc limit 1")}
    assert own.get(lead)["status"] == "in-progress"


def test_appends_replaces_and_clears_notes(admin, base, lead):
    assert admin.patch(lead, {"notes": "first"})["notes"] == "first"
    assert admin.patch(lead, {"notes": "second", "notesMode": "append"})["notes"] == "first\nsecond"
    assert admin.patch(lead, {"notes": "third", "outcome": "viewing", "conversionValue": 2500000.5})["conversionValue"] == 2500000.5
    emptied = admin.patch(lead, {"notes": None, "outcome": "", "conversionValue": None, "tags": []})
    assert (emptied["notes"], emptied["outcome"], emptied["conversionValue"], emptied["tags"]) == (None, None, None, [])
    admin.patch(lead, {"notes": "kept"})
    assert admin.patch(lead, {"notes": "", "notesMode": "append"})["notes"] == "kept"
    admin.patch(lead, {"notes": "x" * 5000})
    for _ in range(2):
        admin.patch(lead, {"notes": "x" * 5000, "notesMode": "append"})
    problem = admin.patch(lead, {"notes": "x" * 5000, "notesMode": "append"}, 400)
    assert [(error["path"], error["code"]) for error in problem["details"]] == [("notes", "notes_too_long")]


def test_raising_the_quality_qualifies_the_lead(admin, base, lead):
    changed = admin.patch(lead, {"leadScore": 90})
    assert (changed["leadScore"], changed["leadQuality"]) == (90, "hot")
    assert changed["leadScoreBreakdown"]["source"] == "agent" and changed["leadScoreBreakdown"]["before"]["source"] == "server"
    assert admin.patch(lead, {"leadQuality": "cold"})["leadScore"] == 90
    assert events(base, lead) == ["lead.qualified", "lead.updated"]
    assert [entry["title"] for entry in timeline(base, lead)] == ["Lead qualified as hot", "Lead quality lowered to cold"]


@pytest.mark.parametrize("status, event, title", [("converted", "lead.converted", "Lead converted"), ("lost", "lead.lost", "Lead lost")])
def test_won_or_lost_lead_has_its_event(admin, base, lead, status, event, title):
    admin.patch(lead, {"status": status, "outcome": "signed on Sunday"})
    assert events(base, lead) == [event]
    entry, = timeline(base, lead)
    assert (entry["title"], entry["description"]) == (title, "signed on Sunday")


def test_empty_change_has_no_event(admin, base, lead):
    before = admin.request("GET", lead)[1]["etag"]
    admin.patch(lead, {"status": "new", "tags": []})
    assert admin.request("GET", lead)[1]["etag"] == before
    assert (events(base, lead), timeline(base, lead)) == ([], [])


@pytest.mark.parametrize("change, path", [
    ({"status": "won"}, "status"), ({"status": 1}, "status"), ({"leadScore": 101}, "leadScore"), ({"leadScore": -1}, "leadScore"),
    ({"leadScore": "90"}, "leadScore"), ({"leadScore": 1.5}, "leadScore"), ({"leadQuality": "HOT"}, "leadQuality"), ({"tags": "vip"}, "tags"),
    ({"tags": ["x" * 101]}, "tags[0]"), ({"tags": [str(i) for i in range(51)]}, "tags"), ({"notes": "x" * 5001}, "notes"),
    ({"notes": "x", "notesMode": "prepend"}, "notesMode"), ({"outcome": "x" * 501}, "outcome"), ({"conversionValue": -1}, "conversionValue"),
    ({"conversionValue": 1e3}, "conversionValue"), ({"conversionValue": 1.234}, "conversionValue"), ({"conversionValue": "1"}, "conversionValue"),
    ({"conversionValue": 10 ** 12}, "conversionValue"),
    ({"status": None}, "status"), ({"status": ""}, "status"), ({"leadScore": None}, "leadScore"), ({"leadQuality": " "}, "leadQuality"),
    ({"tags": None}, "tags"), ({"notes": "kept", "status": None}, "status"),
])
def test_rejects_an_invalid_change_by_its_field(admin, base, lead, change, path):
    before = admin.request("GET", lead)[1]["etag"]
    raw = json.dumps(change).replace("1000.0", "1e3").encode()
    status, _, problem = admin.request("PATCH", lead, raw)
    assert (status, [error["path"] for error in problem["details"]]) == (400, [path])
    assert admin.request("GET", lead)[1]["etag"] == before
    for nothing in ({}, {"id": NOBODY}, {"customerName": "Somebody"}):
        assert admin.patch(lead, nothing, 400)["details"][0]["code"] == "no_change"


def test_rejects_a_change_with_an_outdated_etag(admin, base, lead):
    _, headers, shown = admin.request("GET", lead)
    tag = headers["etag"]
    status, after, _ = admin.request("PATCH", lead, {"notes": "of the first"}, if_match=tag)
    assert status == 200 and after["etag"] != tag
    status, _, problem = admin.request("PATCH", lead, {"notes": "of the second", "status": "lost"}, if_match=tag)
    assert (status, problem["code"]) == (412, "conversation_changed")
    assert (admin.get(lead)["notes"], admin.get(lead)["status"]) == ("of the first", "new")
    assert admin.request("PATCH", lead, {"notes": "of the second"}, if_match=after["etag"])[0] == 200
    assert admin.request("PATCH", lead, {"notes": "of the third"}, if_match="*")[0] == 200
    now = admin.request("GET", lead)[1]["etag"]
    assert admin.request("PATCH", lead, {"notes": "of the fourth"}, if_match=f'"other", {tag}')[0] == 412
    assert admin.request("PATCH", lead, {"notes": "of the fourth"}, if_match=f'"other", W/{now}')[0] == 200
    for malformed in ("other", f"{now} {now}", f"{now}, *", '""'):
        status, _, problem = admin.request("PATCH", lead, {"notes": "of the fifth"}, if_match=malformed)
        assert (status, problem["details"][0]["code"]) == (400, "invalid_etag"), malformed
    assert admin.request("POST", f"{lead}/respond", {}, if_match=tag)[0] == 412
    assert admin.request("POST", f"{lead}/assign", {"agentId": agent(admin)["id"]}, if_match=tag)[0] == 412
    assert admin.request("PATCH", lead, {"tags": ["x"]}, if_match="W/" + admin.request("GET", lead)[1]["etag"])[0] == 200
    for wrong in ("abc", '"', f"{tag}, {tag}"):
        assert admin.request("PATCH", lead, {"notes": "x"}, if_match=wrong)[0] in (400, 412), wrong


def test_one_of_twenty_changes_with_one_etag_succeeds(instance, base, lead):
    tag = AdminClient(instance).request("GET", lead)[1]["etag"]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: AdminClient(instance).request("PATCH", lead, {"notes": f"note {n}"}, if_match=tag)[0], range(20)))
    assert sorted(answers) == [200] + [412] * 19
    assert len(timeline(base, lead)) == 1


def test_keeps_all_notes_appended_at_once(instance, base, lead):
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: AdminClient(instance).patch(lead, {"notes": f"note {n}", "notesMode": "append"}), range(20)))
    assert sorted(AdminClient(instance).get(lead)["notes"].split("\n")) == sorted(f"note {n}" for n in range(20))


def test_new_message_of_the_customer_changes_the_etag(admin, instance, lead):
    tag = admin.request("GET", lead)[1]["etag"]
    instance.http("/api/chatbot/leads", {**TEST_USER, "conversationId": lead[-36:], "messages": [{"id": "2", "messageText": "still there?"}]})
    assert admin.request("PATCH", lead, {"status": "lost"}, if_match=tag)[0] == 412


# ── Bulk changes ──


def test_bulk_change_reports_the_result_of_each_lead(admin, instance, base):
    leads = [captured(instance) for _ in range(3)]
    ids = [lead[-36:] for lead in leads]
    admin.patch(leads[2], {"status": "lost"})
    done = admin.post("/api/admin/conversations/bulk", {"ids": [ids[0], NOBODY, ids[2], ids[1].upper(), ids[0]], "change": {"status": "lost"}})
    assert [(result["id"], result["status"], result["changed"]) for result in done["results"]] == [
        (ids[0], 200, True), (NOBODY, 404, False), (ids[2], 200, False), (ids[1], 200, True)]
    assert (done["changed"], done["failed"]) == (2, 1)
    assert [events(base, lead) for lead in leads] == [["lead.lost"]] * 3


def test_bulk_assignment_stops_at_the_agents_capacity(admin, instance, base):
    ids = sorted(captured(instance)[-36:] for _ in range(3))
    full = agent(admin, 2)
    done = admin.post("/api/admin/conversations/bulk", {"ids": ids, "change": {"agentId": full["id"]}})
    assert [result["status"] for result in done["results"]] == [200, 200, 409]
    done = admin.post("/api/admin/conversations/bulk", {"ids": ids, "change": {"agentId": full["id"], "force": True, "tags": ["x"]}})
    assert done["changed"] == 3
    assert base.count("conversations", f"assigned_agent_id = '{full['id']}' and tags = '{{x}}'") == 3
    assert admin.post("/api/admin/conversations/bulk", {"ids": ids, "change": {"agentId": NOBODY}}, 404)["code"] == "agent_not_found"


@pytest.mark.parametrize("body, path", [
    ({}, "ids"), ({"ids": [], "change": {"status": "lost"}}, "ids"), ({"ids": [NOBODY]}, "change"),
    ({"ids": ["x" * 36], "change": {"status": "lost"}}, "ids[0]"),
    ({"ids": [NOBODY] * 501, "change": {"status": "lost"}}, "ids"), ({"ids": [NOBODY], "change": {"status": "x"}}, "change.status"),
    ({"ids": NOBODY, "change": {"status": "lost"}}, "ids"),
])
def test_rejects_an_invalid_bulk_change(admin, body, path):
    problem = admin.post("/api/admin/conversations/bulk", body, 400)
    assert path in [error["path"] for error in problem["details"]]
    admin.post("/api/admin/conversations/bulk", {"ids": [NOBODY], "change": {}}, 400)


def test_two_bulk_changes_of_500_do_not_deadlock(instance, base):
    base.run("""insert into conversations (customer_name, customer_phone) select 'Bulk', '+9715' || n from generate_series(1, 500) n""")
    ids = base.text("select id from conversations where customer_name = 'Bulk'").split("\n")
    with ThreadPoolExecutor(2) as pool:
        bulk = "/api/admin/conversations/bulk"
        first, second = pool.map(
            lambda side: AdminClient(instance).post(bulk, {"ids": side, "change": {"tags": [side[0]]}}), (ids, ids[::-1]))
    assert first["failed"] == second["failed"] == 0
    assert first["changed"] == second["changed"] == 500


# ── Responses ──


def test_only_the_first_response_counts_for_the_sla(admin, base, lead):
    assert admin.get(lead)["unreadCount"] == 1
    answered = admin.post(f"{lead}/respond", {"channel": "call", "message": "called, viewing on Friday"})
    shown = answered["conversation"]
    assert (answered["status"], answered["isFirst"], shown["slaState"], shown["status"]) == ("contacted", True, "met", "in-progress")
    assert (shown["unreadCount"], shown["lastMessageSnippet"]) == (0, "called, viewing on Friday")
    again = admin.post(f"{lead}/respond", {})
    assert (again["isFirst"], again["conversation"]["firstResponseAt"]) == (False, shown["firstResponseAt"])
    assert events(base, lead) == ["lead.contacted"] * 2
    assert [entry["title"] for entry in timeline(base, lead)] == ["Called the customer", "Status changed from new to in-progress", "Contacted the customer"]
    assert timeline(base, lead)[0]["description"] == "called, viewing on Friday (first response, on time)"


def test_late_response_breaches_the_sla(admin, base, lead):
    base.run(f"update conversations set sla_response_deadline = now() - interval '1 minute' where id = '{lead[-36:]}'")
    assert admin.get(lead)["slaState"] == "breached"
    someone = agent(admin)
    shown = admin.post(f"{lead}/respond", {"agentId": someone["id"], "channel": "whatsapp"})["conversation"]
    assert (shown["slaState"], shown["slaBreached"]) == ("breached", True)
    assert base.count("conversations", f"id = '{lead[-36:]}' and sla_breached") == 1
    entry = timeline(base, lead)[0]
    assert (entry["actor_name"], entry["title"]) == ("ADMIN_API_KEY", f"Replied by WhatsApp: {someone['name']}")
    assert entry["description"] == "(first response, late)"


def test_sla_warning_in_the_last_third_and_no_breach_after_closing_in_time(admin, base, lead):
    base.run(f"""update conversations set lead_quality = 'hot', sla_response_deadline = now() + interval '4 minutes' where id = '{lead[-36:]}'""")
    assert admin.get(lead)["slaState"] == "warning"
    admin.patch(lead, {"status": "lost"})
    base.run(f"update conversations set sla_response_deadline = now() - interval '1 minute' where id = '{lead[-36:]}'")
    assert admin.get(lead)["slaState"] == "ok"
    admin.patch(lead, {"status": "new"})
    admin.patch(lead, {"status": "lost"})
    assert admin.get(lead)["slaState"] == "breached"


@pytest.mark.parametrize("body, path", [
    ({"channel": "pigeon"}, "channel"), ({"message": "x" * 5001}, "message"), ({"message": 1}, "message"), ({"agentId": "x"}, "agentId")])
def test_rejects_an_invalid_response(admin, base, lead, body, path):
    assert admin.post(f"{lead}/respond", body, 400)["details"][0]["path"] == path
    assert admin.post(f"{lead}/respond", {"agentId": NOBODY}, 404)["code"] == "agent_not_found"
    assert admin.get(lead)["firstResponseAt"] is None


# ── Assignment and agents ──


def test_assigns_a_conversation_and_reassigns_it(admin, base, lead):
    one, other = agent(admin), agent(admin)
    given = admin.post(f"{lead}/assign", {"agentId": one["id"], "priority": "high", "notes": "speaks Arabic"})
    assert (given["status"], given["agentName"], given["conversation"]["assignedAgentName"]) == ("assigned", one["name"], one["name"])
    admin.post(f"{lead}/assign", {"agentId": one["id"]})
    assert len(timeline(base, lead)) == 1
    admin.post(f"{lead}/assign", {"agentId": other["id"]})
    assert events(base, lead) == ["lead.assigned"] * 2
    assert [(entry["title"], entry["description"]) for entry in timeline(base, lead)] == [
        (f"Assigned to {one['name']}", "speaks Arabic"), (f"Assigned to {other['name']}", None)]
    loads = {a["id"]: a["openConversations"] for a in admin.get("/api/admin/agents")["data"]}
    assert (loads[one["id"]], loads[other["id"]]) == (0, 1)


def test_full_agent_gets_another_lead_only_by_force(admin, instance, base):
    leads = [captured(instance) for _ in range(3)]
    full = agent(admin, 1)
    admin.post(f"{leads[0]}/assign", {"agentId": full["id"]})
    problem = admin.post(f"{leads[1]}/assign", {"agentId": full["id"]}, 409)
    assert problem["code"] == "agent_at_capacity" and "1 open conversations" in problem["detail"]
    admin.post(f"{leads[1]}/assign", {"agentId": full["id"], "force": True})
    for closed in leads[:2]:
        admin.patch(closed, {"status": "completed"})
    admin.post(f"{leads[2]}/assign", {"agentId": full["id"]})


def test_reopened_lead_stays_with_its_full_agent(admin, instance, base):
    full, first, second = agent(admin, 1), captured(instance), captured(instance)
    admin.post(f"{first}/assign", {"agentId": full["id"]})
    admin.patch(first, {"status": "lost", "outcome": "bought elsewhere"})
    assert admin.get(f"{first}/explain")["sentences"][-1] == "It is closed, and nothing is due."
    admin.post(f"{second}/assign", {"agentId": full["id"]})
    assert admin.patch(first, {"status": "new"})["assignedAgentId"] == full["id"]
    assert [one["openConversations"] for one in admin.get("/api/admin/agents")["data"] if one["id"] == full["id"]] == [2]
    assert [(entry["title"], entry["description"]) for entry in timeline(base, first)][1:] == [
        ("Lead lost", "bought elsewhere"), ("Status changed from lost to new", None)]
    why = admin.get(f"{first}/explain")
    assert why["sla"]["sentence"].endswith("No agent has responded yet.") and why["sentences"][-1].startswith("Next is the first response, due by ")
    admin.patch(first, {"status": "completed"})
    admin.patch(first, {"status": "in-progress", "outcome": "wants to see two more"})
    assert [entry["description"] for entry in timeline(base, first)][3:] == [None, "wants to see two more"]


def test_timeline_shows_the_outcome_in_words(admin, instance, base):
    lead = captured(instance)
    for change in ({"conversionValue": 5_000_000}, {"conversionValue": 50.5}, {"status": "converted", "conversionValue": 70, "outcome": "sold"},
                   {"status": "lost"}, {"outcome": "fell through"}, {"conversionValue": None, "outcome": None}):
        admin.patch(lead, change)
    assert [(entry["title"], entry["description"]) for entry in timeline(base, lead)] == [
        ("Value changed", "value 5000000"), ("Value changed", "value 50.5 (was 5000000)"), ("Lead converted", "sold; value 70 (was 50.5)"),
        ("Lead lost", None), ("Outcome recorded", "fell through"), ("Outcome removed", "outcome removed; value removed (was 70)")]


def test_rejects_blank_tags_and_keeps_the_others(admin, instance):
    lead = captured(instance)
    admin.patch(lead, {"tags": ["vip"]})
    for tags, path in (([""], "tags[0]"), (["family", " "], "tags[1]")):
        details = admin.patch(lead, {"tags": tags}, 400)["details"]
        assert [(error["path"], error["code"]) for error in details] == [(path, "blank")]
    assert admin.get(lead)["tags"] == ["vip"]


def test_concurrent_assignments_do_not_overfill_an_agent(instance, base):
    leads = [captured(instance) for _ in range(12)]
    busy = agent(AdminClient(instance), 5)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda lead: AdminClient(instance).request("POST", f"{lead}/assign", {"agentId": busy["id"]})[0], leads))
    assert sorted(answers) == [200] * 5 + [409] * 7


@pytest.mark.parametrize("body, path", [({}, "agentId"), ({"agentId": "x"}, "agentId"), ({"agentId": NOBODY, "notes": "x" * 501}, "notes"),
                                        ({"agentId": NOBODY, "priority": "now"}, "priority")])
def test_rejects_an_invalid_assignment(admin, lead, body, path):
    assert admin.post(f"{lead}/assign", body, 400)["details"][0]["path"] == path
    assert admin.post(f"{lead}/assign", {"agentId": NOBODY}, 404)["code"] == "agent_not_found"


def test_creates_changes_and_deletes_agents(admin, instance, base):
    made = admin.post("/api/admin/agents", {"name": "  Layla Haddad ", "email": "Layla@Example.com", "phone": "050 765 4321", "department": "Sales"}, 201)
    assert (made["name"], made["email"], made["phone"], made["maxCapacity"], made["status"]) == (
        "Layla Haddad", "layla@example.com", "+971507654321", 15, "available")
    assert admin.post("/api/admin/agents", {"name": "Another", "email": "LAYLA@example.com"}, 409)["code"] == "agent_email_taken"
    path = f"/api/admin/agents/{made['id']}"
    assert admin.patch(path, {"status": "offline", "maxCapacity": 0})["status"] == "offline"
    assert [a["id"] for a in admin.get("/api/admin/agents?status=offline")["data"]] == [made["id"]]
    assert admin.patch(path, {"phone": None})["phone"] is None
    lead = captured(instance)
    admin.post(f"{lead}/assign", {"agentId": made["id"], "force": True})
    assert "has 1 open conversations" in admin.document("DELETE", path, None, 409)["detail"]
    assert admin.request("DELETE", f"{path}?force=true")[0] == 204
    assert admin.get(lead)["assignedAgentId"] is None
    assert timeline(base, lead)[-1]["title"] == "Unassigned"
    assert admin.request("DELETE", path)[0] == 404
    made = admin.post("/api/admin/agents", {"name": "Omar\r\nof Sales", "email": "omar@example.com", "department": "Sales\tand rent"}, 201)
    assert (made["name"], made["department"]) == ("Omar of Sales", "Sales and rent")
    assert admin.patch(lead, {"tags": ["sea\nview", "sea view"]})["tags"] == ["sea view"]
    for field, text in (("email", "omar\n@example.com"), ("email", "omar@\texample.com"), ("phone", "050\t765\nroom")):
        assert admin.patch(f"/api/admin/agents/{made['id']}", {field: text}, 400)["details"][0]["path"] == field
    for body, field in (({}, "name"), ({"name": "A", "email": "a@b.ae"}, "name"), ({"name": "Abc", "email": "no address"}, "email"),
                        ({"name": "Abc", "email": "a@b.ae", "maxCapacity": -1}, "maxCapacity"),
                        ({"name": "Abc", "email": "a@b.ae", "status": "asleep"}, "status")):
        assert field in [error["path"] for error in admin.post("/api/admin/agents", body, 400)["details"]]
    assert admin.document("GET", "/api/admin/agents?status=asleep", None, 400)["details"][0]["path"] == "status"


# ── Follow-ups ──


def test_creates_moves_and_completes_a_follow_up(admin, base, lead):
    when, later = soon(days=1), soon(days=3)
    made = admin.post(f"{lead}/follow-ups", {"followUpDate": when, "reminderType": "call", "reminderText": "ask about the loan", "priority": "high"}, 201)
    assert (made["followUpDate"], made["status"], made["priority"], made["customerName"]) == (when, "scheduled", "high", TEST_USER["customerName"])
    second = admin.post(f"{lead}/follow-ups", {"followUpDate": soon(days=2), "reminderType": "whatsapp"}, 201)
    assert admin.get(lead)["followUpDate"] == when
    path = f"/api/admin/follow-ups/{made['id']}"
    admin.patch(path, {"status": "in_progress", "priority": "low"})
    assert timeline(base, lead)[-1]["title"].endswith(" changed")
    assert admin.patch(path, {"followUpDate": later})["followUpDate"] == later
    assert admin.get(lead)["followUpDate"] == second["followUpDate"]
    kept = admin.patch(path, {"status": "completed", "notes": "he will think about it"})
    assert kept["status"] == "completed" and kept["completedAt"] is not None
    assert admin.patch(path, {"status": "scheduled"}, 409)["code"] == "follow_up_closed"
    admin.patch(f"/api/admin/follow-ups/{second['id']}", {"status": "cancelled"})
    assert admin.get(lead)["followUpDate"] is None
    assert events(base, lead) == ["lead.follow_up_scheduled"] * 2 + ["lead.updated", "lead.follow_up_scheduled"] + ["lead.follow_up_completed", "lead.updated"]
    titles = [entry["title"] for entry in timeline(base, lead)]
    assert titles[0] == f"Follow-up by phone on {when[:10]} {when[11:16]} UTC" and titles[4:] == [
        "Follow-up by phone completed", "Follow-up by WhatsApp cancelled"]


def test_lists_follow_ups_soonest_first_by_state_and_agent(admin, instance, base):
    base.run("delete from follow_up_tasks")
    lead, someone = captured(instance), agent(admin)
    dates = [soon(hours=hours) for hours in (5, 3, 4, 1, 2)]
    for date in dates:
        admin.post(f"{lead}/follow-ups", {"followUpDate": date, "reminderType": "email", "assignedAgentId": someone["id"]}, 201)
    admin.post(f"{captured(instance)}/follow-ups", {"followUpDate": soon(days=9), "reminderType": "email"}, 201)
    base.run(f"update follow_up_tasks set follow_up_date = now() - interval '1 hour' where follow_up_date = '{dates[0]}'")
    found, cursor = [], ""
    while cursor is not None:
        page = admin.get(f"/api/admin/follow-ups?limit=2&assignedAgentId={someone['id']}" + (f"&cursor={cursor}" if cursor else ""))
        found += page["data"]
        cursor = page["nextCursor"]
    assert [item["followUpDate"] for item in found][1:] == sorted(dates[1:])
    assert [item["status"] for item in found] == ["overdue"] + ["scheduled"] * 4
    assert len(admin.get("/api/admin/follow-ups?status=overdue")["data"]) == 1
    assert len(admin.get("/api/admin/follow-ups?status=scheduled,completed")["data"]) == 5
    assert len(admin.get(f"/api/admin/follow-ups?from={soon(days=5)}&conversationId={lead[-36:]}")["data"]) == 0
    for query, field in (("limit=0", "limit"), ("limit=201", "limit"), ("limit=+5", "limit"), ("limit=abc", "limit"), ("cursor=x", "cursor"),
                         ("from=today", "from"),
                         ("status=late", "status"), ("assignedAgentId=x", "assignedAgentId"), (f"cursor={'A' * 44}", "cursor")):
        assert [error["path"] for error in admin.get(f"/api/admin/follow-ups?{query}", 400)["details"]] == [field], query


@pytest.mark.parametrize("change, path", [
    ({"followUpDate": "tomorrow"}, "followUpDate"), ({"followUpDate": "2020-01-01T00:00:00Z"}, "followUpDate"), ({"followUpDate": None}, "followUpDate"),
    ({"reminderType": "pigeon"}, "reminderType"), ({"reminderType": None}, "reminderType"), ({"reminderText": "x" * 501}, "reminderText"),
    ({"priority": "urgent"}, "priority"), ({"notifyCustomer": "perhaps"}, "notifyCustomer"), ({"assignedAgentId": "x"}, "assignedAgentId")])
def test_rejects_an_invalid_follow_up(admin, base, lead, change, path):
    good = {"followUpDate": soon(days=1), "reminderType": "call", "notifyCustomer": False}
    assert [error["path"] for error in admin.post(f"{lead}/follow-ups", {**good, **change}, 400)["details"]] == [path]
    admin.post(f"{lead}/follow-ups", {**good, "assignedAgentId": NOBODY}, 404)
    assert base.count("follow_up_tasks", f"conversation_id = '{lead[-36:]}'") == 0
    assert events(base, lead) == []


def test_deleting_an_agent_does_not_deadlock_with_other_changes(instance, base, cluster):
    """Rows are written slowly, so that two transactions that lock in different orders would deadlock."""
    log = cluster.home / "log"
    before = log.stat().st_size
    base.run("""create function slowly() returns trigger language plpgsql as 'begin perform pg_sleep(0.03); return new; end';
                create trigger slowly before update on conversations for each row execute function slowly();
                create trigger slowly before insert or update on follow_up_tasks for each row execute function slowly()""")
    try:
        for _ in range(3):
            admin, leads = AdminClient(instance), [captured(instance) for _ in range(6)]
            ids, going = [lead[-36:] for lead in leads], agent(AdminClient(instance))
            admin.post("/api/admin/conversations/bulk", {"ids": ids, "change": {"agentId": going["id"]}})
            admin.post("/api/admin/conversations/bulk", {"ids": ids[:3], "change": {"status": "lost"}})
            follow_up = {"followUpDate": soon(days=1), "reminderType": "call"}
            made = [admin.post(f"{lead}/follow-ups", follow_up, 201)["id"] for lead in leads]
            work = [("POST", f"{lead}/follow-ups", follow_up) for lead in leads]
            work += [("PATCH", f"/api/admin/follow-ups/{one}", {"priority": "high"}) for one in made]
            work += [("POST", "/api/admin/conversations/bulk", {"ids": ids, "change": {"tags": ["x"]}}),
                     ("DELETE", f"/api/admin/agents/{going['id']}?force=true", None)]
            with ThreadPoolExecutor(len(work)) as pool:
                answers = list(pool.map(lambda one: AdminClient(instance).request(one[0], one[1], one[2])[0], work))
            assert answers == [201] * 6 + [200] * 7 + [204]
            assert base.count("follow_up_tasks", f"assigned_agent_id is not null and conversation_id = any ('{{{','.join(ids)}}}')") == 0
    finally:
        base.run("drop function slowly cascade")
    with open(log) as log:
        log.seek(before)
        assert "deadlock detected" not in log.read()


# ── Transactions ──


def test_change_is_rolled_back_when_its_event_fails(admin, instance, base):
    """The event and the timeline entry are in one transaction with the change."""
    lead = captured(instance)
    base.run("alter table conversation_timeline rename to elsewhere")
    try:
        for method, path, body in (("PATCH", lead, {"status": "lost"}), ("POST", f"{lead}/respond", {})):
            assert admin.request(method, path, body)[0] == 503
    finally:
        base.run("alter table elsewhere rename to conversation_timeline")
    shown = admin.get(lead)
    assert (shown["status"], shown["firstResponseAt"]) == ("new", None)
    assert events(base, lead) == []


def test_change_by_hand_is_recorded_as_the_operators(base, instance):
    lead = captured(instance)
    done = subprocess.run(
        [HANDLERS / "conversation-update"], input=json.dumps({"id": lead[-36:], "status": "lost"}).encode(),
        env=clean_environment(DATABASE_URL=base.url, LEADPIPE_ROLE="leadpipe_admin"), capture_output=True)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "lost"), done.stdout
    assert timeline(base, lead)[0]["actor_name"] == "operator"


def test_log_contains_no_customer_data(instance, lead):
    AdminClient(instance).patch(lead, {"notes": "c4n4ry note of a customer"})
    AdminClient(instance).post(f"{lead}/respond", {"message": "c4n4ry answer"})
    assert "c4n4ry" not in instance.log and TEST_USER["customerPhone"] not in instance.log
