"""The admin panel in a browser, on a running instance."""

import re
import uuid

from playwright.sync_api import expect

from admin import KEY, AdminClient
from common import TEST_USER

CHROMIUM = "/usr/bin/chromium"
DESKTOP, PHONE = {"width": 1366, "height": 820}, {"width": 390, "height": 844}
# What a browser reports although nothing is wrong: the log-in page asks for a session first, and tests cause refusals.
EXPECTED = re.compile(r"Failed to load resource: .*(401|404|409|412|429|503|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|ERR_INCOMPLETE)")
WATCH = """document.addEventListener('securitypolicyviolation', event =>
  console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"""


def origin(instance):
    return f"http://127.0.0.1:{instance.port}"


class Watch:
    """What went wrong in the pages of a context: exceptions, errors on the console, violations of the policy."""

    def __init__(self, context):
        self.faults = []
        context.add_init_script(WATCH)
        context.on("console", self._console)
        context.on("weberror", lambda fault: self.faults.append(f"exception: {fault.error}"))
        context.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _console(self, message):
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.faults.append(f"{message.type}: {message.text}")


class Leads:
    """Makes leads, and changes them as another agent would."""

    def __init__(self, instance, database):
        self.instance, self.database, self.admin, self.count = instance, database, AdminClient(instance), 0

    def make(self, name=None, score=60, messages=("I want two bedrooms in JVC",), **more):
        self.count += 1
        sent = [{"id": str(number), "messageText": text, "sender": "customer"} for number, text in enumerate(messages)]
        return self.instance.capture({
            **TEST_USER, "customerName": name or f"Lead {self.count:03} {uuid.uuid4().hex[:4]}", "customerPhone": f"+9715{uuid.uuid4().int % 10**8:08}",
            "customerEmail": f"{uuid.uuid4().hex[:8]}@example.com", "leadScore": score, "messages": sent, **more})

    def agent(self, name, most=15):
        return self.admin.post("/api/admin/agents", {"name": name, "email": f"{uuid.uuid4().hex[:8]}@example.com", "maxCapacity": most}, 201)["id"]

    def get(self, lead):
        return self.admin.get(f"/api/admin/conversations/{lead}")

    def patch(self, lead, **fields):
        return self.admin.patch(f"/api/admin/conversations/{lead}", fields)

    def overdue(self, lead, minutes=12):
        """Moves the deadline of a lead into the past."""
        self.database.run(f"""update public.conversations set sla_response_deadline = now() - interval '{minutes} minutes',
          sla_breached = true where id = '{lead}'""")


def log_in(page, address, key=KEY):
    page.goto(address)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Main menu")).to_be_visible()
