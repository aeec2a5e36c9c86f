"""Every view: no accessibility fault in both directions and themes, phone size, Arabic, hostile text, pure modules."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_tasks import row

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe \"'&lt;"

# Each view of the menu, and what it shows.
VIEWS = [("follow-ups", "heading"), ("overview", "heading"), ("deliveries", "heading"), ("agents", "table"), ("newsletter", "table"),
         ("keys", "heading"), ("settings", "heading")]


@pytest.fixture(scope="module")
def full(leads):
    """A lead with something in every part of the page."""
    lead = leads.make("سارة أحمد", 92, ("أريد شقة في مارينا", "متى يمكنني رؤيتها؟"), tags=["jvc", "نقد"], budget="AED 2M", preferredArea="JVC", notes="a note")
    leads.overdue(lead)
    agent = leads.agent("Layla View")
    leads.admin.post(f"/api/admin/conversations/{lead}/assign", {"agentId": agent})
    leads.admin.post(f"/api/admin/conversations/{lead}/follow-ups", {"followUpDate": "2099-01-01T10:00:00Z", "reminderType": "call"}, 201)
    leads.instance.http("/api/newsletter/subscribe", {"email": "reader@example.com"})
    return lead


def check(page, name):
    # Waits until nothing is loading; the text of a skeleton is no text.
    expect(page.locator("[aria-busy]")).to_have_count(0)
    result = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    faults = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in result.response["violations"]]
    assert not faults, f"{name}: {json.dumps(faults, indent=1, ensure_ascii=False)}"


@pytest.mark.seconds(120)
@pytest.mark.parametrize(("arabic", "dark"), [(False, False), (False, True), (True, False), (True, True)])
def test_no_accessibility_fault(opened, full, arabic, dark):
    page = opened("/admin/inbox", arabic=arabic, dark=dark)
    expect(page.get_by_role("table")).to_be_visible()
    page.locator("tr.lead input[type=checkbox]").first.check()
    check(page, "inbox with a selection")
    for path, text in VIEWS:
        # Within the page, because loading it again takes most of the time.
        page.locator(f"nav a[data-view={path}]:visible").click()
        expect(page.locator(f"main.view-{path}").get_by_role(text).first).to_be_visible()
        check(page, path)
    page.goto(re.sub(r"/admin/.*", f"/admin/conversations/{full}", page.url))
    expect(page.get_by_role("heading", name="سارة أحمد")).to_be_visible()
    for key in "1234":
        page.keyboard.press(key)
        check(page, f"conversation, tab {key}")
    for key in "sfa?":
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        check(page, f"dialog {key}")
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_log_in_has_no_accessibility_fault(opened):
    for arabic in (False, True):
        page = opened(logged_in=False, arabic=arabic)
        expect(page.locator("#key")).to_be_visible()
        check(page, "log-in")


def test_phone_shows_no_sideways_scroll(opened, full, leads):
    page = opened("/admin/inbox", phone=True)
    for path in ("inbox", "follow-ups?tab=later", "overview", "deliveries", "agents", "newsletter", "settings", f"conversations/{full}"):
        page.goto(re.sub(r"/admin/.*", f"/admin/{path}", page.url))
        expect(page.locator("[aria-busy]")).to_have_count(0)
        expect(page.locator("main h1")).to_have_count(1)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path


def test_answers_a_lead_in_arabic_on_a_phone(opened, leads):
    lead = leads.make("هند المنصوري", 92, ("أريد فيلا",))
    page = opened("/admin/inbox", phone=True, arabic=True, dark=True)
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    page.get_by_role("link", name="هند المنصوري").tap()
    expect(page.get_by_role("link", name="اتصال")).to_have_attribute("href", re.compile(r"^tel:\+9715\d+$"))
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_role("button", name="تسجيل رد").tap()
    expect(page.get_by_role("button", name="حفظ الرد")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="حفظ الرد").tap()
    expect(page.get_by_text("توقفت المهلة")).to_be_visible()
    assert leads.get(lead)["slaState"] == "met"
    # A tap opens the field it names, also in the place of the other.
    page.get_by_role("button", name="ملاحظة", exact=True).tap()
    page.keyboard.type("تفضل الصباح")
    page.locator(".composer [type=submit]").tap()
    expect(page.locator("#toast")).to_contain_text("الملاحظة")
    assert leads.get(lead)["notes"] == "تفضل الصباح"
    page.get_by_role("button", name="البيانات").tap()
    number = page.locator(".facts bdi[dir=ltr]").first
    expect(number).to_have_text(leads.get(lead)["customerPhone"])


def test_hostile_text_is_text(opened, leads):
    lead = leads.make(HOSTILE, 20, ("<svg onload=alert(2)>" + "x" * 4900, HOSTILE),
                      budget="<script>alert(3)</script>", preferredArea=HOSTILE, tags=[HOSTILE], notes=HOSTILE, propertyType="javascript:alert(4)")
    page = opened("/admin/inbox?q=onerror")
    expect(page.get_by_role("link", name="<img src=x onerror").first).to_be_visible()
    page.goto(re.sub(r"/admin/.*", f"/admin/conversations/{lead}", page.url))
    expect(page.get_by_text("<svg onload=alert(2)>")).to_be_visible()
    for key in "234":
        page.keyboard.press(key)
        expect(page.locator("[aria-busy]")).to_have_count(0)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("() => document.querySelectorAll('main img, main script, main a[href^=\"javascript\" i]').length") == 0


def test_filters_live_in_the_address(opened, leads):
    leads.make("Filter Hot", 95)
    leads.make("Filter Cold", 5)
    page = opened("/admin/inbox?q=Filter")
    expect(page.locator("a.lead-name")).to_have_count(2)
    page.get_by_role("button", name="Hot", exact=True).click()
    expect(page.locator("a.lead-name")).to_have_text(["Filter Hot"])
    page.wait_for_url("**leadQuality=hot**")
    page.reload()
    expect(page.locator("a.lead-name")).to_have_text(["Filter Hot"])
    page.get_by_role("button", name="Remove filter: Quality").click()
    expect(page.locator("a.lead-name")).to_have_count(2)
    page.goto(page.url.split("?")[0] + "?q=nobody-has-this-text")
    expect(page.get_by_text("No lead here matches.")).to_be_visible()
    page.get_by_role("button", name="Search all leads").click()
    expect(page.get_by_text("No lead matches these filters.")).to_be_visible()


def test_back_keeps_rows_and_place(opened, leads):
    for number in range(30):
        leads.make(f"Place {number:02}", 50)
    page = opened("/admin/inbox?q=Place")
    page.get_by_role("button", name="Load 25 more").click()
    expect(page.locator("tr.lead")).to_have_count(30)
    page.locator("a.lead-name").nth(28).click()
    expect(page.get_by_text("29 of 30")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("tr.lead")).to_have_count(30)
    expect(page.locator("a.lead-name").nth(28)).to_be_focused()


def test_palette_runs_a_command(opened):
    page = opened()
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Commands")).to_be_visible()
    page.keyboard.type("agents")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Agents")).to_be_visible()


def test_keys_work_with_an_arabic_layout(opened, full):
    page = opened(f"/admin/conversations/{full}")
    expect(page.get_by_role("heading", name="سارة أحمد")).to_be_visible()
    page.evaluate("() => document.dispatchEvent(new KeyboardEvent('keydown', {key: 'س', code: 'KeyS', bubbles: true}))")
    expect(page.get_by_role("dialog", name="Status")).to_be_visible()


def test_server_error_says_what_to_do(opened):
    page = opened("/admin/settings")
    problem = {"title": "Internal server error", "detail": "the handler failed", "code": "internal_error"}
    page.route("**/api/admin/conversations?*", lambda route: route.fulfill(status=500, json=problem, headers={"x-request-id": "request-7"}))
    page.context.watch.faults.clear()
    page.get_by_role("link", name="Inbox").click()
    expect(page.get_by_role("alert").get_by_text("the handler failed")).to_be_visible()
    expect(page.get_by_text("request-7")).to_be_visible()
    page.unroute("**/api/admin/conversations?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("table", name="Leads")).to_be_visible()
    page.context.watch.faults[:] = [fault for fault in page.context.watch.faults if "500" not in fault]


def test_pure_modules(opened, origin):
    """Router, filters and times, imported into the page."""
    page = opened("/admin/settings")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    base = page.evaluate("() => document.querySelector('script[type=module]').src.replace(/main\\.js$/, '')")
    told = page.evaluate("""async base => {
      const names = ['lib/router.js', 'lib/filters.js', 'lib/time.js', 'views/overview.js', 'lib/i18n.js', 'lib/csv.js'];
      const [router, filters, time, overview, i18n, csv] = await Promise.all(names.map(name => import(base + name)));
      const read = text => filters.read(new URLSearchParams(text));
      const row = {status: 'new', leadQuality: 'hot', slaState: 'ok', intent: 'buy', source: 'chatbot', preferredArea: 'JVC',
        assignedAgentId: null, tags: ['a', 'b']};
      return {
        routes: [['/admin', ''], ['/admin/inbox', '?q=x'], ['/admin/conversations/7', ''], ['/admin/nothing', ''], ['/other', '']]
          .map(given => router.parse(...given).view),
        roundTrip: ['tab=unassigned&status=lost&leadQuality=hot,warm&sort=recent&q=villa', 'status=any'].map(text => filters.write(read(text))),
        dropped: filters.write(read('status=nonsense&sort=x&assignedAgentIds=7&unknown=1')),
        unassigned: filters.parameters(read('tab=unassigned'), 'me').assignedAgentIds,
        matches: ['tab=unassigned', 'tab=mine', 'tags=a,b', 'tags=c', 'leadQuality=cold', 'q=villa', 'status=any&assignedAgentIds=none']
          .map(text => filters.matches(read(text), row, 'me')),
        instants: [['2026-03-04T10:00', 'Asia/Dubai'], ['2026-03-29T03:30', 'Europe/Berlin'], ['2026-07-01T00:00', 'Europe/Berlin']]
          .map(given => new Date(time.instant(...given)).toISOString()),
        monthEnd: time.addDays('2026-02-28', 1),
        lastMonth: overview.days('month', '2026-03-15'),
        before: overview.before({from: '2026-03-01', to: '2026-03-31'}),
        amounts: ['2,500,000', '٢٬٥٠٠٬٠٠٠', '١٢٫٥', '۱۲', '2 500', '', '-1', '0x10', 'two'].map(i18n.amount).map(String),
        csv: csv.csv([['a"b', 1.5], ['=1+1', 'x,y'], []]),
      };
    }""", base)
    assert told == {
        "routes": ["inbox", "inbox", "conversation", None, None],
        "roundTrip": ["tab=unassigned&status=lost&leadQuality=hot%2Cwarm&sort=recent&q=villa", "status=any"],
        "dropped": "",
        "unassigned": ["none"],
        "matches": [True, False, True, False, False, None, True],
        "instants": ["2026-03-04T06:00:00.000Z", "2026-03-29T01:30:00.000Z", "2026-06-30T22:00:00.000Z"],
        "monthEnd": "2026-03-01",
        "lastMonth": {"from": "2026-02-01", "to": "2026-02-28"},
        "before": {"from": "2026-01-29", "to": "2026-02-28"},
        "amounts": ["2500000", "2500000", "12.5", "12", "2500", "null", "NaN", "NaN", "NaN"],
        "csv": '\ufeff"a""b",1.5\r\n\'=1+1,"x,y"\r\n\r\n',
    }


def test_languages_have_the_same_texts(opened):
    page = opened("/admin/settings")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    base = page.evaluate("() => document.querySelector('script[type=module]').src.replace(/js\\/main\\.js$/, 'i18n/')")
    english, arabic = (page.evaluate("async address => (await fetch(address)).json()", f"{base}{name}.json") for name in ("en", "ar"))
    assert english.keys() == arabic.keys()

    def values(text):
        texts = text.values() if isinstance(text, dict) else [text]
        return {name for one in texts for name in re.findall(r"\{(\w+)\}", one)} - {"count", "span"}
    assert {key: values(text) for key, text in english.items()} == {key: values(text) for key, text in arabic.items()}
    assert all(set(text) >= {"zero", "one", "two", "few", "many", "other"} for text in arabic.values() if isinstance(text, dict))


def test_first_view_is_small(opened):
    """Without compression; the gateway compresses to less than a third."""
    page = opened("/admin/settings")
    sizes = []
    page.on("response", lambda reply: sizes.append(len(reply.body())) if reply.ok and "/admin/" in reply.url and "/api/" not in reply.url else None)
    page.goto(page.url.replace("settings", "inbox"))
    expect(page.get_by_role("heading", name="Inbox")).to_be_attached()
    assert sum(sizes) < 320_000, sum(sizes)


def test_first_view_asks_for_the_session_once_and_for_its_list_first(opened, leads):
    leads.make()
    page = opened("/admin/settings")
    address = page.url.replace("settings", "inbox?tab=all")
    page.goto("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/admin/")[2]) if "/api/admin/" in request.url else None)
    page.goto(address)
    expect(page.locator("tr.lead").first).to_be_visible()
    with page.expect_response("**/api/admin/sla?*"):
        pass
    assert [name for name in asked if name.startswith("session")] == ["session"] and asked[0] == "session"
    kinds = [name.partition("?")[0] for name in asked]
    assert kinds.index("conversations") < kinds.index("sla"), asked


def test_session_that_cannot_be_asked_for_early_is_asked_for_again(opened):
    """The script that asks early is not needed: without its reply the panel asks by itself."""
    page = opened("/admin/inbox?tab=all", script="Object.defineProperty(globalThis, 'askedSession', {set() {}, get() { return undefined; }});")
    expect(page.locator("nav.side")).to_be_visible()


def test_session_whose_early_request_fails_is_asked_for_again(opened):
    page = opened("/admin/inbox?tab=all")
    expect(page.locator("nav.side")).to_be_visible()
    page.route("**/api/admin/session", lambda route: route.abort("internetdisconnected"), times=1)
    page.reload()
    expect(page.locator("nav.side")).to_be_visible()


def test_page_that_cannot_load_says_so(opened):
    page = opened("/admin/settings")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.route("**/js/lib/dom.js", lambda route: route.fulfill(status=503))
    page.reload()
    expect(page.get_by_text("The page could not be loaded.")).to_be_visible()
    page.unroute("**/js/lib/dom.js")
    page.get_by_role("button", name="Load now").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()


def test_page_without_any_texts_says_so(opened):
    page = opened("/admin/settings")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.route("**/i18n/*.json", lambda route: route.fulfill(status=503))
    page.reload()
    expect(page.get_by_text("The page could not be loaded.")).to_be_visible()
    page.unroute("**/i18n/*.json")
    page.route("**/i18n/ar.json", lambda route: route.fulfill(status=503))
    page.get_by_role("button", name="Load now").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    page.get_by_label("Language").select_option("ar")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Language")).to_have_value("en")


def test_row_menu_reaches_the_customer(opened, leads):
    leads.make("Row Menu")
    page = opened("/admin/inbox?q=Row+Menu")
    page.get_by_role("button", name="Actions for").first.click()
    expect(page.get_by_role("menuitem", name="Call")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="WhatsApp")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    assert row(page, "Row Menu").count() == 1
