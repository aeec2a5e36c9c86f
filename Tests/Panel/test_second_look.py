"""What a person who tried the panel for a day stumbled over."""

import re

import pytest
from playwright.sync_api import expect
from test_tasks import row
from test_views import check

WIDTHS = (320, 360, 390)


@pytest.fixture(scope="module")
def team(leads):
    """Two agents with room, and one who has room for one lead only. The agents of other tests come before or after."""
    return {name: leads.agent(name, most) for name, most in (("Share Amal", 15), ("Share Basim", 15), ("Share Carla", 1))}


def choose(dialog, names):
    """Ticks exactly these agents."""
    expect(dialog.get_by_role("checkbox").first).to_be_visible()
    for box in dialog.get_by_role("checkbox").all():
        box.uncheck()
    for name in names:
        dialog.get_by_role("checkbox", name=name).check()


def test_leads_are_shared_evenly_and_restored(opened, leads, team):
    made = [leads.make(f"Evenly {number}", 40 - number) for number in range(5)]
    page = opened("/admin/inbox?q=Evenly")
    expect(page.locator("a.lead-name")).to_have_count(5)
    # Selected from the end: the order of the list counts.
    for name in reversed(range(5)):
        page.get_by_role("checkbox", name=f"Select Evenly {name}").check()
    page.keyboard.press("a")
    page.get_by_role("button", name="Share evenly among…").click()
    dialog = page.get_by_role("dialog", name="Share 5 leads")
    choose(dialog, ["Share Amal", "Share Basim", "Share Carla"])
    lines = [dialog.locator("label").filter(has_text=name).locator("strong") for name in team]
    assert [line.inner_text() for line in lines] == ["gets 2", "gets 2", "gets 1"]
    expect(dialog.get_by_role("status")).to_have_text("5 leads will be shared out.")
    calls = []
    page.on("request", lambda request: calls.append(request) if request.url.endswith("/bulk") else None)
    dialog.get_by_role("button", name="Share out").click()
    expect(page.get_by_text("5 leads shared out")).to_be_visible()
    assert len(calls) == 3
    amal, basim, carla = team.values()
    assert [leads.get(lead)["assignedAgentId"] for lead in made] == [amal, basim, carla, amal, basim]
    page.keyboard.press("z")
    expect(page.get_by_text("5 leads restored")).to_be_visible()
    assert {leads.get(lead)["assignedAgentId"] for lead in made} == {None}


