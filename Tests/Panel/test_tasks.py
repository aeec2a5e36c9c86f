"""The ten ordinary tasks, by mouse or by keyboard, within their budgets of clicks and keys."""

import csv
import re

import pytest
from playwright.sync_api import expect


@pytest.fixture(autouse=True, scope="module")
def people(leads):
    return {"omar": leads.agent("Omar Khalid"), "layla": leads.agent("Layla Haddad")}


def row(page, name):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_opens_sorted_by_deadline(opened, leads):
    cold, hot = leads.make("Sorted Cold", 10), leads.make("Sorted Hot", 95)
    page = opened("/admin/inbox?q=Sorted")
    expect(page.locator("a.lead-name")).to_have_text(["Sorted Hot", "Sorted Cold"])
    assert (hot, cold) == tuple(page.locator("tr.lead").nth(number).get_attribute("data-id") for number in (0, 1))


def test_mine_belongs_to_the_chosen_agent(opened, leads, people):
    lead = leads.make("Mine Of Omar")
    leads.admin.post(f"/api/admin/conversations/{lead}/assign", {"agentId": people["omar"]})
    page = opened("/admin/settings")
    page.get_by_label("I am").select_option(people["omar"])
    page.get_by_role("link", name="Inbox").click()
    expect(page.get_by_role("button", name=re.compile("^Mine"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator("a.lead-name")).to_have_text(["Mine Of Omar"])


def test_calls_and_logs_the_answer_by_keyboard(opened, leads):
    lead = leads.make("Keyboard Answer", 90)
    page = opened("/admin/inbox?q=Keyboard+Answer")
    expect(row(page, "Keyboard Answer")).to_be_visible()
    page.keyboard.press("Enter")
    call = page.get_by_role("link", name="Call")
    expect(call).to_have_attribute("href", f"tel:{leads.get(lead)['customerPhone']}")
    expect(page.get_by_role("link", name="WhatsApp")).to_have_attribute("href", f"https://wa.me/{leads.get(lead)['customerPhone'][1:]}")
    page.keyboard.press("r")
    page.keyboard.type("She comes on Friday")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Answer logged. The deadline has stopped.")).to_be_visible()
    expect(page.locator(".lead-chips .sla")).to_have_text("answered")
    told = leads.get(lead)
    assert (told["slaState"], told["status"], told["messages"][-1]["messageText"]) == ("met", "in-progress", "She comes on Friday")


def test_writes_a_note_and_undoes_it(opened, leads):
    lead = leads.make("Note And Undo", notes="old")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Note And Undo")).to_be_visible()
    page.keyboard.press("n")
    page.keyboard.type("prefers mornings")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Note saved")).to_be_visible()
    assert leads.get(lead)["notes"] == "old\nprefers mornings"
    page.keyboard.press("z")
    expect(page.get_by_text("Undone", exact=True)).to_be_visible()
    assert leads.get(lead)["notes"] == "old"


def test_follows_up_tomorrow_at_ten(opened, leads):
    lead = leads.make("Follow Tomorrow")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Follow-up", exact=True).click()
    page.get_by_role("button", name="Tomorrow 10:00").click()
    expect(page.get_by_text("Follow-up planned")).to_be_visible()
    # Ten o'clock in Dubai.
    assert leads.get(lead)["followUpDate"].endswith("T06:00:00.000Z")


def test_closes_as_converted_with_its_value(opened, leads):
    lead = leads.make("Closed Converted")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Closed Converted")).to_be_visible()
    page.keyboard.press("s")
    page.keyboard.press("v")
    page.keyboard.type("٢٬٥٠٠٬٠٠٠")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Status changed")).to_be_visible()
    told = leads.get(lead)
    assert (told["status"], told["conversionValue"]) == ("converted", 2_500_000)


def test_finds_a_lead_by_the_end_of_its_number(opened, leads):
    lead = leads.make("Found By Number", customerPhone="+971501984567")
    page = opened()
    expect(page.get_by_role("table", name="Leads")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("984567")
    expect(page.locator("a.lead-name")).to_have_text(["Found By Number"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Found By Number")).to_be_visible()
    assert page.url.endswith(lead)
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("984567")


def test_shares_out_leads_and_undoes_it(opened, leads, people):
    made = [leads.make(f"Share {number}", 90 - number) for number in range(4)]
    page = opened("/admin/inbox?q=Share")
    boxes = page.get_by_role("checkbox", name=re.compile("Select .*Share"))
    expect(boxes).to_have_count(4)
    boxes.first.click()
    boxes.last.click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.type("om")
    page.keyboard.press("Enter")
    expect(page.get_by_text("4 assigned to")).to_be_visible()
    assert {leads.get(lead)["assignedAgentId"] for lead in made} == {people["omar"]}
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("4 leads restored")).to_be_visible()
    assert {leads.get(lead)["assignedAgentId"] for lead in made} == {None}


def test_takes_over_the_lead_that_is_most_overdue(opened, leads, people):
    lead = leads.make("Most Overdue", 95)
    leads.overdue(lead, 600)
    page = opened()
    expect(page.get_by_label("Response deadlines").get_by_role("link", name="Most Overdue")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.get_by_role("heading", name="Most Overdue")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.type("la")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Assigned to")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] == people["layla"]
    leads.admin.post(f"/api/admin/conversations/{lead}/respond", {"channel": "call"})


def test_shows_last_months_numbers_and_a_table(opened, leads):
    page = opened()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("button", name="7 days").click()
    expect(page.get_by_role("heading", name="Leads a day")).to_be_visible()
    page.get_by_role("button", name="Show as table").first.click()
    expect(page.get_by_role("table", name="Leads a day").get_by_role("row")).to_have_count(8)
    page.keyboard.press("m")
    page.wait_for_url("**/admin/overview?span=month")


def test_downloads_the_list_as_a_file(opened, leads):
    leads.make("Exported Lead")
    page = opened("/admin/inbox?q=Exported+Lead")
    expect(row(page, "Exported Lead")).to_be_visible()
    page.keyboard.press("e")
    expect(page.get_by_role("dialog", name="Export 1 lead")).to_be_visible()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        assert [line["customerName"] for line in csv.DictReader(file)] == ["Exported Lead"]


def test_finds_out_why_slack_failed_and_sends_it_again(opened, leads, database):
    lead = leads.make("Slack Failed")
    event = database.value(f"select id from public.lead_events where conversation_id = '{lead}' limit 1")
    database.run(f"""insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, status, outcome_class, error_message)
      values ('{event}', '{lead}', 'slack', 'hook', 'failed', 'permanent', 'channel_is_archived')""")
    page = opened("/admin/inbox")
    page.get_by_role("link", name="Deliveries").click()
    page.get_by_role("button", name="Given up").click()
    expect(page.get_by_text("channel_is_archived").first).to_be_visible()
    page.get_by_role("button", name="Try again").first.click()
    expect(page.get_by_text("It will be sent again now")).to_be_visible()
    assert leads.admin.get(f"/api/admin/conversations/{lead}/notifications")["data"][0]["state"] != "given-up"
