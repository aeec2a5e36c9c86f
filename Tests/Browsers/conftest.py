"""A running instance, and the browsers besides Chromium. Pictures of failed tests are in .build/panel-traces."""

import re

import pytest

import browsing
import panel
import visitor
from admin import KEY
from common import REPO
from instance import Instance
from webdriver import Firefox, WebKit

TRACES = REPO / ".build" / "panel-traces"
database = browsing.database


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed and "browser" in getattr(item, "funcargs", {}):
        TRACES.mkdir(parents=True, exist_ok=True)
        item.funcargs["browser"].picture(TRACES / f"{re.sub(r'[^A-Za-z0-9]+', '-', item.name)}.png")


@pytest.fixture(scope="session")
def site():
    """A website of another origin."""
    site = visitor.Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def gate():
    """The proxy between the chatbot and the gateway."""
    proxy = visitor.Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def store(database):
    return visitor.Store(database)


@pytest.fixture(scope="session")
def instance(database, site, gate):
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook",
                  ALLOWED_ORIGINS=site.origin) as instance:
        gate.port_of_gateway = instance.port
        yield instance


@pytest.fixture(scope="session")
def leads(instance, database):
    return panel.Leads(instance, database)


@pytest.fixture(scope="session", params=[Firefox, WebKit], ids=["firefox", "webkit"])
def engine(request):
    browser = request.param()
    yield browser
    browser.close()


@pytest.fixture
def browser(engine, instance):
    """The browser, logged in, in English."""
    engine.open(f"{panel.origin(instance)}/admin/inbox")
    engine.run("localStorage.clear();")
    engine.open(f"{panel.origin(instance)}/admin/inbox")
    engine.find("#key, nav.side")
    if engine.run("return document.querySelector('#key') !== null"):
        engine.fill("#key", KEY)
        engine.press("Enter")
    engine.find("nav.side")
    return engine