def test_share_leaves_what_nobody_has_room_for_selected(opened, leads, team):
    made = [leads.make(f"Roomless {number}", 40 - number) for number in range(2)]
    page = opened("/admin/inbox?q=Roomless")
    expect(page.locator("a.lead-name")).to_have_count(2)
    page.keyboard.press("Shift+X")
    page.keyboard.press("Shift+A")
    dialog = page.get_by_role("dialog", name="Share 2 leads")
    expect(dialog.get_by_role("checkbox").first).to_be_focused()
    choose(dialog, [])
    page.keyboard.press("Control+Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Choose at least one agent.")
    check(page, "share")
    dialog.get_by_role("checkbox", name="Share Carla").check()
    expect(dialog.get_by_role("status")).to_have_text("1 lead will be shared out. 1 stays as it is: nobody has room.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("1 lead shared out")).to_be_visible()
    expect(page.get_by_text("1 selected")).to_be_visible()
    assert [leads.get(lead)["assignedAgentId"] for lead in made] == [team["Share Carla"], None]
    page.keyboard.press("z")
    expect(page.get_by_text("1 lead restored")).to_be_visible()


def test_share_in_arabic(opened, leads, team):
    for number in range(2):
        leads.make(f"Arabically {number}")
    page = opened("/admin/inbox?q=Arabically", arabic=True)
    expect(page.locator("a.lead-name")).to_have_count(2)
    page.keyboard.press("Shift+X")
    page.get_by_role("button", name="تعيين", exact=False).first.click()
    page.get_by_role("button", name="توزيع بالتساوي بين…").click()
    dialog = page.get_by_role("dialog", name="توزيع عميلين")
    check(page, "share in Arabic")
    choose(dialog, ["Share Amal", "Share Basim"])
    expect(dialog.get_by_role("status")).to_have_text("سيُوزَّع عميلان.")
    dialog.get_by_role("button", name="توزيع", exact=True).click()
    expect(page.get_by_text("تم توزيع عميلين")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_text("تم توزيع عميلين")).to_have_count(0)


def test_assign_to_me_asks_who_one_is_and_remembers_it(opened, leads, team):
    lead = leads.make("Given To Me")
    page = opened(f"/admin/conversations/{lead}")
    expect(page.get_by_role("heading", name="Given To Me")).to_be_visible()
    page.keyboard.press("i")
    dialog = page.get_by_role("dialog", name="Who are you?")
    expect(dialog.get_by_text("Your key does not say who you are.")).to_be_visible()
    check(page, "who")
    page.keyboard.type("Share Amal")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Assigned to Share Amal")).to_be_visible()
    assert leads.get(lead)["assignedAgentId"] == team["Share Amal"]
    other = leads.make("Given To Me Too")
    page.goto(re.sub(r"/admin/.*", "/admin/inbox?tab=all&q=Given+To+Me+Too", page.url))
    page.get_by_role("button", name="Actions for Given To Me Too").click()
    page.get_by_role("menuitem", name="Assign to me").click()
    expect(page.get_by_text("1 assigned to Share Amal")).to_be_visible()
    assert leads.get(other)["assignedAgentId"] == team["Share Amal"]
    # The list of agents says which one is oneself.
    page.get_by_role("button", name="Actions for Given To Me Too").click()
    page.get_by_role("menuitem", name="Assign", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("option").first).to_contain_text("you")


@pytest.fixture(scope="module")
def failed(leads, database):
    """A lead with three failed deliveries: the panel explains the reasons of two, and does not know the third."""
    lead = leads.make("Delivery Of Dana")
    event = database.value(f"select id from public.lead_events where conversation_id = '{lead}' limit 1")
    for place, (channel, kind, reason) in enumerate([
            ("slack", "config", "Slack answered 410: channel_is_archived"), ("telegram", "config", "Telegram answered 400: Bad Request: chat not found"),
            ("email", "permanent", "The mail server answered 599: strange words")]):
        database.run(f"""insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, status, outcome_class, error_message)
          values ('{event}', '{lead}', '{channel}', 'second-look-{place}', 'failed', '{kind}', '{reason}')""")
    return lead


@pytest.mark.parametrize(("arabic", "archived", "no_chat", "refused"), ids=["english", "arabic"], argvalues=[
    (False, "The Slack channel of this webhook is archived", "Telegram does not find the chat", "This message was refused by the mail service."),
    (True, "قناة Slack لهذا الرابط مؤرشفة", "لا يجد Telegram المحادثة", "رُفضت هذه الرسالة من")])
def test_delivery_names_its_lead_and_says_why_in_plain_words(opened, failed, arabic, archived, no_chat, refused):
    page = opened("/admin/deliveries?tab=givenUp", arabic=arabic)
    for plain, raw in ((archived, "Slack answered 410: channel_is_archived"), (no_chat, "Telegram answered 400: Bad Request: chat not found"),
                       (refused, "The mail server answered 599: strange words")):
        line = page.get_by_role("row").filter(has_text="Delivery Of Dana").filter(has_text=raw)
        expect(line).to_contain_text(plain)
        expect(line.locator("[lang=en]")).to_have_text(raw)
    line.get_by_role("link", name="Delivery Of Dana").click()
    expect(page.get_by_role("heading", name="Delivery Of Dana")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator(".entry").filter(has_text="channel_is_archived")).to_contain_text(archived)


def test_delivery_of_a_lead_without_a_name_shows_its_reference(opened, leads, database):
    lead = leads.make("Soon Nameless")
    event = database.value(f"select id from public.lead_events where conversation_id = '{lead}' limit 1")
    database.run(f"""insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, status, outcome_class, error_message)
      values ('{event}', '{lead}', 'slack', 'nameless', 'failed', 'permanent', 'Slack answered 400: no_text');
      update public.conversations set customer_name = null where id = '{lead}'""")
    page = opened("/admin/deliveries?tab=givenUp")
    expect(page.get_by_role("link", name=f"Lead {lead[:8]}")).to_have_attribute("href", f"/admin/conversations/{lead}")


def have_read(database, lead, count):
    """Marks the first messages of a lead as read."""
    database.run(f"""update public.chat_messages set is_read = true where id in (
      select id from public.chat_messages where conversation_id = '{lead}' order by timestamp, created_at, id limit {count})""")


@pytest.mark.parametrize("phone", [False, True])
def test_conversation_opens_at_the_first_message_that_waits(opened, leads, database, phone):
    lead = leads.make("Waiting Talk", messages=[f"message {number} of a long talk" for number in range(60)])
    have_read(database, lead, 20)
    page = opened(f"/admin/conversations/{lead}", phone=phone)
    expect(page.get_by_text("message 20 of a long talk")).to_be_in_viewport(ratio=1)
    expect(page.get_by_text("message 59 of a long talk")).not_to_be_in_viewport()
    expect(page.get_by_role("button", name="Last message")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Last message").click()
    expect(page.get_by_text("message 59 of a long talk")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Last message")).to_be_hidden()


@pytest.mark.parametrize("phone", [False, True])
def test_conversation_of_which_nothing_waits_opens_at_its_last_message(opened, leads, database, phone):
    lead = leads.make("Long Talk", messages=[f"message {number} of a long talk" for number in range(60)])
    have_read(database, lead, 60)
    page = opened(f"/admin/conversations/{lead}", phone=phone)
    expect(page.get_by_text("message 59 of a long talk")).to_be_in_viewport()
    expect(page.get_by_text("message 0 of a long talk")).not_to_be_in_viewport()
    # The composer covers nothing, also when its field opens.
    page.get_by_role("button", name="Log answer").click()
    expect(page.get_by_role("button", name="Save answer")).to_be_in_viewport()
    # The other parts of the lead are within reach, and a link to one of them leads there.
    expect(page.locator(".lead-main > .tabs")).to_be_in_viewport(ratio=1)
    page.goto(f"{page.url}?view=timeline")
    expect(page.get_by_role("button", name="Timeline")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".entry").first).to_be_in_viewport()


def test_text_that_grows_leaves_the_last_message_in_sight(opened, leads, database):
    lead = leads.make("Growing Answer", messages=[f"message {number} above the answer" for number in range(40)])
    have_read(database, lead, 40)
    page = opened(f"/admin/conversations/{lead}")
    last = page.get_by_text("message 39 above the answer")
    expect(last).to_be_in_viewport()
    page.get_by_label("What was said").fill("line\n" * 9)
    expect(last).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(("arabic", "add", "empty", "no_address"), ids=["english", "arabic"], argvalues=[
    (False, "Add agent", "Name: please fill this in", "E-mail: must be an e-mail address"),
    (True, "إضافة وكيل", "الاسم: يرجى ملء هذا الحقل", "البريد الإلكتروني: يجب أن يكون عنوان بريد إلكتروني")])
def test_required_fields_are_marked_and_faults_name_them(opened, leads, arabic, add, empty, no_address):
    page = opened("/admin/agents", arabic=arabic)
    page.get_by_role("button", name=add).click()
    form = page.get_by_role("dialog", name=add)
    star = "field => getComputedStyle(field.closest('label').querySelector('span'), '::after').content"
    marked = {field.get_attribute("name"): "*" in field.evaluate(star) for field in form.locator("input").all()}
    assert marked == {"name": True, "email": True, "phone": False, "department": False, "maxCapacity": True}
    for field, text in ((form.locator("[name=name]"), empty), (form.locator("[name=email]"), no_address)):
        form.locator("[type=submit]").click()
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(re.escape(text)))
        check(page, "faults")
        if text is empty:
            form.locator("[name=email]").fill("no address")
            field.fill("Named Agent")
            expect(form.get_by_text(text)).to_have_count(0)


def test_fault_of_the_server_stands_beside_its_field(opened, leads):
    taken = "taken@second-look.example"
    leads.admin.post("/api/admin/agents", {"name": "Has The Address", "email": taken}, 201)
    page = opened("/admin/agents")
    page.context.watch.faults.clear()
    page.get_by_role("button", name="Add agent").click()
    form = page.get_by_role("dialog", name="Add agent")
    form.get_by_label("Name").fill("Wants The Address")
    form.get_by_label("E-mail").fill(taken)
    form.get_by_label("Phone").fill("12")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Phone")).to_have_accessible_description(re.compile("Phone: must be a phone number"))
    form.get_by_label("Phone").fill("")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("E-mail")).to_have_accessible_description("E-mail: another agent has this address")
    expect(form.get_by_label("E-mail")).to_be_focused()
    page.context.watch.faults[:] = [fault for fault in page.context.watch.faults if "400" not in fault]


