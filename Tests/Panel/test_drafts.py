"""What agents type is never lost, and never replaces what others have saved meanwhile without a word."""

import re

from playwright.sync_api import expect


def opened_at(opened, lead, **how):
    page = opened(f"/admin/conversations/{lead}", **how)
    page.get_by_role("button", name="Edit notes").click()
    return page, page.get_by_label("Notes", exact=True)


def test_typed_text_survives_events_of_the_lead(opened, leads):
    lead = leads.make("Typing", notes="before")
    page, notes = opened_at(opened, lead)
    expect(notes).to_have_value("before")
    notes.fill("being typed")
    leads.patch(lead, leadScore=77)
    expect(page.get_by_label("Score", exact=True)).to_have_value("77")
    expect(notes).to_have_value("being typed")


def test_a_draft_is_offered_what_was_saved_meanwhile(opened, leads):
    lead = leads.make("Old Draft", notes="before")
    page, notes = opened_at(opened, lead)
    expect(notes).to_have_value("before")
    notes.fill("my draft")
    page.wait_for_timeout(500)
    leads.patch(lead, notes="theirs")
    page.reload()
    expect(notes).to_have_value("my draft")
    expect(page.locator(".offer").filter(has_text="theirs")).to_be_visible()
    notes.press("Control+Enter")
    merge = page.get_by_role("alertdialog", name="Somebody was quicker")
    expect(merge).to_contain_text("my draft")
    expect(merge).to_contain_text("theirs")
    assert leads.get(lead)["notes"] == "theirs"


def test_a_failed_save_keeps_the_text(opened, leads):
    lead = leads.make("Too Long", notes="before")
    page, notes = opened_at(opened, lead)
    expect(notes).to_have_value("before")
    page.route(re.compile("/api/admin/conversations/[^/]+$"), lambda route: route.fulfill(
        status=503, content_type="application/problem+json", body='{"title": "away", "status": 503}')
        if route.request.method == "PATCH" else route.fallback())
    notes.fill("not saved yet")
    notes.press("Control+Enter")
    expect(page.get_by_role("alert").first).to_be_visible()
    expect(notes).to_have_value("not saved yet")
    page.unroute_all()
    notes.press("Control+Enter")
    for _ in range(50):
        if leads.get(lead)["notes"] == "not saved yet":
            break
        page.wait_for_timeout(100)
    assert leads.get(lead)["notes"] == "not saved yet"


def test_notes_and_tags_are_added_to_those_of_others(opened, leads):
    lead = leads.make("Two Notes", notes="first", tags=["a", "b"])
    page, notes = opened_at(opened, lead)
    expect(notes).to_have_value("first")
    for tag in "ab":
        page.locator(".tags li").filter(has_text=tag).get_by_role("button").click()
    expect(page.locator(".tags li")).to_have_count(0)
    page.keyboard.press("n")
    page.keyboard.type("second")
    leads.patch(lead, notes="changed by another")
    page.keyboard.press("Control+Enter")
    expect(notes).to_have_value("changed by another\nsecond")
    assert leads.get(lead)["tags"] == []
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("z")
    expect(notes).to_have_value("changed by another")
