"""Clients send leads to every entry host of a site while one host after another is cut off, paused or loses its power."""

import random
import threading
import time
from collections import Counter
from itertools import product

from common import until
from kills import wait_for_all
from ledger import lead
from traffic import Traffic

# What happens to a host, and what ends it.
FAULTS = {
    "unplugged": (lambda machine: machine.host.unplug(), lambda machine: machine.host.plug()),
    "silent": (lambda machine: machine.host.drop(), lambda machine: machine.host.plug()),
    "paused": (lambda machine: machine.host.pause(), lambda machine: machine.host.resume()),
    "powered off": (lambda machine: machine.power_off(), lambda machine: (machine.host.plug(), machine.boot())),
}
# The time limits in seconds of a call of the database, a handler and a supervisor's longest wait, together.
RECOVERY = 20
# When the database asks the peer of an idle session for a sign of life, in seconds.
KEEPALIVE = 90


class Senders(Traffic):
    """Clients that send leads to the entry hosts, two to each. A lead without a 201 is sent again with its key, to the
    same host or to any."""

    EACH = 2

    def __init__(self, site, seed, pause):
        super().__init__(None, pause)
        self.site, self.seed, self.lock = site, seed, threading.Lock()
        self.by_entry, self.gives_up = Counter(), False
        self.threads = [threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(len(site.entries) * self.EACH)]

    def _client(self, client):
        dice = random.Random(self.seed * 100 + client)
        home = self.site.entries[client % len(self.site.entries)]
        while not self.is_over.wait(dice.uniform(0, 2 * self.pause)):
            with self.lock:
                self.number += 1
                number = self.number
            entry = home
            # The last lead, too, is sent until it is stored.
            while not self.offer(entry, number, client) and not self.gives_up:
                time.sleep(0.3)
                entry = home if dice.random() < 0.5 else dice.choice(self.site.entries)

    def offer(self, entry, number, client):
        document = lead(number)
        key = document.pop("idempotencyKey")
        try:
            status, headers, reply = self.site.ask(entry, "/api/chatbot/leads", document, client, seconds=6, **{"Idempotency-Key": key})
        except OSError as error:
            status, headers = type(error).__name__, {}
        with self.lock:
            if status == 201:
                self.captured[number] = reply["id"]
                self.by_entry[entry] += 1
            else:
                self.refused[f"{entry.host.name} {status}"] += 1
        if status == 429:
            time.sleep(min(int(headers["retry-after"]), 60))
        assert status != 200 and status not in range(400, 429), (status, reply)
        return status == 201

    @property
    def stored(self):
        return {entry.host.name: count for entry, count in self.by_entry.items()}

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, failure, *_):
        self.gives_up = failure is not None
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)


def plan(dice, count):
    """So many kinds of victims with what happens to each. Every kind of host comes as often as the others, and so does
    every fault."""
    victims, faults = ["gateway", "cgi", "worker", "database"], list(FAULTS)
    cells = list(product(range(len(victims)), range(len(faults))))
    # Diagonals of the table: four cells with different victims and different faults.
    cells.sort(key=lambda cell: ((cell[0] + cell[1]) % len(faults), cell))
    first = dice.randrange(len(faults)) * len(victims)
    chosen = [cells[(first + n) % len(cells)] for n in range(count)]
    dice.shuffle(chosen)
    return [(victims[victim], faults[fault]) for victim, fault in chosen]


class Run:
    def __init__(self, site, seed, faults, longest, pause):
        self.site, self.seed, self.dice = site, seed, random.Random(seed)
        self.plan, self.longest, self.pause = plan(self.dice, faults), longest, pause

    def check(self, patience, hurries):
        site = self.site
        with Senders(site, self.seed, self.pause) as senders:
            self.wait_for_leads(senders, site.entries)
            for kind, fault in self.plan:
                self.strike(senders, kind, fault)
        number = senders.number
        print(f"seed {self.seed}: {number} leads; stored by {senders.stored}; "
              f"refused first {dict(sorted(senders.refused.items()))}", flush=True)
        assert len(senders.captured) == number, f"{number - len(senders.captured)} leads got no 201"
        began = time.monotonic()
        wait_for_all(site.database, patience, hurries)
        print(f"all sent {time.monotonic() - began:.0f} s after the last lead", flush=True)
        time.sleep(1)
        self.look(senders)

    def machine(self, kind):
        site = self.site
        return {"gateway": lambda: self.dice.choice(site.gateways), "cgi": lambda: site.cgi, "worker": lambda: self.dice.choice(site.workers),
                "database": lambda: site.cluster}[kind]()

    def strike(self, senders, kind, fault):
        site, machine = self.site, self.machine(kind)
        time.sleep(self.dice.uniform(0, 0.5))
        begin, end = FAULTS[fault]
        seconds = self.dice.uniform(1, self.longest)
        began = time.monotonic()
        begin(machine)
        try:
            time.sleep(seconds)
            if kind != "database":
                # The other hosts do not wait for it: they store leads and send them.
                sent = len(site.sink.messages)
                self.wait_for_leads(senders, [entry for entry in site.entries if entry is not machine])
                until(lambda: len(site.sink.messages) >= sent + 3, RECOVERY, f"messages while {machine.host.name} is {fault}")
        finally:
            end(machine)
        lasted, began = time.monotonic() - began, time.monotonic()
        for entry in site.entries:
            site.wait_until_well(entry, RECOVERY)
        well = time.monotonic() - began
        self.wait_for_leads(senders, site.entries)
        print(f"{machine.host.name} {fault} for {lasted:.1f} s: /health ok {well:.1f} s later, leads at every host {time.monotonic() - began:.1f} s later",
              flush=True)

    def wait_for_leads(self, senders, entries):
        before = Counter(senders.by_entry)
        until(lambda: all(senders.by_entry[entry] >= before[entry] + 2 for entry in entries), RECOVERY,
              f"two more leads at each host; {senders.stored}, refused {dict(senders.refused)}")

    # ── Checks ──

    def look(self, senders):
        site = self.site
        ledger = senders.check(site.database, site.sink, repeats=True, late=True)
        deliveries = ledger.deliveries.values()
        stored = site.database.count("conversations")
        assert stored == site.database.count("lead_events", "event_type = 'lead.created' and processed") == len(senders.captured)
        repeats = sum(len(d.taken) - 1 for d in deliveries)
        print(f"repeats {repeats}, all marked; first messages marked {len(ledger.marked_first_messages())}; "
              + "; ".join(f"{channel} {dict(ledger.classes(channel))}" for channel in ("slack", "telegram", "email")))
        # Nothing is left behind.
        assert site.database.value("select count(*) from pg_locks where locktype = 'advisory'") == "0"
        assert site.database.count("notification_logs", "lease_until is not null or next_attempt_at is not null") == 0
        assert site.database.value("select count(*) from pg_stat_activity where state like 'idle in transaction%'") == "0"
        for entry in site.entries:
            site.wait_until_well(entry, RECOVERY)
        # A new client has its whole limit, over all hosts together: five in a minute.
        form = {"customerName": "Sara", "customerEmail": "sara@example.com"}
        statuses = [site.ask(site.entries[n % 3], "/api/contact", {**form, "message": f"Message {n}"}, site.CLIENTS - 2)[0] for n in range(9)]
        assert statuses == [201] * 5 + [429] * 4
        # A session that is just being opened has the kernel's two hours until PostgreSQL has read its options.
        until(lambda: site.cluster.keepalives() <= KEEPALIVE, 5, "sessions whose peers are soon asked for a sign of life")
