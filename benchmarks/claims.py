"""Measures claims in tables with many deliveries that are not due: claims.py DATABASE_URL FINISHED FUTURE

Prints a table of p50 and p99 for claims that get ten deliveries and for claims that get none. Uses one session of psql and its
timing, which includes the round trip."""

import os
import re
import subprocess
import sys

from measure import keep

URL, FINISHED, FUTURE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ROUNDS = 300
ROUND = r"""
\timing on
select claim_deliveries('{"worker": "bench", "channels": [{"channel": "slack", "limit": 10}]}') -> 'deliveries' as claimed \gset
\timing off
select jsonb_array_length(:'claimed');
select begin_deliveries(jsonb_build_object('deliveries', :'claimed'::jsonb)) is null;
select record_outcomes(jsonb_build_object('outcomes', (
  select coalesce(jsonb_agg(d || '{"class": "delivered", "status": "sent", "burned": true}'), '[]') from jsonb_array_elements(:'claimed') d))) is null;
"""


def psql(script):
    done = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", URL], input=script, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def timed(rounds):
    """Returns the claims' times in milliseconds and the number of deliveries they got. Omits the first claims,
    which compile the function."""
    said = psql(ROUND * (rounds + 5))
    milliseconds = [float(ms) for ms in re.findall(r"^Time: ([\d.]+) ms", said, re.MULTILINE)][5:]
    return sorted(milliseconds), sum(map(int, re.findall(r"^\d+$", said, re.MULTILINE)))


def row(name, milliseconds):
    half, most = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.99)]
    print(f"| {name} | {half:.2f} | {most:.2f} | {len(milliseconds)} |", flush=True)


psql(f"""
    set synchronous_commit = off;
    insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000be', 'Bench') on conflict do nothing;
    insert into lead_events (event_type, conversation_id, planned_at, processed, processed_at, created_at)
      select 'lead.created', '00000000-0000-4000-8000-0000000000be', now(), n <= {FINISHED}, now(), now() - make_interval(secs => {FINISHED + FUTURE} - n)
      from generate_series(1, {FINISHED + FUTURE + ROUNDS * 12}) n;
    insert into notification_logs (lead_event_id, conversation_id, channel, status, next_attempt_at, created_at)
      select id, conversation_id, 'slack', case when processed then 'sent' when created_at < now() then 'failed' else 'pending' end,
        case when not processed and created_at < now() then now() + interval '1 day' else now() end, created_at
      from lead_events where conversation_id = '00000000-0000-4000-8000-0000000000be';
    vacuum analyze lead_events; vacuum analyze notification_logs;""")
among = os.environ.get("CLAIM_AMONG", "")
print(f"| a claim among {among}{FINISHED:,} finished and {FUTURE:,} future deliveries | p50 ms | p99 ms | claims |\n|---|---|---|---|")
milliseconds, got = timed(ROUNDS)
assert got == 10 * (ROUNDS + 5), got
row("of ten that are due", milliseconds)
keep(claim=milliseconds[int(len(milliseconds) * 0.99)])
while timed(20)[1]:
    pass
row("when nothing is due", timed(ROUNDS)[0])
psql("delete from lead_events where conversation_id = '00000000-0000-4000-8000-0000000000be';"
     " delete from conversations where id = '00000000-0000-4000-8000-0000000000be'")
