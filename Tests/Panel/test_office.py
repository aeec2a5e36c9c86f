"""What owners and managers do besides leads: keys, agents, newsletter, saved views, settings, exports, log-in links."""

import csv
import re

from playwright.sync_api import expect

from admin import AdminClient
from cluster import leadpipe
from panel import log_in

NOTIFICATIONS = """
  Object.defineProperty(document, 'hidden', {get: () => globalThis.isAway === true});
  globalThis.shown = [];
  globalThis.Notification = class {
    static permission = 'granted';
    static requestPermission = async () => Notification.permission;
    constructor(text) { if (globalThis.isAndroid) throw new TypeError('Illegal constructor'); shown.push(text); }
    close() {}
  };"""


def test_key_is_created_shown_once_and_revoked(opened, leads):
    page = opened("/admin/keys")
    page.get_by_role("button", name="New key").click()
    form = page.get_by_role("dialog", name="New key")
    form.get_by_label("Name").fill("Reader of the tests")
    form.get_by_label("Rights").select_option("read")
    form.get_by_role("button", name="Create key").click()
    made = page.get_by_role("dialog", name="Key of Reader of the tests")
    key = made.get_by_label("New key").input_value()
    made.get_by_role("button", name="Copy").click()
    expect(made.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == key
    made.get_by_role("button", name="I have stored it").click()
    line = page.get_by_role("row").filter(has_text="Reader of the tests")
    expect(line).to_contain_text("read")
    page.reload()
    expect(line).to_be_visible()
    assert key not in page.content()

    leads.agent("Seen By Readers")
    reader = AdminClient(leads.instance, key)
    assert reader.get("/api/admin/session")["rights"] == "read"
    reading = opened(logged_in=False)
    log_in(reading, page.url.replace("keys", "agents"), key)
    expect(reading.get_by_role("table", name="Agents")).to_be_visible()
    expect(reading.get_by_role("button", name="Add agent")).to_have_count(0)
    reading.goto(page.url)
    expect(reading.get_by_text("Only owners see the keys.")).to_be_visible()

    line.get_by_role("button", name="Revoke").click()
    sure = page.get_by_role("alertdialog", name="Revoke the key of Reader of the tests")
    sure.get_by_role("button", name="Revoke").click()
    expect(sure.get_by_text("The text differs.")).to_be_visible()
    sure.get_by_label("Text to confirm").fill("Reader of the tests")
    sure.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Key revoked")).to_be_visible()
    expect(line).to_have_count(0)
    reader.get("/api/admin/session", 401)


def test_agent_is_added_changed_and_removed(opened, leads):
    lead = leads.make("Lead Of Rania")
    page = opened("/admin/agents")
    page.get_by_role("button", name="Add agent").click()
    form = page.get_by_role("dialog", name="Add agent")
    form.get_by_label("Name").fill("Rania Saad")
    form.get_by_label("E-mail").fill("rania@example.com")
    form.get_by_label("Most open leads").fill("3")
    form.get_by_role("button", name="Save").click()
    line = page.get_by_role("row").filter(has_text="Rania Saad")
    expect(line).to_contain_text("0 of 3")
    line.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Rania Saad")
    form.get_by_label("Department").fill("Villas")
    form.get_by_role("button", name="Save").click()
    expect(line).to_contain_text("Villas")
    # The message of the change before is still there.
    with page.expect_response(lambda reply: reply.request.method == "PATCH"):
        line.get_by_role("combobox").select_option("busy")
    agent = next(one for one in leads.admin.get("/api/admin/agents")["data"] if one["name"] == "Rania Saad")
    assert (agent["status"], agent["department"], agent["maxCapacity"]) == ("busy", "Villas", 3)

    leads.admin.post(f"/api/admin/conversations/{lead}/assign", {"agentId": agent["id"], "force": True})
    page.reload()
    expect(line).to_contain_text("1 of 3")
    line.get_by_role("button", name="Remove").click()
    sure = page.get_by_role("alertdialog", name="Remove Rania Saad?")
    expect(sure.get_by_text("1 open lead becomes unassigned.")).to_be_visible()
    sure.get_by_role("button", name="Remove").click()
    expect(line).to_have_count(0)
    assert leads.get(lead)["assignedAgentId"] is None


def test_subscriber_is_found_and_deleted(opened, leads):
    for name in ("stays", "leaves"):
        leads.instance.http("/api/newsletter/subscribe", {"email": f"{name}@news.example.com", "source": "footer"})
    page = opened("/admin/newsletter")
    page.get_by_label("Search addresses").fill("@news.example")
    lines = page.get_by_role("table", name="Newsletter").locator("tbody").get_by_role("row")
    expect(lines).to_have_count(2)
    page.wait_for_url("**q=%40news.example")
    leaves = lines.filter(has_text="leaves@")
    leaves.get_by_role("button", name="Delete").click()
    sure = page.get_by_role("alertdialog", name="Delete this address?")
    sure.get_by_label("Text to confirm").fill("leaves@news.example.com")
    sure.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Address deleted")).to_be_visible()
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("stays@news.example.com")
    page.get_by_label("Status").select_option("unsubscribed")
    expect(page.get_by_text("No address matches.")).to_be_visible()


def test_view_is_saved_used_and_removed(opened, leads):
    leads.make("Saved View Hot", 95)
    page = opened("/admin/inbox?q=Saved+View&leadQuality=hot&sort=recent")
    expect(page.locator("a.lead-name")).to_have_text(["Saved View Hot"])
    page.get_by_role("button", name=re.compile("^Filters")).click()
    dialog = page.get_by_role("dialog", name="Filters")
    dialog.get_by_label("Name of the view").fill("My hot ones")
    dialog.get_by_role("button", name="Save view").click()
    dialog.get_by_role("button", name="Done").click()
    page.goto(page.url.split("?")[0])
    page.get_by_role("button", name=re.compile("^Filters")).click()
    page.get_by_role("button", name="My hot ones", exact=True).click()
    page.wait_for_url("**leadQuality=hot&sort=recent&q=Saved+View")
    expect(page.locator("a.lead-name")).to_have_text(["Saved View Hot"])
    page.get_by_role("button", name=re.compile("^Filters")).click()
    dialog.get_by_role("button", name="Remove My hot ones").click()
    expect(dialog.get_by_role("button", name="My hot ones", exact=True)).to_have_count(0)


def test_notifications_are_off_until_asked_for_and_say_if_they_cannot_be(opened, leads):
    page = opened("/admin/settings", script=NOTIFICATIONS)
    switch = page.get_by_label("Notifications")
    expect(switch).to_have_value("off")
    switch.select_option("on")
    page.wait_for_function("() => shown.length === 1")
    page.get_by_role("link", name="Inbox").click()
    expect(page.get_by_text("live, checked")).to_be_visible()
    page.evaluate("() => { globalThis.isAway = true; }")
    leads.make("Hot While Away", 99)
    page.wait_for_function("() => shown.includes('New hot lead: Hot While Away')")

    page.evaluate("() => { globalThis.isAway = false; globalThis.isAndroid = true; }")
    page.get_by_role("link", name="Settings").click()
    expect(switch).to_have_value("on")
    switch.select_option("off")
    switch.select_option("on")
    expect(page.get_by_text("This browser does not let pages show notifications.")).to_be_visible()
    expect(switch).to_have_value("off")


def test_log_in_link_works_once_and_leaves_no_token(opened, leads, database):
    made = leadpipe("login", DATABASE_URL=database.url, PORT=str(leads.instance.port), ADMIN_API_KEY=leads.admin.key)
    assert made.returncode == 0, made.stderr
    link = re.search(r"/admin/login#token=\S+", made.stdout)[0]
    page = opened(link, logged_in=False)
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
    assert page.url.endswith("/admin/inbox")
    token = link.split("=")[1]
    assert token not in page.evaluate("() => JSON.stringify({...localStorage, ...sessionStorage}) + location.href")
    second = opened(link, logged_in=False)
    expect(second.get_by_text("This link was used or is too old.")).to_be_visible()


def test_status_of_many_is_changed_and_undone(opened, leads):
    made = [leads.make(f"Bulk {number}", 80 - number) for number in range(3)]
    leads.patch(made[1], status="in-progress")
    page = opened("/admin/inbox?q=Bulk")
    expect(page.locator("a.lead-name")).to_have_count(3)
    page.keyboard.press("Shift+X")
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.keyboard.press("s")
    page.keyboard.press("l")
    page.keyboard.type("no budget")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 leads are now: Lost")).to_be_visible()
    assert {(leads.get(lead)["status"], leads.get(lead)["outcome"]) for lead in made} == {("lost", "no budget")}
    page.keyboard.press("z")
    expect(page.get_by_text("3 leads restored")).to_be_visible()
    assert [leads.get(lead)["status"] for lead in made] == ["new", "in-progress", "new"]
    assert {leads.get(lead)["outcome"] for lead in made} == {None}


def test_numbers_of_a_filter_are_read_again_only_after_a_change(opened, leads):
    lead = leads.make("Counted", 95)
    page = opened("/admin/inbox?q=Counted")
    counted = []
    page.on("request", lambda request: counted.append(request.url) if "limit=1&" in request.url + "&" else None)
    expect(page.locator("a.lead-name")).to_have_text(["Counted"])
    expect(page.locator(".tabs .count").last).not_to_be_empty()
    counted.clear()
    page.get_by_role("button", name="Hot", exact=True).click()
    expect(page.get_by_role("button", name="Remove filter: Quality")).to_be_visible()
    page.get_by_role("button", name="Hot", exact=True).click()
    page.wait_for_timeout(700)
    assert counted == []
    page.get_by_role("button", name=re.compile("Actions for")).first.click()
    page.get_by_role("menuitem", name="Status").click()
    page.keyboard.press("p")
    with page.expect_request("**/api/admin/conversations?*limit=1"):
        page.keyboard.press("Control+Enter")
    assert leads.get(lead)["status"] == "in-progress"


def test_overview_exports_its_numbers_and_the_leads_behind_them(opened, leads):
    leads.make("Behind The Numbers")
    page = opened("/admin/overview?span=today")
    expect(page.get_by_role("heading", name="Leads a day")).to_be_visible()
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog", name="Export")
    expect(dialog.get_by_label("Numbers shown, CSV")).to_be_checked()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    total = int(next(line[1] for line in lines if line[:1] == ["Leads"]).replace(",", ""))
    assert total > 0
    at = lines.index(["Sources"])
    assert sum(int(line[1]) for line in lines[at + 2:lines.index([], at)]) == total

    page.get_by_role("button", name="Export").click()
    dialog.get_by_label("Leads, CSV").check()
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Download").click()
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        names = [line["customerName"] for line in csv.DictReader(file)]
    assert "Behind The Numbers" in names and len(names) == total
