"""Measures the admin panel in Chromium: panel.py DATABASE_URL BIN

DATABASE_URL is the owner's login of a database that grown.sql has filled. The gateway runs as shipped, on the same machine
as the browser. Needs Playwright, which `make panel-packages` installs."""

import http.client
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from playwright.sync_api import sync_playwright

from measure import PLAIN, keep, row, setting, table

URL, BIN = sys.argv[1], sys.argv[2]
PORT = setting("PANEL_PORT", 18432)
KEY = "the-key-of-the-benchmark"
ORIGIN = f"http://127.0.0.1:{PORT}"
VIEWS, CHANGES = setting("PANEL_VIEWS", 15), setting("PANEL_CHANGES", 200)
# An hour with an event each second, in this many seconds, after as many events as the panel keeps at most.
HOUR, HOUR_SECONDS, WARM = setting("PANEL_HOUR", 3600), setting("PANEL_HOUR_SECONDS", 60), setting("PANEL_WARM", 1200)
SLOWED = 4
SCREEN = {"width": 1366, "height": 820}
# The time when the first lead is on the screen: after the frame that draws it.
FIRST_ROW = """new MutationObserver((_, observer) => {
  if (!document.querySelector('a.lead-name')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { globalThis.firstRow = performance.now(); }));
}).observe(document, {childList: true, subtree: true});"""
# What the panel's leader tells the other tabs of, which are the events that it has received; and tasks of 50 ms or more.
COUNT = """globalThis.told = 0;
new BroadcastChannel('leadpipe').onmessage = ({data}) => { if (data.kind === 'event') told += 1; };
globalThis.tasks = [];
new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration))).observe({type: 'longtask'});"""
# The times at which the quality of the lead in the first row was drawn, by its text.
SEEN = """id => {
  const chip = document.querySelector(`tr[data-id="${id}"] .quality`);
  globalThis.seen = {};
  new MutationObserver(() => {
    const text = chip.textContent;
    requestAnimationFrame(() => setTimeout(() => { seen[text] ??= performance.timeOrigin + performance.now(); }));
  }).observe(chip, {childList: true, characterData: true, subtree: true, attributes: true});
}"""

DRAWN = """score => {
  const at = seen[Object.keys(seen).find(text => text.endsWith(` ${score}`))];
  globalThis.seen = {};
  return at;
}"""


def psql(statement):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", URL], input=statement, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


class Changes:
    """A session of the database that changes leads as another agent's request does, and makes new ones."""

    def __init__(self):
        self.process = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", URL], env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.scores = itertools.cycle(range(1, 100))

    def score(self, lead):
        """Changes a score. Returns it and the time after the commit."""
        score = next(self.scores)
        self.ask(f"update conversations set lead_score = {score}, lead_quality = 'warm' where id = '{lead}';\n"
                 f"select 'done' from emit_lead_event('lead.updated', '{lead}');\n")
        return score, time.time()

    def make(self, connection):
        body = json.dumps({"customerName": f"Live {uuid.uuid4().hex[:6]}", "customerPhone": f"+9715{uuid.uuid4().int % 10**8:08}", "intent": "buy",
                           "messages": [{"id": "1", "messageText": "I want two bedrooms in JVC", "sender": "customer"}]})
        connection.request("POST", "/api/chatbot/leads", body, {"Content-Type": "application/json"})
        with connection.getresponse() as reply:
            reply.read()
            if reply.status != 201:
                sys.exit(f"a new lead was answered with {reply.status}")

    def ask(self, statements):
        self.process.stdin.write(statements)
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            sys.exit("the database has ended the session of the changes")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def load(changes, page, count, seconds):
    """Makes `count` events within `seconds`: nine changes of leads on the page, then a new lead, and so on."""
    leads = page.evaluate("() => [...document.querySelectorAll('tr.lead')].map(row => row.dataset.id)")
    before = page.evaluate("() => told")
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    start = time.monotonic()
    for number in range(count):
        if (wait := start + number * seconds / count - time.monotonic()) > 0:
            time.sleep(wait)
        if number % 10 == 9:
            changes.make(connection)
        else:
            changes.score(random.choice(leads))
    taken = time.monotonic() - start
    connection.close()
    page.wait_for_function("least => told >= least", arg=before + count, timeout=30_000)
    return taken


