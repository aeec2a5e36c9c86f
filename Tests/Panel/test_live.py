"""What arrives while a page is open: leads, messages, changes by another admin, a cut network."""

import re

import pytest
from playwright.sync_api import expect
from test_tasks import row


def test_new_lead_waits_in_a_pill_and_enters_on_click(opened, leads):
    leads.make("Live One")
    page = opened("/admin/inbox?intent=invest,buy")
    expect(page.get_by_text("live, checked")).to_be_visible()
    page.get_by_role("link", name="Live One", exact=True).focus()
    leads.make("Live Two", 99)
    pill = page.get_by_role("button", name="1 new: show")
    expect(pill).to_be_visible()
    expect(row(page, "Live Two")).to_have_count(0)
    expect(page.get_by_role("link", name="Live One", exact=True)).to_be_focused()
    page.keyboard.press(".")
    expect(row(page, "Live Two")).to_be_visible()
    expect(pill).to_be_hidden()


def test_new_lead_enters_by_itself_at_rest(opened, leads):
    page = opened("/admin/inbox")
    expect(page.get_by_text("live, checked")).to_be_visible()
    leads.make("Enters At Rest", 99)
    expect(row(page, "Enters At Rest")).to_be_visible()


def test_changed_row_updates_in_place_and_leaves_at_the_next_show(opened, leads):
    lead = leads.make("Changes In Place", 95)
    page = opened("/admin/inbox")
    expect(row(page, "Changes In Place")).to_be_visible()
    expect(page.get_by_text("live, checked")).to_be_visible()
    leads.patch(lead, leadScore=10)
    expect(row(page, "Changes In Place").locator(".quality")).to_have_text("Cold 10")
    row(page, "Changes In Place").get_by_role("link").focus()
    leads.patch(lead, status="lost")
    expect(row(page, "Changes In Place")).to_have_class("lead is-stale is-waiting")
    page.keyboard.press(".")
    expect(row(page, "Changes In Place")).to_have_count(0)


def test_two_tabs_share_one_stream(opened, leads):
    page = opened("/admin/inbox")
    other = opened("/admin/inbox", context=page.context)
    for tab in (page, other):
        expect(tab.get_by_text("live, checked")).to_be_visible()
    leads.make("In Both Tabs", 99)
    for tab in (page, other):
        expect(row(tab, "In Both Tabs")).to_be_visible()
    page.close()
    expect(other.get_by_text("live, checked")).to_be_visible()
    leads.make("After The Leader", 99)
    expect(row(other, "After The Leader")).to_be_visible(timeout=15_000)


class Race:
    """Lets a page read an old version of a lead until it sends its own change."""

    def __init__(self, page, lead):
        self.page, self.address = page, f"/api/admin/conversations/{lead}"
        self.again()
        page.route(f"**{self.address}**", self._answer)

    def again(self):
        self.has_sent = False
        self.old = self.page.request.get(re.sub(r"/admin/.*", self.address, self.page.url))

    def _answer(self, route):
        self.has_sent = self.has_sent or route.request.method != "GET"
        if self.has_sent or not route.request.url.endswith(self.address):
            route.continue_()
        else:
            route.fulfill(response=self.old)


@pytest.mark.seconds(120)
def test_another_tab_takes_over_from_a_frozen_one(opened, leads):
    frozen = opened("/admin/inbox")
    expect(frozen.get_by_text("live, checked")).to_be_visible()
    other = opened("/admin/inbox", context=frozen.context)
    expect(other.get_by_text("live, checked")).to_be_visible()
    # As a browser stops a page that it has frozen: it runs nothing, and keeps its lock.
    control = frozen.context.new_cdp_session(frozen)
    control.send("Debugger.enable")
    control.send("Debugger.pause")
    streams = []
    other.on("request", lambda request: streams.append(request.url) if "/api/admin/live" in request.url else None)
    leads.make("After The Freeze", 99)
    expect(row(other, "After The Freeze")).to_be_visible(timeout=60_000)
    assert len(streams) == 1 and "lastEventId=" in streams[0]
    control.send("Debugger.resume")
    control.send("Debugger.disable")
    # The old leader hears of the next lead from the new one.
    for tab in (frozen, other):
        expect(row(tab, "After The Freeze")).to_be_visible()
    leads.make("After The Thaw", 99)
    for tab in (frozen, other):
        expect(row(tab, "After The Thaw")).to_be_visible()


def test_conflict_shows_names_and_times(opened, leads):
    mine, theirs = leads.agent("Mine Agent"), leads.agent("Theirs Agent")
    lead = leads.make("Conflict In Words")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Conflict In Words")).to_be_visible()
    losing = Race(page, lead)
    page.keyboard.press("a")
    page.keyboard.type("mine ag")
    leads.admin.post(f"/api/admin/conversations/{lead}/assign", {"agentId": theirs})
    page.keyboard.press("Enter")
    merge = page.get_by_role("alertdialog", name="Somebody was quicker")
    expect(merge.get_by_role("row", name="Agent")).to_have_text("AgentNobodyTheirs AgentMine Agent")
    merge.get_by_role("button", name="Save mine").click()
    expect(page.get_by_text("Assigned to")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] == mine

    losing.again()
    page.keyboard.press("r")
    leads.admin.post(f"/api/admin/conversations/{lead}/respond", {"channel": "call"})
    page.keyboard.press("Control+Enter")
    cells = merge.get_by_role("row", name="Answered").get_by_role("cell")
    expect(cells.nth(0)).to_have_text("–")
    for index in (1, 2):
        expect(cells.nth(index)).to_have_text(re.compile(r"^\d+ \w{3} 20\d\d, \d\d:\d\d$"))


