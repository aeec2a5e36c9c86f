"""Two gateways, a CGI server, two workers and a database on hosts of their own, in network namespaces. The limits hold over
all entry hosts together; one host that is cut off, paused or without power loses no lead, and repeats are marked."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from host_faults import Run
from ledger import lead
from network import obstacle
from several_hosts import Site

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
COUNT, SECONDS = 10, 6


@pytest.mark.seconds(240)
def test_hosts_that_fail_one_at_a_time_lose_nothing_and_repeats_are_marked(tmp_path):
    with Site(tmp_path, RATE_LIMIT_LEAD="600/60") as site:
        Run(site, seed=9, faults=6, longest=4, pause=0.25).check(patience=40, hurries=True)


class Asker:
    """Sends leads of its own as one client, and keeps what was admitted and when."""

    def __init__(self, site, client):
        self.site, self.client, self.number, self.lock = site, client, client * 10_000, threading.Lock()
        self.results = []

    def ask(self, entry):
        with self.lock:
            self.number += 1
            number = self.number
        before = time.monotonic()
        status, headers, document = self.site.ask(entry, "/api/chatbot/leads", lead(number), self.client)
        assert status in (201, 429), (status, document)
        assert headers["ratelimit-policy"] == f'"lead";q={COUNT};w={SECONDS}'
        self.results.append((status, before, time.monotonic(), entry))
        return status, headers

    def ask_all_the_time(self, entry, end):
        while time.monotonic() < end:
            self.ask(entry)
            time.sleep(0.05)


def wait_as_told(asker, first, second):
    """Uses up the limit at one host, waits as told there, and is admitted at another."""
    headers = next(headers for status, headers in iter(lambda: asker.ask(first), None) if status == 429)
    time.sleep(int(headers["retry-after"]))
    assert asker.ask(second)[0] == 201, f"a client that waited as {first.host.name} said was refused by {second.host.name}"


@pytest.mark.seconds(120)
def test_one_limit_holds_over_gateways_and_cgi_together(tmp_path):
    with Site(tmp_path, RATE_LIMIT_LEAD=f"{COUNT}/{SECONDS}") as site:
        busy, patient = Asker(site, 0), [Asker(site, client) for client in (1, 2, 3)]
        end = time.monotonic() + 3 * SECONDS
        with ThreadPoolExecutor(12) as pool:
            runs = [pool.submit(busy.ask_all_the_time, entry, end) for entry in site.entries for _ in range(2)]
            runs += [pool.submit(wait_as_told, asker, site.entries[n], site.entries[n - 1]) for n, asker in enumerate(patient)]
            for run in runs:
                run.result()
        admitted = [result for result in busy.results if result[0] == 201]
        # A request was admitted between its call and its reply, so these were certainly within one period.
        most = max(sum(1 for _, before, after, _ in admitted if before >= start and after < start + SECONDS) for _, start, _, _ in admitted)
        assert most <= COUNT, f"{most} requests were admitted within {SECONDS} s"
        # The limit is used up, and every host has used some of it.
        assert len(admitted) >= 3 * COUNT and len(busy.results) > 10 * COUNT, (len(admitted), len(busy.results))
        assert {entry for *_, entry in admitted} == set(site.entries)
        # Each client is counted by its own address, at every host.
        counted = set(site.database.text("select distinct key from leadpipe.rate_counts where rate = 'lead'").split())
        assert counted == set(site.clients.addresses[:4])
