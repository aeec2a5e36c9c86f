"""How chatbot and forms behave as guests of a page: policies, style sheets, both directions, phones, size, speed."""

import gzip
import http.client
import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from visitor import HOSTILE, Visitor

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FORMS = "".join(f'<leadpipe-form type="{kind}"></leadpipe-form>' for kind in ("contact", "inquiry", "sell", "newsletter"))


def check(page, name):
    result = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
    faults = [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in result.response["violations"]]
    assert not faults, f"{name}: {json.dumps(faults, indent=1, ensure_ascii=False)}"


def forms_script(proxy):
    return f'<script type="module" src="{proxy.origin}/forms.js"></script>'


@pytest.mark.parametrize("language", ["en", "ar"])
def test_no_accessibility_fault_in_forms(visit, proxy, language):
    page = visit(chatbot=False, language=language, body=FORMS, head=forms_script(proxy), is_open=False).page
    expect(page.locator("leadpipe-form form")).to_have_count(4)
    # A fault beside every field.
    for form in range(4):
        page.locator("leadpipe-form").nth(form).locator("button.main").click()
    check(page, "forms with faults")


@pytest.mark.parametrize(("language", "phone"), [("en", False), ("ar", True)])
def test_no_accessibility_fault_in_the_chatbot(visit, proxy, language, phone):
    arabic = language == "ar"
    someone = visit(phone=phone, language=language)
    page = someone.page
    expect(someone.ask.get_by_role("button").first).to_be_visible()
    check(page, "choice")
    someone.ask.get_by_role("button").nth(4).click()
    for kind, value in (("text", "JVC"), (None, None), ("text", "سارة أحمد"), ("tel", "0501234567"), ("email", "a@example.com")):
        expect(someone.ask.locator(f"input[type={kind}]" if kind else ".choices button").first).to_be_visible()
        check(page, f"question {kind}")
        if kind == "tel":
            someone.write("12", kind)
            check(page, "a wrong number")
        if kind:
            someone.write(value, kind)
        else:
            someone.ask.get_by_role("button").first.click()
    someone.ask.get_by_role("checkbox").check()
    check(page, "consent")
    someone.ask.locator("button.main").click()
    expect(someone.state).to_contain_text("شكراً" if arabic else "Thank you")
    check(page, "end")
    assert page.evaluate("() => document.querySelector('leadpipe-chat').shadowRoot.querySelector('.root').dir") == ("rtl" if arabic else "ltr")


