"""A running instance, a website of another origin, and a proxy between browser and gateway. Traces of failed tests are in
.build/visitor-traces; open one at `playwright show-trace`."""

import pytest

import browsing
import visitor
from admin import KEY
from instance import Instance

browser, database = browsing.browser, browsing.database
pytest_runtest_makereport = browsing.pytest_runtest_makereport


@pytest.fixture(scope="session")
def store(database):
    return visitor.Store(database)


@pytest.fixture(scope="session")
def site():
    site = visitor.Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def gate():
    proxy = visitor.Proxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="session")
def instance(database, site, gate):
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook",
                  ALLOWED_ORIGINS=site.origin) as instance:
        gate.port_of_gateway = instance.port
        yield instance


@pytest.fixture
def proxy(instance, gate):
    gate.reset()
    yield gate
    gate.reset()


@pytest.fixture
def context(browser, request):
    """Makes contexts: context(phone=, scripts=, locale=, zone=). At the end no page may have thrown anything."""
    contexts = []

    def make(phone=False, scripts=True, locale="en-GB", zone="Asia/Dubai"):
        made = browser.new_context(viewport=visitor.PHONE if phone else {"width": 1280, "height": 800}, has_touch=phone, is_mobile=phone, locale=locale,
                                   timezone_id=zone, reduced_motion="reduce", java_script_enabled=scripts)
        made.tracing.start(snapshots=True)
        made.faults = []
        made.on("weberror", lambda fault: made.faults.append(str(fault.error)))
        contexts.append(made)
        return made

    yield make
    browsing.close(contexts, [fault for made in contexts for fault in made.faults], request.node, "visitor-traces")


@pytest.fixture
def visit(context, site, proxy):
    """Opens a page with the chatbot and returns its visitor: visit(body=, phone=, context=, …)."""
    def visit(phone=False, context_=None, is_open=True, locale="en-GB", zone="Asia/Dubai", address=None, **page):
        made = context_ or context(phone=phone, locale=locale, zone=zone)
        opened = made.new_page()
        opened.goto(address or site.page(api=proxy.origin, **page))
        someone = visitor.Visitor(opened)
        if is_open:
            someone.open()
        return someone
    return visit
