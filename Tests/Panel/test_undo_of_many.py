"""Changes of many leads when something goes wrong between the change and its undo, and small faults of the same dialogs."""

import re

import pytest
from playwright.sync_api import expect


def assign_all(page, agent):
    page.keyboard.press("Shift+X")
    page.keyboard.press("a")
    page.get_by_role("dialog").get_by_role("combobox").fill(agent)
    page.keyboard.press("Enter")


def test_undo_does_not_take_older_news_for_a_later_change(opened, leads):
    agent = leads.agent("Undo Alma", 15)
    lead = leads.make("Told Before")
    page = opened("/admin/inbox?tab=all&q=Told+Before")
    expect(page.locator(".feed-state.is-live")).to_be_attached()
    expect(page.locator("tr.lead")).to_have_count(1)
    leads.patch(lead, leadQuality="cold")
    expect(page.locator("tr.lead")).to_contain_text("Cold")
    # From here the page hears of nothing, not even of its own change.
    page.route("**/api/admin/live*", lambda route: route.abort())
    page.evaluate("() => dispatchEvent(new Event('online'))")
    assign_all(page, "Undo Alma")
    expect(page.get_by_text("1 assigned to Undo Alma")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] == agent
    page.keyboard.press("z")
    expect(page.get_by_text("1 lead restored")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] is None
    page.context.watch.faults[:] = [fault for fault in page.context.watch.faults if "ERR_FAILED" not in fault]


def test_undo_restores_the_others_if_an_agent_has_been_removed(opened, leads):
    gone, agent = leads.agent("Undo Basma", 15), leads.agent("Undo Chadi", 15)
    made = [leads.make(f"Undone {number}", 40 - number) for number in range(3)]
    leads.admin.post(f"/api/admin/conversations/{made[0]}/assign", {"agentId": gone})
    page = opened("/admin/inbox?tab=all&q=Undone")
    expect(page.locator("a.lead-name")).to_have_count(3)
    assign_all(page, "Undo Chadi")
    expect(page.get_by_text("3 assigned to Undo Chadi")).to_be_visible()
    leads.admin.request("DELETE", f"/api/admin/agents/{gone}")
    page.keyboard.press("z")
    expect(page.locator("#toast")).to_contain_text(re.compile("2 leads restored; 1 failed: ."))
    assert [leads.get(lead)["assignedAgentId"] for lead in made] == [agent, None, None]
    page.context.watch.faults[:] = [fault for fault in page.context.watch.faults if "404" not in fault]


def test_undo_goes_on_with_the_rest_after_a_lost_connection(opened, leads):
    first, agent = leads.agent("Undo Dima", 15), leads.agent("Undo Elias", 15)
    made = [leads.make(f"Resumed {number}", 40 - number) for number in range(2)]
    leads.admin.post(f"/api/admin/conversations/{made[0]}/assign", {"agentId": first})
    page = opened("/admin/inbox?tab=all&q=Resumed")
    expect(page.locator("a.lead-name")).to_have_count(2)
    assign_all(page, "Undo Elias")
    expect(page.get_by_text("2 assigned to Undo Elias")).to_be_visible()
    page.route("**/bulk", lambda route: route.continue_() if "force" in route.request.post_data else route.abort())
    page.keyboard.press("z")
    expect(page.locator(".toast.is-error")).to_be_visible()
    assert [leads.get(lead)["assignedAgentId"] for lead in made] == [first, agent]
    page.unroute("**/bulk")
    # The first reply that arrives ends the state "offline".
    page.evaluate("() => dispatchEvent(new Event('online'))")
    expect(page.get_by_text("Offline since")).to_be_hidden()
    page.keyboard.press("z")
    expect(page.get_by_text("2 leads restored")).to_be_visible()
    assert [leads.get(lead)["assignedAgentId"] for lead in made] == [first, None]
    page.context.watch.faults[:] = [fault for fault in page.context.watch.faults if "ERR_FAILED" not in fault]


