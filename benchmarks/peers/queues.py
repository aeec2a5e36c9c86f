"""The queues of deliveries.py, set up as their documentation recommends:

queues.py pgqueuer|procrastinate install DATABASE_URL
queues.py pgqueuer|procrastinate load DATABASE_URL < PAYLOADS     adds a job for each line, all at once
queues.py pgqueuer|procrastinate produce DATABASE_URL             adds a job for each line of stdin and prints a line for each
queues.py pgqueuer|procrastinate work DATABASE_URL CONCURRENCY    runs jobs that do nothing
queues.py pgqueuer|procrastinate clock DATABASE_URL CONCURRENCY   runs jobs that print their start time in nanoseconds
"""

import asyncio
import json
import logging
import sys
import time

import asyncpg
import procrastinate
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries


def began():
    if ACTION == "clock":
        print(time.time_ns(), flush=True)


async def each_line(enqueue):
    """Adds a job for each line. Waiting for a line blocks the event loop, which has nothing else to do."""
    for line in sys.stdin:
        await enqueue(line)
        print(flush=True)


async def pgqueuer():
    # One connection for each queue manager, as pgqueuer's page on tuning recommends; its command `pgq` runs on uvloop.
    driver = AsyncpgDriver(await asyncpg.connect(URL))
    queries = Queries(driver)
    match ACTION:
        case "install":
            await queries.install()
            await queries.optimize_autovacuum()
        case "load":
            payloads = [line.encode() for line in sys.stdin]
            await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))
        case "produce":
            await each_line(lambda line: queries.enqueue("noop", line.encode()))
        case _:
            worker = PgQueuer(driver)

            @worker.entrypoint("noop")
            async def noop(job):
                began()

            await worker.run(batch_size=CONCURRENCY)


async def procrastinate_():
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(
        conninfo=URL, **({"max_size": CONCURRENCY + 2} if CONCURRENCY else {})))

    @app.task
    async def noop(payload):
        began()

    async with app.open_async():
        match ACTION:
            case "install":
                await app.schema_manager.apply_schema_async()
            case "load":
                await noop.batch_defer_async(*[{"payload": json.loads(line)} for line in sys.stdin])
            case "produce":
                await each_line(lambda line: noop.defer_async(payload=json.loads(line)))
            case _:
                await app.run_worker_async(concurrency=CONCURRENCY)


PEER, ACTION, URL = sys.argv[1:4]
logging.getLogger("procrastinate").setLevel(logging.ERROR)
CONCURRENCY = int(sys.argv[4]) if len(sys.argv) > 4 else None
if PEER == "pgqueuer":
    uvloop.run(pgqueuer())
else:
    asyncio.run(procrastinate_())
