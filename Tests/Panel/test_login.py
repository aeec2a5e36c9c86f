"""Log-in, the end of a session, and log-out."""

from playwright.sync_api import expect

from panel import KEY, log_in


def test_wrong_key_is_refused_and_kept(opened):
    page = opened(logged_in=False)
    key = page.get_by_label("Key", exact=True)
    key.fill("not-a-key")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This key is not valid.")
    expect(key).to_have_value("not-a-key")
    page.get_by_role("button", name="Show").click()
    expect(key).to_have_attribute("type", "text")


def test_opens_the_requested_address_after_the_log_in(opened, origin, leads):
    lead = leads.make("Deep Link")
    page = opened(f"/admin/conversations/{lead}", logged_in=False)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Deep Link")).to_be_visible()
    assert page.url == f"{origin}/admin/conversations/{lead}"
    assert KEY not in page.evaluate("() => JSON.stringify({...localStorage, ...sessionStorage})")


def test_ended_session_keeps_what_was_typed(opened, origin, leads):
    lead = leads.make("Session Ends")
    page = opened(logged_in=False)
    # The banner's first request would find the session ended before the note is saved.
    with page.expect_response("**/api/admin/sla?*"):
        log_in(page, f"{origin}/admin/conversations/{lead}")
    page.get_by_role("button", name="Note", exact=True).click()
    text = page.get_by_label("Note for your colleagues")
    text.fill("A note that must not be lost")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save note").click()
    again = page.get_by_role("dialog", name="Your session has ended")
    again.get_by_label("Key").fill(KEY)
    again.get_by_role("button", name="Log in").click()
    expect(page.locator(".fact-notes p.text")).to_have_text("A note that must not be lost")
    expect(page.get_by_text("Note saved")).to_be_visible()
    assert leads.get(lead)["notes"] == "A note that must not be lost"


def test_log_out_reaches_other_tabs_and_deletes_drafts(opened, origin, leads):
    lead = leads.make("Log Out")
    page = opened(logged_in=False)
    log_in(page, f"{origin}/admin/conversations/{lead}")
    page.get_by_label("What was said (optional)").fill("a draft")
    expect(page.get_by_text("Draft saved")).to_be_visible()
    other = opened("/admin/inbox", context=page.context)
    expect(other.get_by_role("navigation", name="Main menu")).to_be_visible()
    other.get_by_role("button", name="Log out", exact=True).click()
    for tab in (page, other):
        expect(tab.get_by_label("Key", exact=True)).to_be_visible()
    assert page.evaluate("() => Object.keys(localStorage).filter(key => key.includes('draft')).length") == 0
