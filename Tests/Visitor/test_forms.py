"""The forms as custom elements, and as plain HTML without JavaScript."""

import hashlib
import re
import uuid

import pytest
from playwright.sync_api import expect

from visitor import Visitor

SOURCES = {"contact": "contact_form", "inquiry": "property_inquiry", "sell": "sell_submission"}


@pytest.fixture
def form(visit, proxy):
    """Opens a page with one form: its element, and a visitor."""
    def open_form(kind, attributes="", **page):
        someone = visit(is_open=False, chatbot=False, head=f'<script type="module" src="{proxy.origin}/forms.js"></script>',
                        body=f'<leadpipe-form type="{kind}" {attributes}></leadpipe-form>', **page)
        return someone.page.locator("leadpipe-form"), someone
    return open_form


def fill(element, someone, phone=None):
    element.get_by_label("Your name").fill(someone.name)
    element.get_by_label("Your email address").fill(someone.email)
    element.get_by_label("Your phone number").fill(phone or f"0{someone.national}")


@pytest.mark.parametrize("kind", SOURCES)
def test_form_makes_one_lead(form, store, kind, proxy):
    element, someone = form(kind, "property-title='Villa 7' department='Sales'")
    fill(element, someone)
    if kind != "sell":
        element.get_by_label("Your message").fill("Please call me <b>today</b>")
    else:
        element.get_by_label("Type of property").select_option("Villa")
        element.get_by_label("Price you expect").fill("2500000")
    element.locator("button.main").dblclick()
    expect(element.get_by_role("status")).to_contain_text("Thank you. We have your request")
    lead = store.lead(someone.phone)
    assert lead["source"] == SOURCES[kind] and lead["customer_email"] == someone.email
    assert len(proxy.posts) == 1
    if kind == "inquiry":
        assert lead["metadata"]["propertyTitle"] == "Villa 7"
    element.get_by_role("button", name="New request").click()
    expect(element.get_by_label("Your name")).to_be_focused()
    expect(element.get_by_label("Your name")).to_have_value("")


def test_newsletter(form, database):
    element, someone = form("newsletter", "source='footer'")
    element.get_by_label("Your email address").fill(someone.email)
    element.get_by_role("button", name="Subscribe").click()
    expect(element.get_by_role("status")).to_contain_text("You are on the list")
    assert database.text(f"select count(*) from public.newsletter_subscribers where email = '{someone.email}' and source = 'footer'") == "1"


def test_faults_are_beside_the_fields(form, proxy):
    element, someone = form("contact")
    element.locator("button.main").click()
    name = element.get_by_label("Your name")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("Please answer this.")
    expect(element.get_by_label("Your message")).to_have_accessible_description("Please answer this.")
    fill(element, someone, "12")
    element.get_by_label("Your email address").fill("sara@")
    element.get_by_label("Your message").fill("Hello")
    element.locator("button.main").click()
    expect(element.get_by_label("Your email address")).to_have_accessible_description(re.compile("check this email"))
    expect(element.get_by_label("Your phone number")).to_have_accessible_description(re.compile("too short"))
    element.get_by_label("Your email address").fill("")
    element.get_by_label("Your phone number").fill("")
    element.locator("button.main").click()
    expect(element.get_by_label("Your email address")).to_have_accessible_description(re.compile("email address or a phone number"))
    assert not proxy.posts


def test_what_the_server_refuses_comes_back_with_what_was_typed(form, proxy, store):
    element, someone = form("contact")
    fill(element, someone)
    element.get_by_label("Your message").fill("Hello")
    someone.page.route("**/api/contact", lambda route: route.fulfill(
        status=400, content_type="application/problem+json", headers={"Access-Control-Allow-Origin": "*"},
        json={"status": 400, "details": [{"path": "customerEmail", "code": "invalid_email", "message": "is no address"}]}))
    element.locator("button.main").click()
    field = element.get_by_label("Your email address")
    expect(field).to_be_focused()
    expect(field).to_have_value(someone.email)
    expect(field).to_have_accessible_description(re.compile("check this email"))
    someone.page.unroute("**/api/contact")
    element.locator("button.main").click()
    expect(element.get_by_role("status")).to_contain_text("Thank you")
    store.lead(someone.phone)


def test_lost_reply_429_and_reload_make_one_lead(form, proxy, store):
    element, someone = form("contact")
    fill(element, someone)
    element.get_by_label("Your message").fill("Hello")
    proxy.fault = lambda number: ["drop", (429, {"Retry-After": "2"}), "drop"][number - 1] if number <= 3 else None
    element.locator("button.main").click()
    expect(element.get_by_role("status")).to_contain_text("Our server does not answer")
    expect(element.get_by_role("status")).to_contain_text("Too many requests")
    someone.page.reload()
    expect(someone.page.locator("leadpipe-form").get_by_role("status")).to_contain_text("Thank you", timeout=20_000)
    assert len({(key, str(body)) for _, key, body in proxy.posts}) == 1 and len(proxy.posts) == 4
    store.lead(someone.phone)