def test_sharing_leaves_an_overloaded_agent_what_is_theirs(opened):
    page = opened("/admin/inbox")
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
    shares = page.evaluate("""async () => {
      const base = new URL('.', document.querySelector('script[type=module][src*="main.js"]').src);
      const { deal } = await import(new URL('parts/share.js', base));
      const agent = { id: 'a', maxCapacity: 1, openConversations: 2 };
      const row = (id, assignedAgentId) => ({ id, status: 'new', assignedAgentId });
      const { shares, rest } = deal([row('own', 'a'), row('other', null)], [agent]);
      return [shares.get(agent).map(one => one.id), rest.map(one => one.id)];
    }""")
    assert shares == [["own"], ["other"]]


def test_first_assign_to_me_leaves_the_list_as_it_is(opened, leads):
    leads.agent("Undo Fadi", 15)
    leads.make("Stays Listed")
    page = opened("/admin/inbox?q=Stays+Listed")
    link = page.get_by_role("link", name="Stays Listed")
    expect(link).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^All"))).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Shift+X")
    page.keyboard.press("i")
    page.keyboard.type("Undo Fadi")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 assigned to Undo Fadi")).to_be_visible()
    expect(page).to_have_url(re.compile("tab=all"))
    link.click()
    expect(page.get_by_role("heading", name="Stays Listed")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name=re.compile("^All"))).to_have_attribute("aria-pressed", "true")
    expect(link).to_be_visible()


def test_focus_stays_when_its_button_goes(opened, leads):
    lead = leads.make("Focus Stays", messages=[f"message {number} of many" for number in range(60)], notes="wrong")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Last message").press("Enter")
    expect(page.get_by_role("region", name="Messages")).to_be_focused()
    page.get_by_role("button", name="Edit notes").click()
    page.get_by_label("Notes", exact=True).fill("")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".fact-notes")).to_contain_text("No notes yet")
    expect(page.get_by_role("button", name="Add note")).to_be_focused()


def test_notes_of_a_colleague_that_are_taken_close_the_field(opened, leads):
    lead = leads.make("Taken Notes", notes="before")
    page = opened(f"/admin/conversations/{lead}")
    page.get_by_role("button", name="Edit notes").click()
    page.get_by_label("Notes", exact=True).fill("mine")
    leads.patch(lead, notes="theirs")
    page.locator(".fact-notes .offer button").click()
    expect(page.locator(".fact-notes p.text")).to_have_text("theirs")
    expect(page.get_by_label("Notes", exact=True)).to_be_hidden()
    expect(page.get_by_role("button", name="Edit notes")).to_be_focused()


@pytest.mark.parametrize(("arabic", "add", "text"), ids=["english", "arabic"], argvalues=[
    (False, "Add agent", "must be a whole number from 1 to 1,000"), (True, "إضافة وكيل", "يجب أن يكون عددًا صحيحًا")])
def test_broken_number_is_called_so(opened, arabic, add, text):
    page = opened("/admin/agents", arabic=arabic)
    page.get_by_role("button", name=add).click()
    form = page.get_by_role("dialog", name=add)
    form.locator("[name=maxCapacity]").fill("1.5")
    form.locator("[type=submit]").click()
    expect(form.locator("[name=maxCapacity]")).to_have_accessible_description(re.compile(text))


def test_half_a_date_is_called_so(opened):
    page = opened("/admin/keys")
    page.get_by_role("button", name="New key").click()
    form = page.get_by_role("dialog")
    form.locator("[name=name]").fill("Never Made")
    form.locator("[name=expires]").press("1")
    form.locator("[type=submit]").click()
    expect(form.locator("[name=expires]")).to_have_accessible_description(re.compile("must be a whole date"))


def test_words_of_another_channel_do_not_decide_the_reason(opened):
    page = opened("/admin/inbox")
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
    plain = page.evaluate("""async () => {
      const base = new URL('.', document.querySelector('script[type=module][src*="main.js"]').src);
      const { plainReason } = await import(new URL('parts/reasons.js', base));
      return plainReason({ channel: 'email', class: 'permanent', reason: 'The mail server answered 550: user_not_found' });
    }""")
    assert plain == "This recipient was refused by the mail service: check the address."
