"""What misled people who saw the panel for the first time."""

from playwright.sync_api import expect


def test_search_finds_closed_leads(opened, leads):
    lead = leads.make("Closed Long Ago")
    leads.admin.patch(f"/api/admin/conversations/{lead}", {"status": "lost"})
    page = opened("/admin/inbox?tab=unassigned&q=Closed+Long")
    page.get_by_role("button", name="Search all leads").click()
    expect(page.locator("a.lead-name")).to_have_text(["Closed Long Ago"])
    page.get_by_label("Search").first.fill("nobody-has-this-text")
    page.get_by_role("button", name="Clear filters").last.click()
    expect(page.get_by_role("button", name="Search all leads")).to_have_count(0)


def test_answer_has_the_channel_that_was_used(opened, leads):
    lead = leads.make("Reached By WhatsApp")
    page = opened(f"/admin/conversations/{lead}")
    # The address is of another host, which does not exist here.
    page.evaluate("() => document.addEventListener('click', event => { if (event.target.closest('a')) event.preventDefault(); }, true)")
    page.get_by_role("link", name="WhatsApp").click()
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Answer logged. The deadline has stopped.")).to_be_visible()
    events = leads.admin.get(f"/api/admin/conversations/{lead}/timeline")["data"]
    assert [event["metadata"]["channel"] for event in events if event["type"] == "customer_contacted"] == ["whatsapp"]


def test_click_beside_a_dialog_keeps_what_was_typed(opened, leads):
    page = opened("/admin/agents")
    page.get_by_role("button", name="Add agent").click()
    dialog = page.get_by_role("dialog")
    page.mouse.click(5, 5)
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Add agent").click()
    dialog.get_by_label("Name").fill("Half Typed")
    page.mouse.click(5, 5)
    expect(dialog.get_by_label("Name")).to_have_value("Half Typed")


def test_status_dialog_stays_under_the_pointer(opened, leads):
    lead = leads.make("Status By Mouse")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Status By Mouse")).to_be_visible()
    page.keyboard.press("s")
    radio = page.get_by_role("dialog").get_by_text("Converted", exact=True)
    before = radio.bounding_box()
    radio.click()
    field = page.get_by_role("dialog").get_by_label("Value")
    expect(field).to_be_focused()
    assert radio.bounding_box() == before