def test_offline_form_is_sent_by_another_page(form, store, visit, context, proxy):
    element, someone = form("sell")
    fill(element, someone)
    someone.page.context.set_offline(True)
    element.locator("button.main").click()
    expect(element.get_by_role("status")).to_contain_text("You are offline")
    made = someone.page.context
    someone.page.close()
    made.set_offline(False)
    visit(context_=made, is_open=False)
    store.lead(someone.phone)


def test_token_and_work_are_sent_with_every_try(form, proxy, store):
    """A route takes the place of GET /api/form-token, so that the work is known."""
    element, someone = form("contact")
    token = f"t.{uuid.uuid4()}"
    asked = []

    def answer(route):
        asked.append(route.request.url)
        route.fulfill(status=200, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"},
                      json={"token": token, "expiresAt": "2099-01-01T00:00:00Z", "minimumSeconds": 1, "work": {"bits": 12}})
    someone.page.route("**/api/form-token", answer)
    proxy.fault = lambda number: "drop" if number == 1 else None
    fill(element, someone)
    element.get_by_label("Your message").fill("Hello")
    element.locator("button.main").click()
    expect(element.get_by_role("status")).to_contain_text("Thank you", timeout=15_000)
    assert len(asked) == 1 and len(proxy.posts) == 2
    for _, _, body in proxy.posts:
        assert body["formToken"] == token and body["website2"] == "" and body["formWork"].isdigit()
        digest = hashlib.sha256(f"{token}:{body['formWork']}".encode()).digest()
        assert int.from_bytes(digest[:4], "big") >> 20 == 0
    store.lead(someone.phone)


def test_honeypot_is_hidden_from_people_and_sent_for_robots(form, proxy):
    element, someone = form("contact")
    trap = element.locator("input[name=website2]")
    assert element.locator(".aside").bounding_box()["width"] <= 1 and element.locator(".aside").get_attribute("aria-hidden") == "true"
    assert trap.get_attribute("tabindex") == "-1" and trap.get_attribute("autocomplete") == "off"
    fill(element, someone)
    element.get_by_label("Your message").fill("Hello")
    trap.evaluate("node => { node.value = 'https://spam.example' }")
    element.locator("button.main").click()
    expect(element.get_by_role("status")).to_contain_text("Thank you")
    assert proxy.posts[0][2]["website2"] == "https://spam.example"


# ── Without JavaScript ──

PLAIN = {"contact": "message", "inquiry": "message", "sell": "propertyAddress"}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_form_without_javascript(context, instance, store, kind):
    page = context(scripts=False).new_page()
    someone = Visitor(page)
    page.goto(f"http://127.0.0.1:{instance.port}/demo")
    form = page.locator(f"#plain-{kind}")
    form.locator("[name=customerName]").fill(someone.name)
    form.locator("[name=customerPhone]").fill(f"0{someone.national}")
    form.locator(f"[name={PLAIN[kind]}]").fill("Without a script")
    form.get_by_role("button").click()
    expect(page).not_to_have_url(re.compile("/demo"))
    assert store.lead(someone.phone)["source"] == SOURCES[kind]


def test_plain_form_shows_faults_beside_fields_and_keeps_what_was_typed(context, instance, store):
    page = context(scripts=False).new_page()
    someone = Visitor(page)
    page.goto(f"http://127.0.0.1:{instance.port}/demo")
    form = page.locator("#plain-contact")
    form.locator("[name=customerName]").fill(someone.name)
    form.locator("[name=customerPhone]").fill("12")
    form.locator("[name=message]").fill("<script>alert(1)</script>")
    form.get_by_role("button").click()
    field = page.locator("[name=customerPhone]")
    expect(field).to_have_value("12")
    assert field.get_attribute("aria-describedby")
    expect(page.locator("[name=message]")).to_have_value("<script>alert(1)</script>")
    field.fill(f"0{someone.national}")
    page.locator("form button").first.click()
    store.lead(someone.phone)


def test_plain_newsletter_without_javascript(context, instance, database):
    page = context(scripts=False).new_page()
    email = f"{uuid.uuid4().hex[:8]}@example.com"
    page.goto(f"http://127.0.0.1:{instance.port}/demo")
    page.locator("#plain-newsletter [name=email]").fill(email)
    page.locator("#plain-newsletter button").click()
    expect(page).not_to_have_url(re.compile("/demo"))
    assert database.text(f"select count(*) from public.newsletter_subscribers where email = '{email}'") == "1"
