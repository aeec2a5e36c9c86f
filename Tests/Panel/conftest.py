"""A running instance with a browser. Traces of failed tests are in .build/panel-traces; open one at `playwright
show-trace`."""

import pytest

import browsing
import panel
from admin import KEY
from instance import Instance

browser, database = browsing.browser, browsing.database
pytest_runtest_makereport = browsing.pytest_runtest_makereport


@pytest.fixture(scope="session")
def instance(database):
    with Instance(DATABASE_URL=database.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false", SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook") as instance:
        yield instance


@pytest.fixture(scope="session")
def leads(instance, database):
    return panel.Leads(instance, database)


@pytest.fixture(scope="session")
def origin(instance):
    return panel.origin(instance)


@pytest.fixture(scope="session")
def session(browser, origin):
    """The cookie of a logged-in browser."""
    context = browser.new_context(locale="en-GB")
    panel.log_in(context.new_page(), f"{origin}/admin")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def files():
    """A route that asks the gateway once for each file of the panel."""
    kept = {}

    def answer(route):
        address = route.request.url
        if address not in kept:
            reply = route.fetch()
            if not reply.ok:
                route.fulfill(response=reply)
                return
            kept[address] = (reply.headers["content-type"], reply.body())
        content_type, body = kept[address]
        route.fulfill(status=200, content_type=content_type, body=body)
    return answer


@pytest.fixture
def opened(browser, origin, session, files, request):
    """Opens pages. The panel's files come from memory after the first page, because the gateway limits each client.
    opened(path, phone=, arabic=, dark=, logged_in=, script=). At the end no page may have reported a fault.
    """
    contexts = []

    def open_page(path="/admin", phone=False, arabic=False, dark=False, logged_in=True, context=None, script=None):
        if context is None:
            context = browser.new_context(
                viewport=panel.PHONE if phone else panel.DESKTOP, has_touch=phone, is_mobile=phone, locale="ar-AE" if arabic else "en-GB",
                color_scheme="dark" if dark else "light", reduced_motion="reduce", storage_state=session if logged_in else None, accept_downloads=True,
                permissions=["clipboard-read", "clipboard-write"])
            context.tracing.start(screenshots=True, snapshots=True)
            context.watch = panel.Watch(context)
            context.route("**/admin/assets/**", files)
            contexts.append(context)
            if script:
                context.add_init_script(script)
        page = context.new_page()
        page.goto(f"{origin}{path}")
        return page

    yield open_page
    browsing.close(contexts, [fault for context in contexts for fault in context.watch.faults], request.node, "panel-traces")
