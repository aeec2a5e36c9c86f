"""PostgreSQL by Patroni: its primary is killed, cut off and frozen while leads come in. No lead that got its 201 is missing,
and capture is back in time. DRILL_FAULTS sets how often (20), DRILL_SEED the mixture (1), DRILL_FOLDER where logs are kept."""

import os
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from blows import BLOWS, plan
from nodes import Nodes
from senders import Senders
from witness import Witness

from cluster import leadpipe
from common import until
from instance import Instance
from ledger import CHANNELS, spread
from network import Network, obstacle
from sink import Sink

FAULTS, SEED = (int(os.environ.get(f"DRILL_{name}", default)) for name, default in [("FAULTS", 20), ("SEED", 1)])
# The promise, in seconds: capture is back.
BACK = 20
# The node is repaired: it is a standby again, perhaps with a new copy of the data.
WHOLE = 120
COLUMNS = "{:>2}  {:<28}{:<12}{:>8}{:>8}{:>9}{:>8}{:>9}"


class Drill(ExitStack):
    def __init__(self, folder, seed):
        super().__init__()
        self.folder, self.dice, self.rows, self.witnessed = folder, random.Random(seed), [], []

    def start(self):
        network = self.enter_context(Network())
        application = network.host("application")
        self.nodes = self.enter_context(Nodes(network, application))
        self.callback(self.keep_logs)
        self.watchers = self.enter_context(ThreadPoolExecutor(1))
        # From here on, this thread and the threads and processes that it starts are on the application's host.
        self.enter_context(application.inside())
        url = self.nodes.make("leadpipe")
        self.database = self.nodes.database("leadpipe")
        done = leadpipe("migrate", DATABASE_URL=url, seconds=120)
        assert done.returncode == 0, done.stderr
        Witness.prepare(self.database)
        # Slow enough that messages are being sent when something happens.
        self.sink = self.enter_context(Sink(self.folder, {channel: [{"fail": "slow", "milliseconds": 30, "percent": 100}] for channel in CHANNELS}))
        self.instance = self.enter_context(Instance(DATABASE_URL=url, **self.sink.settings))

    def keep_logs(self):
        keep = os.environ.get("DRILL_FOLDER")
        if keep:
            for path in self.nodes.folder.glob("**/*.log"):
                target = Path(keep) / path.relative_to(self.nodes.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
            (Path(keep) / "leadpipe.log").write_text(getattr(self, "instance", None) and self.instance.log or "")

    # ── One fault ──

    def strike(self, number, kind, senders):
        blow, nodes = BLOWS[kind], self.nodes
        victim = until(nodes.primary, 20, "a primary")
        others = [node for node in nodes.nodes if node is not victim]
        time.sleep(self.dice.uniform(0, 1.5))
        with Witness(victim, "leadpipe", f"{number}") as witness:
            until(lambda: len(witness.acknowledged) >= 2, 15, "the witness's first rows")
            began = time.monotonic()
            blow.begin(victim, others)
            struck = time.monotonic()
            demotion = self.watchers.submit(self.wait_for_demotion, victim, began) if blow.is_cut else None
            try:
                seconds = self.wait_for_successor(began, others) if blow.fails_over else None
                senders.wait_for(10, began + (seconds or 1), BACK + 10)
                demoted = demotion.result() if demotion else None
                time.sleep(self.dice.uniform(0, 3))
            finally:
                repaired = time.monotonic()
                blow.end(victim, others)
            primary, whole = nodes.wait_until_whole(WHOLE)
            senders.wait_for(10, time.monotonic(), BACK)
        ended = time.monotonic()
        acknowledged = witness.acknowledged
        # What was sent to the node after the cut cannot have reached a standby before the repair.
        if blow.is_cut:
            late = [row for row in acknowledged if row[1] > struck and row[2] < repaired]
            assert not late, f"{victim.name} acknowledged rows while it was cut off: {late}"
        self.witnessed += [name for name, _, _ in acknowledged]
        # The times without any 201: from the fault to the repair, and from the repair until all nodes are back.
        away, later = senders.gap(began, repaired), senders.gap(repaired, ended)
        self.rows.append((number, kind, f"{victim.name} > {primary.name}", seconds, away, demoted, later, whole))
        print(self.row(self.rows[-1]), flush=True)
        assert away <= BACK and later <= BACK, f"capture was away for {max(away, later):.1f} s"

    @staticmethod
    def wait_for_successor(began, others):
        """Returns when another node said that it is the primary."""
        until(lambda: any(node.ask("/primary", 1) == 200 for node in others), BACK + 10, "a new primary")
        return time.monotonic() - began

    @staticmethod
    def wait_for_demotion(victim, began):
        """Asks the cut-off node itself."""
        until(lambda: not victim.accepts_writes(), BACK, f"{victim.name} to demote itself")
        return time.monotonic() - began

    # ── Report ──

    @staticmethod
    def row(row):
        return COLUMNS.format(*row[:3], *("" if value is None else f"{value:.1f}" for value in row[3:]))

    def check(self, senders):
        number = senders.number
        assert len(senders.captured) == number, f"{number - len(senders.captured)} leads got no 201"
        seconds = senders.wait_until_sent(self.database, 400)
        ledger = senders.check(self.database, self.sink, repeats=True)
        assert (stored := self.database.count("conversations")) == number, f"{number} leads sent, {stored} stored"
        there = set(self.database.text("select name from witness").split())
        lost = set(self.witnessed) - there
        assert not lost, f"rows that the old primary acknowledged are missing: {sorted(lost)[:10]}"
        repeats = sum(len(d.taken) - 1 for d in ledger.deliveries.values())
        print(f"\n{number} leads got a 201, {stored} are stored; refused first: {dict(senders.refused)}; Retry-After: {dict(senders.waits)}; "
              f"longest request {senders.longest:.1f} s")
        print(f"{len(ledger.deliveries)} messages, {repeats} repeats, all marked; the last was sent {seconds:.1f} s after the last lead")
        print(f"{len(self.witnessed)} rows acknowledged beside the primaries, none missing; {len(there - set(self.witnessed))} more were stored")
        print(f"seconds without a 201 after a fault: {spread(row[4] for row in self.rows)}; after a repair: {spread(row[6] for row in self.rows)}")
        return ledger


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.seconds(240 + FAULTS * 3 * WHOLE)
def test_no_lead_is_lost_when_the_primary_fails(tmp_path):
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with Drill(tmp_path, SEED) as drill:
            drill.start()
            print("\n" + COLUMNS.format("", "primary", "", "new", "no 201", "demoted", "no 201", "repaired"))
            print(COLUMNS.format("", "", "", "after", "for", "after", "later", "after"), flush=True)
            with Senders(drill.instance, pause=0.15) as senders:
                senders.wait_for(20, 0, 30)
                for number, kind in enumerate(plan(drill.dice, FAULTS), 1):
                    drill.strike(number, kind, senders)
            drill.check(senders)
    finally:
        signal.signal(signal.SIGTERM, before)
