"""Faults of networks, servers and browsers: always one lead with all answers, and the truth for the visitor."""

import time

import pytest
from playwright.sync_api import expect

from visitor import PATHS, Visitor


def expect_posts(proxy, count, seconds=10):
    end = time.monotonic() + seconds
    while len(proxy.posts) < count and time.monotonic() < end:
        time.sleep(0.1)
    assert len(proxy.posts) == count


def test_offline_and_back(visit, store, proxy):
    someone = visit()
    someone.talk(until="name")
    someone.page.context.set_offline(True)
    someone.write(someone.national, "tel")
    expect(someone.state).to_contain_text("You are offline. Your answers are kept on this device")
    someone.write(someone.email, "email")
    someone.finish()
    expect(someone.state).to_contain_text("You are offline")
    assert not proxy.posts
    someone.page.context.set_offline(False)
    someone.is_thanked()
    store.is_complete(someone)


def test_offline_close_and_come_back_another_day(visit, store, context):
    made = context()
    someone = visit(context_=made)
    someone.talk(until="name")
    made.set_offline(True)
    someone.write(someone.national, "tel")
    expect(someone.state).to_contain_text("You are offline")
    someone.write(someone.email, "email")
    someone.finish()
    expect(someone.page.locator("leadpipe-chat .customer").last).to_contain_text("Yes")
    expect(someone.state).to_contain_text("You are offline")
    someone.page.close()
    made.set_offline(False)
    # Another page of the site, where the visitor does not even open the chatbot.
    visit(context_=made, is_open=False)
    store.is_complete(someone)


@pytest.mark.parametrize("until", ["path", "name", "phone", "email"])
def test_reload_in_the_middle(visit, store, until):
    someone = visit()
    someone.talk(until=until)
    someone.page.reload()
    someone.open()
    if until == "path":
        someone.write(someone.name, "text")
    if until in ("path", "name"):
        someone.write(someone.national, "tel")
    if until != "email":
        someone.write(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)
    someone.page.reload()
    someone.open()
    someone.is_thanked()
    expect(someone.page.locator("leadpipe-chat .customer")).to_have_count(len(PATHS["buy"]) + 4)


def test_back_button_and_double_click(visit, store, site, proxy):
    someone = visit()
    someone.ask.get_by_role("button", name="Buy", exact=True).dblclick()
    expect(someone.page.locator("leadpipe-chat .customer")).to_have_count(1)
    someone.choose(*PATHS["buy"][1:])
    someone.write(someone.name, "text")
    someone.page.goto(site.page(api=proxy.origin))
    someone.page.go_back()
    if not someone.page.get_by_role("dialog").is_visible():
        someone.open()
    someone.ask.locator("input[type=tel]").fill(someone.national)
    someone.ask.get_by_role("button", name="Send").dblclick()
    someone.write(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)


def test_too_many_requests(visit, store, proxy):
    someone = visit()
    proxy.fault = lambda number: (429, {"Retry-After": "3"}) if number == 1 else None
    began = time.monotonic()
    someone.talk()
    expect(someone.state).to_contain_text("Too many requests")
    someone.is_thanked()
    assert time.monotonic() - began >= 3
    store.is_complete(someone)


def test_server_is_busy_with_every_second_request(visit, store, proxy):
    someone = visit()
    proxy.fault = lambda number: (503, {"Retry-After": "1"}) if number % 2 else None
    someone.talk()
    someone.is_thanked()
    store.is_complete(someone)


def test_lost_replies_make_no_second_lead(visit, store, proxy):
    someone = visit()
    proxy.fault = lambda number: "drop" if number <= 2 else None
    someone.talk(until="phone")
    expect(someone.state).to_contain_text("Our server does not answer")
    expect(someone.state).to_contain_text("We have your request", timeout=15_000)
    keys = [key for _, key, _ in proxy.posts]
    assert len(keys) == 3 and len(set(keys)) == 1
    assert len({str(body) for _, _, body in proxy.posts}) == 1
    proxy.fault = lambda number: "drop" if number == 4 else None
    someone.write(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)


def test_browser_that_sends_again_by_itself(visit, store, proxy):
    someone = visit()
    someone.talk(until="name")
    proxy.keeps_alive = True
    someone.page.evaluate("""async api => {
      for (let i = 0; i < 6; i += 1) await fetch(api + '/questions.json', { credentials: 'omit', cache: 'no-store' }) }""", proxy.origin)
    proxy.fault = lambda number: "drop" if number == 1 else None
    someone.write(someone.national, "tel")
    expect(someone.state).to_contain_text("We have your request", timeout=15_000)
    assert len(proxy.posts) == 2 and len({key for _, key, _ in proxy.posts}) == 1
    store.lead(someone.phone)