@pytest.mark.parametrize("arabic", [False, True])
def test_phone_cuts_neither_filters_nor_amounts(opened, leads, arabic):
    tag = f"uncut-{arabic}"
    leads.make("ميثاء الكتبي", 40, budget="AED 12,500,000", preferredArea="Dubai Hills Estate", propertyType="Townhouse", intent="invest", tags=[tag])
    page = opened(f"/admin/inbox?tags={tag}", phone=True, arabic=arabic)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        expect(page.locator("tr.lead")).to_have_count(1)
        expect(page.locator(".filterbar [aria-haspopup]")).to_contain_text("1")
        cut = page.evaluate("""() => [...document.querySelectorAll('.filterbar button, .tabs button, .filterbar input, .wants bdi:first-child')]
          .filter(node => node.getClientRects().length)
          .filter(node => { const {left, right} = node.getBoundingClientRect();
            return left < 0 || right > innerWidth || node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== 'inline'
              || node.closest('td') && [...node.getClientRects()].some(one => one.left < node.closest('td').getBoundingClientRect().left - 1); })
          .map(node => node.textContent)""")
        assert cut == [], width
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), width
        boxes = page.evaluate("""() => [...document.querySelectorAll('.searchbox, .quick > *, .sort')]
          .map(node => node.getBoundingClientRect()).map(({left, right, top, bottom}) => [left, right, top, bottom])""")
        for index, (left, right, top, bottom) in enumerate(boxes):
            for other in boxes[index + 1:]:
                assert right <= other[0] + 1 or other[1] <= left + 1 or bottom <= other[2] + 1 or other[3] <= top + 1, (width, boxes)