def test_conversation_follows_a_new_message(opened, leads):
    lead = leads.make("Writes Again", messages=("first",))
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_text("first")).to_be_visible()
    told = leads.get(lead)
    leads.instance.capture({"customerName": "Writes Again", "customerPhone": told["customerPhone"], "conversationId": lead,
                            "messages": [{"id": "0", "messageText": "first"}, {"id": "later", "messageText": "the second message"}]})
    expect(page.get_by_text("the second message")).to_be_visible()


def test_merges_a_change_of_another_admin(opened, leads):
    lead = leads.make("Two Admins", notes="before")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Edit notes").click()
    notes = page.get_by_label("Notes", exact=True)
    expect(notes).to_have_value("before")
    notes.fill("mine")
    leads.patch(lead, notes="theirs")
    # The live value does not overwrite the field; a line offers it.
    expect(page.get_by_text("Now saved by somebody else:")).to_be_visible()
    expect(notes).to_have_value("mine")


def test_shows_three_values_after_a_lost_race(opened, leads):
    lead = leads.make("Lost Race", notes="before")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Edit notes").click()
    notes = page.get_by_label("Notes", exact=True)
    expect(notes).to_have_value("before")
    # The page must not hear of the other change before it saves.
    page.route("**/api/admin/conversations/*", lambda route: route.continue_() if route.request.method == "PATCH" or lost else route.abort())
    lost = []
    notes.fill("mine")
    leads.patch(lead, notes="theirs")
    lost.append(True)
    page.get_by_role("button", name="Save", exact=True).click()
    merge = page.get_by_role("alertdialog", name="Somebody was quicker")
    expect(merge.get_by_role("cell", name="before")).to_be_visible()
    expect(merge.get_by_role("cell", name="theirs")).to_be_visible()
    merge.get_by_role("button", name="Save mine").click()
    expect(page.get_by_text("Notes saved")).to_be_visible()
    assert leads.get(lead)["notes"] == "mine"


def test_change_of_another_field_is_no_conflict(opened, leads):
    lead = leads.make("No Conflict")
    page = opened(f"/admin/conversations/{lead}")
    tag = page.get_by_label("Add a tag")
    expect(page.get_by_role("heading", name="No Conflict")).to_be_visible()
    leads.patch(lead, notes="another field")
    tag.fill("cash")
    tag.press("Enter")
    expect(page.get_by_role("button", name="Remove tag cash")).to_be_visible()
    expect(page.get_by_text("Tags saved")).to_be_visible()
    told = leads.get(lead)
    assert (told["tags"], told["notes"]) == (["cash"], "another field")


def test_offline_says_so_keeps_the_text_and_comes_back(opened, leads):
    lead = leads.make("Offline Lead")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Note", exact=True).click()
    text = page.get_by_label("Note for your colleagues")
    text.fill("typed offline")
    page.context.set_offline(True)
    expect(page.get_by_text("Offline since")).to_be_visible()
    expect(page.get_by_role("button", name="Save note")).to_be_disabled()
    text.press("Control+Enter")
    expect(page.get_by_text("You are offline. Your text is kept.").first).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("Offline since")).to_be_hidden(timeout=10_000)
    expect(text).to_have_value("typed offline")
    text.press("Control+Enter")
    expect(page.get_by_text("Note saved")).to_be_visible()
    assert leads.get(lead)["notes"] == "typed offline"


def test_draft_survives_a_reload(opened, leads):
    lead = leads.make("Draft Reload")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_label("What was said (optional)").fill("half a sentence")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    page.reload()
    expect(page.get_by_label("What was said (optional)")).to_have_value("half a sentence")


def test_unassigns_and_undoes_a_first_assignment(opened, leads):
    agent = leads.agent("Nora Unassign")
    lead = leads.make("Unassign Me")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Unassign Me")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.type("nora un")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Assigned to")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] == agent
    page.keyboard.press("z")
    expect(page.get_by_text("Undone", exact=True)).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] is None


def test_full_agent_is_asked_about(opened, leads):
    agent = leads.agent("Full Agent", 1)
    first, second = leads.make("Fills Agent"), leads.make("Too Many")
    leads.admin.post(f"/api/admin/conversations/{first}/assign", {"agentId": agent})
    page = opened(f"/admin/conversations/{second}")
    expect(page.get_by_role("heading", name="Too Many")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.type("full")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Assign anyway").click()
    expect(page.get_by_text("Assigned to")).to_be_visible()
    assert leads.get(second)["assignedAgentId"] == agent