def test_strict_policy_of_the_page(visit, proxy, store, context):
    policy = (f"default-src 'none'; script-src {proxy.origin}; connect-src {proxy.origin}; style-src 'none'; img-src data:; base-uri 'none'; "
              "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
    made = context()
    complaints = []

    def hear(message):
        if message.type in ("error", "warning"):
            complaints.append(message.text)
    made.on("console", hear)
    headers = {"Content-Security-Policy": policy, "Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    someone = visit(context_=made, headers=headers, body=FORMS, head=forms_script(proxy))
    someone.talk("browse")
    someone.is_thanked()
    store.is_complete(someone, "browse")
    assert not complaints, complaints


def test_style_sheet_of_a_hostile_page(visit, store, proxy):
    someone = visit(head=f"<style>{HOSTILE}</style>{forms_script(proxy)}", body="<div><leadpipe-form type='newsletter'></leadpipe-form></div>")
    look = someone.page.evaluate("""() => { const root = document.querySelector('leadpipe-chat').shadowRoot;
      const style = node => getComputedStyle(root.querySelector(node));
      const box = root.querySelector('dialog').getBoundingClientRect();
      return [style('.log').fontSize, style('.log').letterSpacing, style('.bot').color,
        ...[box.width, innerWidth - box.right, innerHeight - box.bottom].map(Math.round)] }""")
    assert look == ["16px", "normal", "rgb(26, 31, 41)", 384, 16, 16]
    someone.talk("browse")
    someone.is_thanked()
    store.is_complete(someone, "browse")


def test_whole_screen_of_a_phone_and_no_sideways_scrolling(visit, proxy, store):
    someone = visit(phone=True, language="ar", locale="ar-AE", body=FORMS, head=forms_script(proxy))
    page = someone.page
    box = page.get_by_role("dialog").bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 844)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("() => document.querySelector('leadpipe-chat').shadowRoot.querySelector('dialog').matches(':modal')")
    someone.ask.get_by_role("button", name="تصفح", exact=True).click()
    someone.ask.get_by_role("button", name="دبي مارينا", exact=True).click()
    someone.ask.get_by_role("button", name="شقة", exact=True).click()
    someone.write("سارة أحمد", "text")
    someone.write(f"٠{someone.national}", "tel")
    someone.write(someone.email, "email")
    someone.ask.locator("button.main").click()
    expect(someone.state).to_contain_text("شكراً")
    lead = store.lead(someone.phone)
    assert lead["preferred_area"] == "Dubai Marina" and lead["property_type"] == "Apartment" and lead["metadata"]["language"] == "ar"
    small = page.evaluate("""() => [...document.querySelector('leadpipe-chat').shadowRoot.querySelectorAll('button:not(.link), input')]
      .filter(node => !node.closest('.aside'))
      .filter(node => node.offsetHeight && node.offsetHeight < 44 && node.type !== 'checkbox').map(node => node.outerHTML)""")
    assert not small


def test_opens_at_once_and_moves_nothing(visit):
    someone = visit(is_open=False, head="""<script>window.shift = 0;
      new PerformanceObserver(list => { for (const one of list.getEntries()) shift += one.value })
      .observe({ type: 'layout-shift', buffered: true })</script>""")
    expect(someone.page.locator("leadpipe-chat .launcher")).to_be_visible()
    took = someone.page.evaluate("""async () => { const began = performance.now(); document.querySelector('leadpipe-chat').open();
      await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve))); return performance.now() - began }""")
    assert took <= 100
    expect(someone.ask.get_by_role("button", name="Buy", exact=True)).to_be_visible()
    assert someone.page.evaluate("() => window.shift") == 0


def test_at_most_30_kilobytes(visit, proxy, instance):
    """Everything that a page with the chatbot loads, with Arabic, as it is sent."""
    visit()
    files = {path for path in proxy.paths if path.endswith((".js", ".json"))}
    assert "/questions.json" in files and "/leadpipe/texts.js" in files and "/forms.js" not in files
    size = 0
    for path in files:
        status, headers, body = raw(instance, path)
        assert status == 200 and headers["content-encoding"] == "gzip"
        assert gzip.decompress(body)
        size += len(body)
    assert size <= 30_000, size


def raw(instance, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    reply = connection.getresponse()
    answer = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    connection.close()
    return answer


def test_files_are_for_every_origin_and_the_demo_is_a_page(instance):
    for path in ("/chatbot.js", "/forms.js", "/leadpipe/outbox.js", "/questions.json"):
        status, headers, _ = raw(instance, path, Origin="https://anyone.example")
        assert status == 200 and headers["access-control-allow-origin"] == "*" and headers["cross-origin-resource-policy"] == "cross-origin"
        assert headers["cache-control"] == "no-cache"
        assert raw(instance, path, **{"If-None-Match": headers["etag"]})[0] == 304
    for path in ("/demo", "/chatbot/editor"):
        status, headers, _ = raw(instance, path)
        assert status == 200 and "access-control-allow-origin" not in headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    for path in ("/chatbot", "/leadpipe", "/demo/index.html", "/chatbot.js.gz", "/editor/editor.js", "/leadpipe/../chatbot.js"):
        assert raw(instance, path)[0] in (400, 404), path
    assert any(line.startswith("demo ") and f":{instance.port}/demo" in line for line in instance.out)


def test_questions_that_cannot_be_loaded_cost_no_lead(visit, store, context):
    made = context()
    made.route("**/questions.json", lambda route: route.fulfill(
        status=200, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"}, body='{"questions": []}'))
    someone = visit(context_=made)
    someone.write(someone.name, "text")
    someone.write(someone.national, "tel")
    someone.is_thanked()
    assert store.lead(someone.phone)["customer_name"] == someone.name


def test_demo_page_works(context, instance, store):
    page = context().new_page()
    page.goto(f"http://127.0.0.1:{instance.port}/demo?language=ar")
    expect(page.locator("leadpipe-form form")).to_have_count(4)
    expect(page.locator("leadpipe-form").first.get_by_role("button", name="إرسال")).to_be_visible()
    page.goto(f"http://127.0.0.1:{instance.port}/demo")
    check(page, "demo")
    someone = Visitor(page)
    page.get_by_role("button", name="Ask the chatbot").click()
    someone.talk("browse")
    someone.is_thanked()
    store.is_complete(someone, "browse")


def test_editor_checks_and_plays_without_sending(context, instance):
    page = context().new_page()
    asked = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.goto(f"http://127.0.0.1:{instance.port}/chatbot/editor")
    page.get_by_role("button", name="Load the questions of this server").click()
    expect(page.get_by_text("The chatbot can use this.")).to_be_visible()
    check(page, "editor")
    someone = Visitor(page)
    someone.talk("browse")
    someone.is_thanked()
    text = page.get_by_role("textbox", name="Text")
    questions = json.loads(text.input_value())
    del questions["questions"][0]["text"]["ar"]
    questions["questions"][1]["kind"] = "telepathy"
    questions["questions"][2]["when"] = {"intent": ["steal"]}
    text.fill(json.dumps(questions))
    expect(page.get_by_role("listitem")).to_have_count(3)
    expect(page.locator("#faults")).to_contain_text("questions[0].text.ar is missing")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    text.fill('{"questions": [')
    expect(page.locator("#faults")).to_contain_text("JSON")
    assert {method for method, _ in asked} == {"GET"}