class Steady:
    """Remembers where something is, and asserts that it is still there."""

    def __init__(self, locator):
        self.locator = locator
        self.before = locator.bounding_box()

    def check(self):
        assert self.locator.bounding_box() == self.before


@pytest.mark.parametrize("phone", [False, True])
def test_bars_move_nothing(opened, leads, phone):
    tag = f"steady-{phone}"
    for number in range(3):
        leads.make(f"Steady {number}", 60 - number, tags=[tag])
    page = opened(f"/admin/inbox?tags={tag}", phone=phone)
    expect(page.locator("a.lead-name")).to_have_count(3)
    expect(page.locator(".feed-state.is-live")).to_be_attached()
    place = Steady(row(page, "Steady 1"))
    # A banner that comes, or counts one more.
    late = leads.make("Late Meanwhile", 95)
    leads.overdue(late)
    leads.patch(late, notes="changed")
    expect(page.get_by_label("Response deadlines")).to_contain_text("late", timeout=15_000)
    place.check()
    # New leads.
    page.get_by_role("link", name="Steady 0").focus()
    leads.make("Steady New", 40, tags=[tag])
    pill = page.get_by_role("button", name="1 new: show")
    expect(pill).to_be_visible()
    place.check()
    # A click that was on its way to what the button covers still reaches that; later ones reach the button.
    assert pill.evaluate("""node => { node.hidden = true; getComputedStyle(node).display; node.hidden = false;
      return getComputedStyle(node).pointerEvents; }""") == "none"
    page.wait_for_function("() => getComputedStyle(document.querySelector('.pill-place .pill')).pointerEvents === 'auto'")
    # The message with its undo, and the bar of the selection.
    if not phone:
        page.get_by_role("checkbox", name="Select Steady 1").check()
        expect(page.get_by_role("region", name="Selected leads")).to_be_in_viewport()
        place.check()
    page.get_by_role("button", name="Actions for Steady 2").click()
    page.get_by_role("menuitem", name="Status").click()
    page.keyboard.press("p")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    place.check()
    page.context.set_offline(True)
    page.evaluate("() => dispatchEvent(new Event('offline'))")
    expect(page.get_by_role("status").filter(has_text="Offline since")).to_be_visible()
    place.check()
    page.context.set_offline(False)
    leads.patch(late, status="lost")


