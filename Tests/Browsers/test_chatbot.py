"""The core of the chatbot's conversation in Firefox and WebKitGTK, on a page of another origin: one lead with all answers."""

import pytest

import visitor
from common import until
from visitor import PATHS

pytestmark = pytest.mark.seconds(180)
CLEAR = """window.isCleared = false; localStorage.clear(); sessionStorage.clear();
  indexedDB.deleteDatabase('leadpipe').onsuccess = () => { window.isCleared = true; };"""


class Talk(visitor.Visitor):
    """A visitor who answers in one of these browsers, as Visitor does in Chromium."""

    def __init__(self, browser):
        super().__init__(None)
        self.browser = browser

    def open(self):
        self.browser.click(".launcher")
        self.browser.find("dialog, [role=dialog]")

    def talk(self, path="buy", until="consent", phone=None, consents=True):
        # With its code, because the browsers guess different countries.
        super().talk(path, until, phone or self.phone, consents)

    def choose(self, *texts):
        for text in texts:
            self.browser.click(".ask button", text)
            self.browser.find(".customer", text)

    def write(self, text, kind):
        self.browser.fill(f".ask input[type={kind}]", text)
        self.browser.press("Enter")

    def say(self, text, kind, shown=None):
        self.write(text, kind)
        self.browser.find(".customer", shown or text)

    def finish(self, consents=True):
        if consents:
            self.browser.click(".ask input[type=checkbox]")
        self.browser.click(".ask button", "Continue")

    def is_thanked(self):
        self.browser.find(".state p", "Thank you")


@pytest.fixture
def visit(engine, site, gate, instance):
    """Opens a page with the chatbot, for a visitor who was never here, and returns the visitor."""
    gate.reset()

    def visit(is_open=True, **page):
        engine.open(site.page(chatbot=False))
        engine.run(CLEAR)
        until(lambda: engine.run("return window.isCleared;"), 10, "an empty store")
        engine.open(site.page(api=gate.origin, **page))
        someone = Talk(engine)
        if is_open:
            someone.open()
        return someone
    yield visit
    gate.reset()


@pytest.mark.parametrize("path", ["buy", "rent"])
def test_a_conversation_makes_one_complete_lead(visit, store, path):
    someone = visit()
    someone.talk(path)
    someone.is_thanked()
    lead = store.is_complete(someone, path)
    assert lead["intent"] == path and lead["source"] == "chatbot" and lead["metadata"]["consent"]["marketing"] is True


def test_a_number_in_arabic_digits_is_read(visit, store):
    someone = visit()
    someone.talk(until="name")
    someone.say("".join(chr(0x660 + int(digit)) for digit in f"00971{someone.national}"), "tel", someone.phone)
    store.lead(someone.phone)


def test_a_reload_in_the_middle_continues_the_conversation(visit, engine, store):
    someone = visit()
    someone.talk(until="phone")
    lead = store.lead(someone.phone)
    engine.do("Refresh")
    if engine.run("return document.querySelector('leadpipe-chat')?.shadowRoot.querySelector('dialog')?.checkVisibility() !== true;"):
        someone.open()
    engine.find(".customer", PATHS["buy"][-1])
    someone.say(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    assert store.is_complete(someone)["id"] == lead["id"]


def test_lost_replies_make_no_second_lead(visit, gate, store):
    someone = visit()
    someone.talk(until="name")
    # The gateway has the lead, but the browser does not know it.
    gate.fault = lambda number: "drop" if number <= 2 else None
    someone.say(someone.phone, "tel")
    someone.say(someone.email, "email")
    someone.finish()
    someone.is_thanked()
    store.is_complete(someone)
    assert len(gate.posts) >= 3


def test_arabic_runs_from_right_to_left(visit, engine):
    visit(language="ar")
    assert engine.run("""const chat = document.querySelector('leadpipe-chat').shadowRoot;
      return getComputedStyle(chat.querySelector('.ask')).direction;""") == "rtl"
    engine.find(".ask button", "شراء")
