"""Forms that a browser posts without a script: encodings, origins, the pages and redirects that answer, and every door."""

import base64
import http.client
import json
import os
import subprocess
import uuid
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

import handlers
from common import BIN
from instance import Instance

SITE = "https://www.example.com"
PERSON = {"customerName": "Sara Ahmed", "customerEmail": "sara@example.com", "customerPhone": "050 123 4567"}
URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def site():
    with Instance(FRONTEND_URL=f"{SITE}/", ALLOWED_ORIGINS="https://other.example") as instance:
        yield instance


def multipart(fields, boundary="----FormBoundary7MA4YWxk"):
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return f"multipart/form-data; boundary={boundary}", ("".join(parts) + f"--{boundary}--\r\n").encode()


def post(site, path, fields=None, kind=URLENCODED, body=None, **headers):
    """(status, headers, text) without following redirects. None as a header leaves it out."""
    if body is None:
        kind, body = multipart(fields) if kind == "multipart" else (kind, urlencode(fields).encode())
    sent = {"Content-Type": kind, "Origin": SITE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("POST", path, body, {name: value for name, value in sent.items() if value is not None})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found


class Page(HTMLParser):
    """The inputs of a page with their values, and the texts by id."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inputs, self.described, self.texts, self.attributes = [], {}, {}, {}, []
        self.open = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.attributes += attributes
        if tag in ("input", "textarea"):
            self.inputs[attributes["name"]] = attributes.get("value", "")
            self.described[attributes["name"]] = attributes.get("aria-describedby")
        if tag == "textarea":
            self.open = ("textarea", attributes["name"])
        elif "id" in attributes:
            self.open = ("id", attributes["id"])

    def handle_data(self, data):
        if self.open and self.open[0] == "textarea":
            self.inputs[self.open[1]] += data
        elif self.open:
            self.texts[self.open[1]] = self.texts.get(self.open[1], "") + data

    def handle_endtag(self, tag):
        self.open = None


def newest(site, column):
    return site.database.text(f"select {column} from conversations order by created_at desc limit 1")


@pytest.mark.parametrize("kind", [URLENCODED, f"{URLENCODED}; charset=UTF-8", "multipart"])
@pytest.mark.parametrize(("path", "more", "source"), [
    ("/api/contact", {"message": "Call me & <b>bring</b> the keys\r\nsoon é م"}, "contact_form"),
    ("/api/property-inquiry", {"propertyTitle": "Marina", "propertyUrl": "https://x.example/p?a=1&b=2"}, "property_inquiry"),
    ("/api/sell-submission", {"propertyType": "Villa", "expectedPrice": "AED 5M", "propertyDescription": "Five rooms"}, "sell_submission")])
def test_a_form_is_stored_and_answered_with_a_page(site, path, more, source, kind):
    name = f"Visitor {uuid.uuid4()}"
    status, headers, text = post(site, path, {**PERSON, **more, "customerName": name, "language": "en"}, kind)
    assert status == 201 and headers["content-type"] == "text/html; charset=utf-8", text
    assert "Thank you" in text and 'lang="en"' in text and "<script" not in text and "<style" not in text
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and headers["cache-control"] == "no-store"
    row = site.database.text(
        f"select concat_ws('|', source, customer_phone, status, metadata ->> 'language') from conversations where customer_name = '{name}'")
    assert row == f"{source}|+971501234567|new|en"
    if "message" in more:
        said = site.database.text(f"select message_text from chat_messages m join conversations c on c.id = m.conversation_id where customer_name = '{name}'")
        assert said == more["message"].replace("\r\n", "\n")


def test_a_double_click_makes_one_lead(site):
    fields = {**PERSON, "customerName": f"Twice {uuid.uuid4()}", "message": "Hello"}
    for _ in range(3):
        assert post(site, "/api/contact", fields)[0] == 201
    assert site.database.count("conversations", f"customer_name = '{fields['customerName']}'") == 1


def test_faults_are_said_beside_the_fields_with_what_was_typed(site):
    typed = {"customerName": "S", "customerEmail": "not \"an\" <address>", "customerPhone": "call me", "message": "", "subject": "<b>\"'&",
             "thanks": f"{SITE}/thanks", "formToken": "t", "x": "unknown"}
    before = site.database.count("conversations")
    status, headers, text = post(site, "/api/contact", typed, Accept_Language="fr, ar-AE;q=0.9, en;q=0.8")
    page = Page(text)
    assert status == 400 and 'dir="rtl"' in text and headers["content-language"] == "ar"
    for name in ("customerName", "customerEmail", "customerPhone", "subject", "thanks", "formToken"):
        assert page.inputs[name] == typed[name], (name, text)
    for name in ("customerName", "customerEmail", "customerPhone", "message"):
        assert page.texts[page.described[name]], (name, text)
    assert page.described["subject"] is None and "x" not in page.inputs
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"] and "action" not in page.attributes
    assert f"form-action 'self' {SITE};" in headers["content-security-policy"], "browsers apply form-action to the redirect"
    assert headers["referrer-policy"] == "same-origin", "with no-referrer a browser would send Origin: null"
    assert site.database.count("conversations") == before
    # The page's own form is posted from the gateway's origin.
    again = {**page.inputs, "customerName": "Sara", "customerEmail": "sara@example.com", "message": "Hello", "customerPhone": "", "formToken": ""}
    status, headers, _ = post(site, "/api/contact", again, Origin=f"http://127.0.0.1:{site.port}")
    assert (status, headers["location"]) == (303, f"{SITE}/thanks")


@pytest.mark.parametrize(("target", "leads"), [
    (f"{SITE}/thanks?a=1", True), ("https://other.example/t", True), ("https://evil.example/", False), ("//evil.example", False),
    ("javascript:alert(1)", False),
    ("https://www.example.com@evil.example/", False), ("https://www.example.com\\@evil.example/", False), ("https://www.example.com.evil.example/", False),
    (f"{SITE}/a\r\nSet-Cookie: x=1", False), ("/thanks", False)])
def test_only_pages_of_allowed_origins_are_redirected_to(site, target, leads):
    status, headers, _ = post(site, "/api/contact", {**PERSON, "message": str(uuid.uuid4()), "thanks": target})
    assert (status, headers.get("location")) == ((303, target) if leads else (201, None)) and "set-cookie" not in headers


@pytest.mark.parametrize(("headers", "allowed"), [
    ({"Origin": "https://other.example"}, True), ({"Origin": None, "Referer": f"{SITE}/contact?x"}, True), ({"Origin": None}, False),
    ({"Origin": "null"}, False), ({"Origin": "null", "Referer": f"{SITE}/"}, False), ({"Origin": "https://evil.example"}, False),
    ({"Origin": "https://evil.example", "Referer": f"{SITE}/"}, False), ({"Origin": None, "Referer": "https://evil.example/?https://www.example.com"}, False),
    ({"Origin": "https://www.example.com.evil.example"}, False), ({"Origin": "http://www.example.com"}, False)])
def test_only_pages_of_allowed_origins_may_send_forms(site, headers, allowed):
    message = str(uuid.uuid4())
    status, _, text = post(site, "/api/contact", {**PERSON, "message": message}, **headers)
    assert status == (201 if allowed else 403), text
    assert site.database.count("chat_messages", f"message_text = '{message}'") == allowed


def test_every_other_type_stays_415_and_the_chatbot_takes_json_only(site):
    for kind in ("text/plain", "application/xml", "multipart/mixed; boundary=b", "", "application/x-www-form-urlencodedx"):
        assert post(site, "/api/contact", kind=kind, body=b"customerName=x")[0] == 415
    assert post(site, "/api/chatbot/leads", PERSON)[0] == 415
    assert post(site, "/api/contact", {**PERSON, "message": "x"}, Content_Encoding="gzip")[0] == 415


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_a_page_for_what_is_refused_before_the_handler(site):
    """And a program gets a problem."""
    before = site.database.count("conversations")
    for status, kind, body, more, said in (
            (413, URLENCODED, b"x" * 70_000, {}, "too large"), (413, "multipart/form-data; boundary=b", b"x" * 70_000, {}, "too large"),
            (415, "text/plain", b"customerName=x", {}, "cannot be read"), (415, URLENCODED, b"a=b", {"Content_Encoding": "gzip"}, "cannot be read")):
        found, headers, text = post(site, "/api/contact", kind=kind, body=body, Accept_Language="ar, en;q=0.5", **BROWSER, **more)
        page = Page(text)
        assert found == status and headers["content-type"] == "text/html; charset=utf-8" and headers["cache-control"] == "no-store", text
        assert '<html lang="ar" dir="rtl">' in text and said in text and "لم يتم حفظ أي شيء" in text and page.tags.count("p") == 2
        assert "default-src 'none'" in headers["content-security-policy"] and headers["x-request-id"]
        found, headers, text = post(site, "/api/contact", kind=kind, body=body, **more)
        assert found == status and headers["content-type"] == "application/problem+json" and json.loads(text)["status"] == status
    assert site.database.count("conversations") == before


def chunked(site, pieces):
    """Without a length, so that the limit is met in the middle of the body."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("POST", "/api/contact", iter(pieces), {"Content-Type": URLENCODED, "Origin": SITE, **BROWSER}, encode_chunked=True)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("content-type"), answer.read().decode()
    connection.close()
    return found


def test_a_browser_gets_a_page_in_the_middle_of_a_body_that_is_too_large(site):
    status, kind, text = chunked(site, [b"x" * 16_384] * 5)
    assert (status, kind) == (413, "text/html; charset=utf-8") and "too large" in text


@pytest.mark.parametrize("store", ["memory", "postgres"])
def test_a_browser_gets_a_page_when_it_has_sent_too_often(database, store):
    with Instance(DATABASE_URL=database.url, FRONTEND_URL=SITE, RATE_LIMIT_CONTACT="1/60", RATE_LIMIT_STORE=store) as site:
        assert post(site, "/api/contact", {**PERSON, "message": "first"}, **BROWSER)[0] == 201
        status, headers, text = post(site, "/api/contact", {**PERSON, "message": "second"}, Accept_Language="en", **BROWSER)
        assert status == 429 and headers["content-type"] == "text/html; charset=utf-8" and headers["x-ratelimit-remaining"] == "0", text
        assert f"in {headers['retry-after']} second" in text and "was not stored" in text and 'lang="ar" dir="rtl"' in text
        status, headers, text = post(site, "/api/contact", {**PERSON, "message": "third"})
        assert status == 429 and json.loads(text)["retryAfterSeconds"] == int(headers["retry-after"])
        assert site.database.count("conversations") == 1


@pytest.mark.parametrize("body", [
    b"--b\r\nbroken", b"", b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.exe\"\r\n\r\nMZ\r\n--b--",
    b"--b--\r\n" * 5000, b"\x00\xff" * 20_000])
def test_hostile_bodies_get_a_page_with_400(site, body):
    status, headers, text = post(site, "/api/contact", kind="multipart/form-data; boundary=b", body=body)
    assert status == 400 and headers["content-type"].startswith("text/html"), text
    assert post(site, "/api/contact", kind=URLENCODED, body=b"x" * 70_000)[0] == 413


def test_a_newsletter_is_subscribed_and_ended_without_a_script(site):
    address = f"{uuid.uuid4()}@example.com"
    status, _, text = post(site, "/api/newsletter/subscribe", {"email": address, "source": "footer"})
    assert status == 201 and "subscribed" in text
    token = site.database.text(f"select unsubscribe_token from newsletter_subscribers where email = '{address}' and status = 'active'")
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.request("GET", f"/newsletter/unsubscribe?token={token}", headers={"Accept-Language": "ar"})
    answer = connection.getresponse()
    page = Page(answer.read().decode())
    assert answer.status == 200 and page.inputs["token"] == token and page.tags.count("button") == 1
    assert site.database.text(f"select status from newsletter_subscribers where email = '{address}'") == "active", "a link only asks"
    status, _, text = post(site, "/api/newsletter/unsubscribe", page.inputs, Origin=f"http://127.0.0.1:{site.port}")
    assert status == 200 and 'lang="ar"' in text
    assert site.database.text(f"select status from newsletter_subscribers where email = '{address}'") == "unsubscribed"
    assert post(site, "/api/newsletter/unsubscribe", {"token": str(uuid.uuid4())})[0] == 404
    assert "field-email-error" in post(site, "/api/newsletter/subscribe", {"email": "x"})[2]
    connection.request("GET", "/newsletter/unsubscribe?token=%22%3E%3Cscript%3E")
    assert "<script" not in connection.getresponse().read().decode()
    connection.close()


def test_the_other_doors_take_forms_too(database):
    """A pipe, CGI and SCGI's and Lambda's envelope, which has the body in base64."""
    fields = {**PERSON, "message": "By another door"}
    kind, body = multipart(fields)
    settings = {"DATABASE_URL": database.url, "FRONTEND_URL": SITE}
    for encoded in (False, True):
        envelope = {
            "version": "2.0", "rawPath": "/api/contact", "headers": {"content-type": kind, "origin": SITE},
            "requestContext": {"requestId": f"r{encoded}", "http": {"method": "POST", "path": "/api/contact", "sourceIp": f"192.0.2.{int(encoded)}"}},
            "body": base64.b64encode(body).decode() if encoded else body.decode(), "isBase64Encoded": encoded}
        done = handlers.run("contact-capture", json.dumps(envelope).encode(), **settings)
        reply = json.loads(done.stdout)
        assert (reply["statusCode"], done.returncode) == (201, 0) and "Thank you" in reply["body"], done.stderr
    environment = {
        **settings, "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/api/contact",
        "SERVER_NAME": "www.example.com", "HTTP_HOST": "api.example.com", "HTTP_ORIGIN": SITE, "REMOTE_ADDR": "192.0.2.9", "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)), "REQUEST_URI": "/api/contact", "PATH": os.environ["PATH"]}
    done = subprocess.run([BIN / "handlers" / "contact-capture"], input=body, env=environment, capture_output=True, timeout=20)
    assert done.stdout.startswith(b"Status: 201 ") and b"Thank you" in done.stdout, (done.stdout, done.stderr)
    large = {**environment, "CONTENT_LENGTH": "70000", "HTTP_ACCEPT": "text/html"}
    done = subprocess.run([BIN / "handlers" / "contact-capture"], input=b"x" * 70_000, env=large, capture_output=True, timeout=20)
    assert done.stdout.startswith(b"Status: 413 ") and b"The form is too large" in done.stdout, (done.stdout, done.stderr)
    assert database.count("conversations") == 3