def test_unreachable_server_and_the_button(visit, store, proxy):
    someone = visit()
    proxy.fault = lambda number: "cut"
    someone.talk(until="phone")
    expect(someone.state).to_contain_text("Nothing is lost")
    assert store.leads(someone.phone) == []
    proxy.fault = None
    someone.page.get_by_role("button", name="Try now").click()
    expect(someone.state).to_contain_text("We have your request")
    someone.write(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)


def test_page_closed_at_once_after_the_last_answer(visit, store, proxy, context):
    made = context()
    someone = visit(context_=made)
    someone.talk(until="email")
    someone.finish()
    # An answer is shown once it is kept.
    expect(someone.page.locator("leadpipe-chat .customer")).to_have_count(len(PATHS["buy"]) + 4)
    someone.page.goto("about:blank")
    later = visit(context_=made)
    later.is_thanked()
    store.is_complete(someone)


def test_page_that_is_left_sends_what_waits(visit, store, proxy):
    someone = visit()
    proxy.fault = lambda number: "cut" if number == 1 else None
    someone.talk(until="phone")
    expect(someone.state).to_contain_text("Our server does not answer")
    # The time of the next try has not come: the browser sends it while the page goes away.
    someone.page.goto("about:blank")
    lead = store.lead(someone.phone)
    assert len(proxy.posts) == 2 and len({(key, str(body)) for _, key, body in proxy.posts}) == 1
    # The page knows nothing of the reply, and sends it again.
    visit(context_=someone.page.context, is_open=False)
    expect_posts(proxy, 3)
    assert store.lead(someone.phone)["id"] == lead["id"]


def test_two_tabs_are_one_conversation(visit, store, proxy, context):
    made = context()
    one = visit(context_=made)
    other = visit(context_=made)
    one.choose(*PATHS["buy"][:3])
    expect(other.page.locator("leadpipe-chat .customer")).to_have_count(3)
    other.choose(*PATHS["buy"][3:])
    other.write(one.name, "text")
    expect(one.page.locator("leadpipe-chat .customer")).to_have_count(7)
    one.write(one.national, "tel")
    expect(other.state).to_contain_text("We have your request")
    other.write(one.email, "email")
    one.ask.get_by_role("checkbox").check()
    one.finish(consents=False)
    one.is_thanked()
    other.is_thanked()
    store.is_complete(one)
    # Each content once, although both tabs saw it.
    bodies = [key for _, key, _ in proxy.posts]
    assert len(bodies) == len(set(bodies))


def test_two_tabs_send_a_waiting_lead_once(visit, store, proxy, context):
    made = context()
    one = visit(context_=made)
    one.talk(until="name")
    made.set_offline(True)
    one.write(one.national, "tel")
    expect(one.state).to_contain_text("You are offline")
    made.set_offline(False)
    made.set_offline(True)
    made.set_offline(False)
    for _ in range(3):
        visit(context_=made, is_open=False)
    expect(one.state).to_contain_text("We have your request")
    assert len([post for post in proxy.posts if post[0] == "/api/chatbot/leads"]) == 1
    store.lead(one.phone)


@pytest.mark.parametrize("blocked", ["indexedDB", "indexedDB localStorage", "indexedDB localStorage locks"])
def test_browser_that_keeps_nothing(context, site, proxy, store, blocked):
    made = context()
    if "locks" in blocked:
        made.add_init_script("""if (navigator.locks)
          navigator.locks.request = () => Promise.reject(new DOMException('blocked', 'SecurityError'))""")
    made.add_init_script(f"""for (const name of '{blocked.removesuffix(" locks")}'.split(' '))
      Object.defineProperty(window, name, {{ get() {{ throw new DOMException('blocked', 'SecurityError') }} }})""")
    page = made.new_page()
    page.goto(site.page(api=proxy.origin))
    someone = Visitor(page)
    someone.open()
    someone.talk(until="name")
    proxy.fault = lambda number: "cut" if number == 1 else None
    someone.write(someone.national, "tel")
    expect(someone.state).to_contain_text("Nothing is lost" if blocked == "indexedDB" else "leave this page open")
    expect(someone.state).to_contain_text("We have your request")
    someone.write(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)


def test_installation_that_refuses_says_so(visit, store, proxy):
    someone = visit(attributes="data-contact='+971 4 123 4567'")
    proxy.fault = lambda number: (403, {}) if number == 1 else None
    someone.talk(until="phone")
    expect(someone.state).to_contain_text("could not be delivered (error")
    expect(someone.page.get_by_role("link", name="Call")).to_have_attribute("href", "tel:+97141234567")
    someone.page.get_by_role("button", name="Try now").click()
    expect(someone.state).to_contain_text("We have your request")
    store.lead(someone.phone)
