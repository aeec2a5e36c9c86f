"""The list in every order has the rows of the export, each once: with equal and absent values, while leads arrive, and
while the word index is behind."""

import contextlib
import random
import subprocess
import threading

import pytest
from test_export import export, filled, listed

from admin import KEY
from instance import Instance

SORTS = ["recent", "oldest", "hot", "warm", "cold", "highest-budget", "lowest-budget", "follow-up", "sla"]


@pytest.fixture(scope="module")
def base(cluster):
    database = cluster.migrated()
    # One amount or none for all: the time and the id decide.
    database.run(filled(600) + """
      update conversations set budget_amount = case when lead_score % 3 > 0 then 1000000 end, follow_up_date = null where lead_score > 20""")
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def instance(base):
    with Instance(DATABASE_URL=base.url, ADMIN_API_KEY=KEY, ENABLE_NOTIFICATION_WORKER="false") as instance:
        yield instance


@contextlib.contextmanager
def indexing_stopped(base):
    """Another session that indexes and does not end: the word index stays behind."""
    session = subprocess.Popen(["psql", "-XqAt", base.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    session.stdin.write("insert into leadpipe.index_lock default values on conflict do nothing;\n")
    session.stdin.write("begin; select 'locked' from leadpipe.index_lock for update;\n")
    session.stdin.flush()
    assert session.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        session.communicate("rollback;\n", timeout=20)


def ids(rows):
    return [row["id"] for row in rows]


@pytest.mark.parametrize("sort", SORTS)
def test_a_list_has_the_rows_of_the_export_while_the_index_is_behind(instance, base, sort):
    with indexing_stopped(base):
        base.run("""
          insert into conversations (customer_name, budget_amount, lead_score, created_at)
          select 'New ' || n, case when n % 2 = 0 then n % 3 * 500000 end, 50, now() - n * interval '1 hour' from generate_series(1, 150) n;
          update conversations set budget_amount = 77 where customer_name like 'Person %5'""")
        rows = listed(instance, sort=sort)
        assert ids(rows) == ids(export(instance.port, sort=sort)[1])
        assert len(rows) == base.count("conversations") and len(set(ids(rows))) == len(rows)
        filtered = listed(instance, sort=sort, status=["new"], scoreRange="20:90")
        assert ids(filtered) == ids(export(instance.port, sort=sort, status=["new"], scoreRange="20:90")[1])


@pytest.mark.parametrize("sort", SORTS)
def test_each_row_is_in_a_list_once_although_leads_arrive(instance, base, sort):
    before = set(base.text("select id from conversations").split())
    stop = threading.Event()

    def capture():
        dice = random.Random(sort)
        while not stop.is_set():
            budget = random.Random(dice.random()).choice([{}, {"budget": "1M AED"}, {"budget": "500k"}])
            instance.capture({"customerName": "Late Lead", "customerPhone": f"+97150{dice.randrange(10 ** 7):07}", "intent": "buy", **budget})

    writer = threading.Thread(target=capture)
    writer.start()
    try:
        found = ids(listed(instance, sort=sort))
    finally:
        stop.set()
        writer.join(30)
    assert len(set(found)) == len(found) and before <= set(found), (len(found), len(before), len(before - set(found)))