def opened(browser, state, path="/admin/inbox?tab=all", slowed=1, scripts=()):
    context = browser.new_context(viewport=SCREEN, locale="en-GB", storage_state=state)
    for script in scripts:
        context.add_init_script(script)
    page = context.new_page()
    control = context.new_cdp_session(page)
    if slowed > 1:
        control.send("Emulation.setCPUThrottlingRate", {"rate": slowed})
    page.set_default_timeout(60_000)
    page.control = control
    page.sizes = []
    control.send("Network.enable")
    control.on("Network.loadingFinished", lambda event: page.sizes.append(event["encodedDataLength"]))
    page.goto(f"{ORIGIN}{path}")
    return page


def first_views(browser, state):
    """Returns the times in ms of views with an empty cache and with a filled one, and the bytes of the first."""
    empty, filled, sizes, requests = [], [], [], []
    for number in range(VIEWS + 1):
        page = opened(browser, state, slowed=SLOWED, scripts=[FIRST_ROW])
        page.wait_for_function("() => globalThis.firstRow")
        first = page.evaluate("() => firstRow")
        # Until the numbers of the tabs and the banner have come too.
        page.wait_for_timeout(2500)
        size, count = sum(page.sizes), len(page.sizes)
        page.reload()
        page.wait_for_function("() => globalThis.firstRow")
        # The first one warms up the server.
        if number:
            empty.append(first)
            filled.append(page.evaluate("() => firstRow"))
            sizes.append(size)
            requests.append(count)
        page.context.close()
    return empty, filled, sizes, requests


def on_screen(browser, state, changes):
    """Returns the times in ms from the response to a commit until the changed row is drawn."""
    page = opened(browser, state)
    page.locator(".feed-state.is-live").wait_for()
    lead = page.locator("tr.lead").first.get_attribute("data-id")
    page.evaluate(SEEN, lead)
    times = []
    for number in range(CHANGES + 5):
        score, committed = changes.score(lead)
        page.wait_for_function("score => Object.keys(seen).some(text => text.endsWith(` ${score}`))", arg=score)
        drawn = page.evaluate(DRAWN, score)
        if number >= 5:
            times.append(drawn - committed * 1000)
        time.sleep(random.uniform(0.02, 0.12))
    page.context.close()
    return times


def busy(browser, state, changes, slowed):
    """Returns the longest tasks in ms during 1,000 events in 10 s, and the seconds that they really took."""
    page = opened(browser, state, slowed=slowed, scripts=[COUNT])
    page.locator(".feed-state.is-live").wait_for()
    page.wait_for_timeout(3000)
    page.evaluate("() => { tasks.length = 0; }")
    taken = load(changes, page, 1000, 10)
    page.wait_for_timeout(1000)
    tasks = sorted(page.evaluate("() => tasks"), reverse=True)
    page.context.close()
    return tasks, taken


def grown(browser, state, changes):
    """Returns heap in MB, nodes and listeners before and after an hour's events, after as many as the page keeps."""
    page = opened(browser, state, scripts=[COUNT])
    page.locator(".feed-state.is-live").wait_for()
    # As many rows as the list holds at most, so that new leads replace others.
    more = page.get_by_role("button", name="Load 25 more")
    while more.is_visible():
        shown = page.locator("tr.lead").count()
        more.click()
        page.wait_for_function("shown => document.querySelectorAll('tr.lead').length > shown", arg=shown)
    page.locator("h1").evaluate("heading => { heading.tabIndex = -1; heading.focus(); scrollTo(0, 0); }")
    load(changes, page, WARM, WARM * HOUR_SECONDS / HOUR)
    before = held(page)
    load(changes, page, HOUR, HOUR_SECONDS)
    after = held(page)
    rows = page.locator("tr.lead").count()
    page.context.close()
    return before, after, rows


