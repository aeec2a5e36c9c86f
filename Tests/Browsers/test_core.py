"""What an agent does most, in Firefox and WebKitGTK: log in, see a lead come in, open it, assign it, answer it, Arabic."""

import pytest

from admin import KEY
from common import until
from panel import origin

pytestmark = pytest.mark.seconds(180)
LIVE = ".feed-state.is-live"


def own(browser, name):
    """A name that the other browser's tests do not use."""
    return f"{name} {type(browser).__name__}"


def test_logs_in_with_the_key_only(browser, instance):
    browser.click(".who button")
    browser.fill("#key", "not-a-key")
    browser.press("Enter")
    browser.find("[role=alert]", "This key is not valid.")
    browser.run("document.querySelector('#key').value = '';")
    browser.fill("#key", KEY)
    browser.press("Enter")
    browser.find("nav.side")
    assert browser.run("return location.pathname") == "/admin/inbox"
    assert KEY not in browser.run("return JSON.stringify({...localStorage, ...sessionStorage}) + location.href")


def test_shows_leads_that_come_in_also_after_the_stream_is_replaced(browser, leads):
    browser.find(LIVE)
    leads.make(own(browser, "Comes In"), 99)
    browser.find("a.lead-name", own(browser, "Comes In"))
    # `online` opens a new stream, from the last id.
    browser.run("dispatchEvent(new Event('online'));")
    leads.make(own(browser, "Comes In Again"), 99)
    browser.find("a.lead-name", own(browser, "Comes In Again"))


def test_new_leads_wait_while_one_reads(browser, leads):
    leads.make(own(browser, "Being Read"), 98)
    browser.find("a.lead-name", own(browser, "Being Read"))
    browser.find(LIVE)
    browser.press("j")
    focused = browser.run("return document.activeElement.textContent")
    assert focused
    leads.make(own(browser, "Waits For It"), 99)
    browser.find(".pill", "1 new: show")
    assert browser.run("return document.activeElement.textContent") == focused
    browser.press(".")
    browser.find("a.lead-name", own(browser, "Waits For It"))
    browser.gone(".pill")


def test_opens_assigns_and_answers(browser, leads):
    name, agent = own(browser, "Answered"), leads.agent(own(browser, "Agent"))
    lead = leads.make(name, 97, ("I want two bedrooms in JVC", "Are you there?"))
    browser.find("a.lead-name", name)
    browser.click("a.lead-name", name)
    browser.find("h1", name)
    browser.find(".message .text", "Are you there?")
    assert browser.run("return document.querySelector('.reach-call').getAttribute('href')") == f"tel:{leads.get(lead)['customerPhone']}"
    browser.press("a")
    browser.find("dialog[open] input")
    browser.type(own(browser, "agent").lower())
    browser.press("Enter")
    browser.find("#toast", "Assigned to")
    assert leads.get(lead)["assignedAgentId"] == agent
    browser.press("r")
    browser.type("Friday")
    browser.press("Control", "Enter")
    browser.find("#toast", "Answer logged.")
    browser.find(".lead-chips .sla", "answered")
    told = leads.get(lead)
    assert (told["slaState"], told["messages"][-1]["messageText"]) == ("met", "Friday")


def test_merges_with_another_agent(browser, instance, leads):
    lead = leads.make("Merged", notes="before")
    browser.open(f"{origin(instance)}/admin/conversations/{lead}")
    browser.find("h1", "Merged")
    browser.click(".fact-notes [aria-keyshortcuts=n] + button")
    browser.fill(".fact-notes textarea", " and mine")
    leads.patch(lead, notes="theirs")
    browser.find(".offer", "theirs")
    browser.press("Control", "Enter")
    browser.find("dialog[open]", "Somebody was quicker")
    browser.click("dialog[open] [type=submit]")
    browser.find("#toast", "Notes saved")
    assert leads.get(lead)["notes"] == "before and mine"
    browser.press("Escape")
    browser.press("z")
    until(lambda: leads.get(lead)["notes"] == "theirs", 20, "the undo")


def test_is_arabic_from_right_to_left(browser, instance, leads):
    lead = leads.make("هند المنصوري", 92, ("أريد فيلا في JVC",))
    browser.open(f"{origin(instance)}/admin/settings")
    browser.choose("option[value=ar]")
    browser.find("h1", "الإعدادات")
    assert browser.run("return getComputedStyle(document.body).direction") == "rtl"
    browser.open(f"{origin(instance)}/admin/conversations/{lead}")
    browser.find("h1", "هند المنصوري")
    number = browser.find(".facts bdi[dir=ltr]")
    assert browser.run("return arguments[0].textContent", number) == leads.get(lead)["customerPhone"]
    nav, main = (browser.run(f"return document.querySelector('{name}').getBoundingClientRect().left") for name in ("nav.side", "main"))
    assert nav > main
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    times = browser.run("return [...document.querySelectorAll('time')].map(node => node.title || node.textContent).join(' ')")
    assert "1447" not in times and "1448" not in times, times


def test_menu_and_dialogs_take_the_focus_and_return_it(browser, leads):
    leads.make(own(browser, "Row Menu"), 96)
    browser.do("Refresh")
    browser.find("a.lead-name", own(browser, "Row Menu"))
    browser.click("tr.lead .c-menu button")
    browser.find("[role=menu]:popover-open")
    assert browser.run("return document.activeElement.getAttribute('role')") == "menuitem"
    browser.press("Escape")
    browser.gone("[role=menu]:popover-open")
    assert browser.run("return document.activeElement.closest('.c-menu') !== null")
    browser.press("?")
    browser.find("dialog[open]", "Keyboard")
    browser.press("Escape")
    browser.gone("dialog[open]")