@pytest.mark.parametrize("arabic", [False, True])
def test_notes_have_one_place_to_be_written(opened, leads, arabic):
    words = {"add": "إضافة ملاحظة", "edit": "تعديل الملاحظات", "notes": "الملاحظات", "none": "لا توجد ملاحظات بعد"} if arabic else {
        "add": "Add note", "edit": "Edit notes", "notes": "Notes", "none": "No notes yet"}
    lead = leads.make("Written Once")
    page = opened(f"/admin/conversations/{lead}", arabic=arabic)
    facts = page.locator(".fact-notes")
    expect(facts).to_contain_text(words["none"])
    expect(facts.get_by_role("textbox")).to_have_count(0)
    facts.get_by_role("button", name=words["add"]).click()
    expect(page.locator(".composer textarea")).to_be_focused()
    page.keyboard.type("likes gardens")
    page.keyboard.press("Control+Enter")
    expect(facts).to_contain_text("likes gardens")
    # It can be corrected, and Escape leaves it as it is.
    facts.get_by_role("button", name=words["edit"]).click()
    field = facts.get_by_label(words["notes"], exact=True)
    expect(field).to_be_focused()
    field.fill("likes large gardens")
    page.keyboard.press("Escape")
    expect(facts.locator("p.text")).to_have_text("likes gardens")
    expect(facts.get_by_role("button", name=words["edit"])).to_be_focused()
    page.keyboard.press("Enter")
    field.fill("likes large gardens")
    page.keyboard.press("Control+Enter")
    expect(facts.locator("p.text")).to_have_text("likes large gardens")
    expect(page.locator(".facts-inside.is-pending")).to_have_count(0)
    assert leads.get(lead)["notes"] == "likes large gardens"


def test_tabs_of_the_inbox_have_keys(opened):
    page = opened("/admin/inbox?tab=all")
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
    for key, name in (("1", "Mine"), ("2", "Unassigned"), ("3", "All")):
        page.keyboard.press(key)
        tab = page.get_by_role("group", name="Whose leads").get_by_role("button", name=re.compile(f"^{name}"))
        expect(tab).to_have_attribute("aria-pressed", "true")
        expect(tab).to_have_attribute("aria-keyshortcuts", key)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard")
    expect(sheet.locator("dl > div").filter(has_text="Whose leads: Unassigned").locator("kbd")).to_have_text("2")