def held(page):
    page.wait_for_timeout(6000)
    for _ in range(3):
        page.control.send("HeapProfiler.collectGarbage")
    page.control.send("Performance.enable")
    told = {metric["name"]: metric["value"] for metric in page.control.send("Performance.getMetrics")["metrics"]}
    return told["JSHeapUsedSize"] / 1e6, int(told["Nodes"]), int(told["JSEventListeners"])


def share(times, part):
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def main():
    count = int(psql("select count(*) from conversations"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = PLAIN | {f"RATE_LIMIT_{name}": "off" for name in ("LEAD", "CONTACT", "ADMIN", "EXPORT", "DEFAULT")} | {
            "DATABASE_URL_ADMIN": URL.replace("//leadpipe@", "//leadpipe_admin@"), "DATABASE_URL_INTAKE": URL.replace("//leadpipe@", "//leadpipe_intake@"),
            "ADMIN_API_KEY": KEY, "PORT": str(PORT), "LEADPIPE_STATE": folder, "LEADPIPE_PROCESS": "stream"}
        gateway = subprocess.Popen([f"{BIN}/gateway"], env=settings, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        changes = Changes()
        try:
            for _ in range(100):
                try:
                    http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).connect()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
            measure(browser, log_in(browser), changes, count)
        finally:
            changes.close()
            browser.close()
            gateway.terminate()
            gateway.wait(20)


def log_in(browser):
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{ORIGIN}/admin")
    page.locator("#key").fill(KEY)
    page.keyboard.press("Enter")
    page.locator("nav.side").wait_for()
    state = context.storage_state()
    context.close()
    return state


def measure(browser, state, changes, count):
    table(f"the panel in Chromium, among {count:,} conversations", "p50", "p99 or the most", "measured")
    empty, filled, sizes, requests = first_views(browser, state)
    for name, times in ("first view of the inbox, empty cache", empty), ("the same with the files in the cache", filled):
        row(f"{name}, CPU slowed {SLOWED} ×: until the first lead is drawn", f"{statistics.median(times):.0f} ms", f"{max(times):.0f} ms",
            f"{len(times)} views")
    row("bytes transferred for the first view, with its numbers and the banner", f"{statistics.median(sizes) / 1000:.0f} kB", f"{max(sizes) / 1000:.0f} kB",
        f"{statistics.median(requests):.0f} replies")
    times = on_screen(browser, state, changes)
    row("a change by another session on screen, from the response to its commit", f"{share(times, 0.5):.0f} ms", f"{share(times, 0.99):.0f} ms",
        f"{len(times)} changes")
    longest = {}
    for slowed in 1, SLOWED:
        tasks, taken = busy(browser, state, changes, slowed)
        longest[slowed] = max(tasks, default=0)
        row(f"tasks of 50 ms and more during 1,000 events in {taken:.1f} s{f', CPU slowed {slowed} ×' if slowed > 1 else ''}", f"{len(tasks)} tasks",
            f"{longest[slowed]:.0f} ms" if tasks else "none", "a tenth of the events are new leads")
    before, after, rows = grown(browser, state, changes)
    row(f"heap after an hour's events ({HOUR:,} in {HOUR_SECONDS} s, after {WARM:,} before them)", f"{before[0]:.1f} MB before", f"{after[0]:.1f} MB after",
        f"{rows} rows; nodes {before[1]:,} and {after[1]:,}, listeners {before[2]:,} and {after[2]:,}")
    keep(panel={"first": statistics.median(empty), "bytes": max(sizes) / 1000, "change": share(times, 0.99), "task": longest[1],
                "growth": after[0] - before[0]})


main()
