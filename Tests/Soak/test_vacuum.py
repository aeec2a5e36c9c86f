"""What autovacuum does with the settings of the tables while leads arrive and are delivered for long. VACUUM_MINUTES sets
how long (30), VACUUM_RATE how many leads a second (150: half of what two cores capture and deliver to three channels)."""

import os

import pytest

from common import until
from instance import Instance
from load import Loaded, other_than

MINUTES, RATE = (int(os.environ.get(f"VACUUM_{name}", default)) for name, default in [("MINUTES", 30), ("RATE", 150)])
# The tables whose rows change state.
CHANGING = ("conversations", "lead_events", "notification_logs")
SIZES = """
  select s.relname as name, s.n_live_tup as live, s.n_dead_tup as dead, s.autovacuum_count as vacuums,
    s.n_tup_upd as updates, s.n_tup_hot_upd as hot, pg_table_size(s.relid) as heap, pg_indexes_size(s.relid) as indexes
  from pg_stat_user_tables s
  where s.schemaname = 'public' and s.n_tup_ins > 0 order by s.n_tup_ins desc"""


class Complete(Loaded):
    """An instance with its own cluster, its worker and its sink, as `leadpipe up` starts it."""

    def __init__(self, **settings):
        Instance.__init__(self, **settings)
        self.sent = 0


@pytest.mark.seconds(MINUTES * 60 + 300)
def test_tables_stay_small_under_a_steady_load():
    with Complete() as instance:
        instance.warm()
        minutes = []
        for minute in range(MINUTES):
            answers = instance.load(60, RATE, 32)
            assert not other_than(answers, 201) and not answers["resets"] and not answers["unanswered"], answers
            # The program that sends is late if other work keeps the machine busy.
            assert answers["unsent"] <= RATE * 60 // 100, answers
            tables = {row.pop("name"): row for row in instance.database.rows(SIZES)}
            backlog = instance.database.count("notification_logs", "status in ('pending', 'sending')")
            minutes.append((answers["leads"], tables, backlog))
            if minute % 5 == 4 or minute == MINUTES - 1:
                show(minute + 1, *minutes[-1])
        until(lambda: instance.database.count("lead_events", "not processed") == 0, 120, "the last delivery")
        check(minutes)


def show(minute, times, tables, backlog):
    print(f"minute {minute}: p50 {times['p50']} ms, p99 {times['p99']} ms, {backlog} deliveries open")
    for name, t in tables.items():
        rows = max(t["live"], 1)
        print(f"  {name:24}{t['live']:>9} rows {t['dead']:>7} dead {t['vacuums']:>3} vacuums"
              f" {t['hot'] / max(t['updates'], 1):>5.0%} of {t['updates']} updates HOT; per row {t['heap'] // rows} + {t['indexes'] // rows} bytes")


def check(minutes):
    third = max(len(minutes) // 3, 1)
    first, last = minutes[:third], minutes[-third:]
    # The bytes of a row do not grow: the space of old versions is used again.
    for name in CHANGING:
        began, ended = first[-1][1][name], last[-1][1][name]
        for part in ("heap", "indexes"):
            before, after = (t[part] / t["live"] for t in (began, ended))
            assert after <= 1.15 * before, (name, part, before, after)
        assert ended["vacuums"] > 0, (name, ended)
        # Vacuum begins at a number of old versions that does not grow with the table.
        assert ended["dead"] <= 200_000, (name, ended)
    # Deliveries keep up, and leads do not wait longer than at the beginning.
    assert all(backlog <= 60 * RATE for _, _, backlog in minutes), [backlog for *_, backlog in minutes]
    p99 = [sorted(times["p99"] for times, *_ in part)[len(part) // 2] for part in (first, last)]
    assert p99[1] <= max(2 * p99[0], 50), p99
