-- Actions of an operator: lists, retries, replays, ending a pause. And pruning of finished rows.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(45);
delete from public.lead_events;
delete from public.notification_channels;
delete from public.notification_attempts;
delete from public.idempotency_keys;
delete from public.workers;

create temp table step (name text primary key, r jsonb);
create function pg_temp.uuid(p_kind text, p_number integer) returns uuid language sql as
  $$ select ('40000000-0000-4000-8000-' || p_kind || lpad(p_number::text, 11, '0'))::uuid $$;
-- Event n with a finished delivery n in the given state, n days old.
create function pg_temp.make(n integer, p_status text, p_class text, p_channel text default 'slack', p_next timestamptz default null) returns void language plpgsql as $$
begin
  insert into public.lead_events (id, event_type, conversation_id, planned_at, processed, processed_at, created_at)
  values (pg_temp.uuid('e', n), 'lead.created', '40000000-0000-4000-8000-000000000001', now(), p_next is null and p_status in ('sent', 'failed'),
    case when p_next is null and p_status in ('sent', 'failed') then now() - make_interval(days => n) end, now() - make_interval(days => n));
  insert into public.notification_logs (id, lead_event_id, conversation_id, channel, status, outcome_class, error_message, next_attempt_at, retry_count, created_at)
  values (pg_temp.uuid('d', n), pg_temp.uuid('e', n), '40000000-0000-4000-8000-000000000001', p_channel::public.notification_channel, p_status, p_class,
    case p_status when 'failed' then 'why ' || n end, p_next, 1, now() - make_interval(days => n));
  insert into public.notification_attempts (delivery, fence, attempt, started_at, class) values (pg_temp.uuid('d', n), 1, 1, now() - make_interval(days => n), p_class);
end
$$;
create function pg_temp.numbers(p_deliveries jsonb) returns integer[] language sql as
  $$ select array_agg(right(d ->> 'id', 3)::integer) from jsonb_array_elements(p_deliveries) d $$;
insert into public.conversations (id, customer_name) values ('40000000-0000-4000-8000-000000000001', 'Lead');
select pg_temp.make(1, 'sent', 'delivered'), pg_temp.make(2, 'failed', 'permanent'), pg_temp.make(3, 'failed', 'unknown'),
  pg_temp.make(4, 'failed', 'retry', 'telegram', now() + interval '1 hour'), pg_temp.make(5, 'pending', null, 'telegram'),
  pg_temp.make(6, 'sending', null), pg_temp.make(7, 'sent', 'delivered', 'telegram');
update public.notification_logs set lease_until = now() + interval '1 minute', leased_by = 'w' where status = 'sending';

-- Listing
select is(pg_temp.numbers(public.list_deliveries('{}') -> 'data'), '{1,2,3,4,5,6,7}', 'deliveries are listed newest first');
select is(pg_temp.numbers(public.list_deliveries(q) -> 'data'), want, 'by ' || q::text) from (values
  ('{"status": "failed"}'::jsonb, '{2,3,4}'::integer[]), ('{"status": "waiting"}', '{4}'), ('{"status": "given-up"}', '{2}'),
  ('{"status": "parked"}', '{3}'), ('{"channel": "telegram"}', '{4,5,7}'), ('{"class": "delivered"}', '{1,7}'),
  (jsonb_build_object('since', now() - interval '2.5 days'), '{1,2}'), ('{"status": "sent", "channel": "slack"}', '{1}'), ('{"class": "config"}', null)) v (q, want);
select is((pg_temp.numbers(r -> 'data'), r ->> 'nextCursor' is not null)::text, '("{1,2}",t)', 'a limited list has a cursor for the next page') from (select public.list_deliveries('{"limit": 2}')) x (r);
select is(d ->> 'state', (array['sent', 'given-up', 'parked', 'waiting', 'pending', 'sending', 'sent'])[n], 'state of ' || n)
from jsonb_array_elements(public.list_deliveries('{}') -> 'data') with ordinality x (d, n);

-- Showing
select is((r ->> 'kind', r #>> '{delivery,reason}', jsonb_array_length(r -> 'attempts'))::text, '(delivery,"why 2",1)', 'a delivery is shown with its attempts') from (select public.show_delivery(jsonb_build_object('id', pg_temp.uuid('d', 2)))) x (r);
select is((r ->> 'kind', r -> 'deliveries')::text, (row ('event'::text, jsonb_build_array(pg_temp.uuid('d', 2))))::text, 'an event is shown with its deliveries') from (select public.show_delivery(jsonb_build_object('id', pg_temp.uuid('e', 2)))) x (r);
select is(public.show_delivery('{"id": "40000000-0000-4000-8000-00000000ffff"}'), '{"kind": "none"}', 'an unknown id is shown as none');

-- Retrying
insert into step values ('dry', public.retry_deliveries(jsonb_build_object('channel', 'slack', 'dryRun', true)));
select is(pg_temp.numbers(r -> 'deliveries'), '{3,2}', 'a dry run lists the deliveries that would be retried') from step where name = 'dry';
select is((select count(*) from public.notification_logs where retried_at is not null), 0::bigint, 'a dry run retries nothing');
insert into step values ('retry', public.retry_deliveries(jsonb_build_object('by', 'op', 'ids', jsonb_build_array(pg_temp.uuid('d', 3), pg_temp.uuid('d', 4), pg_temp.uuid('d', 1), pg_temp.uuid('d', 99)))));
select is(pg_temp.numbers(r -> 'deliveries'), '{4,3}', 'deliveries that are given up or waiting are retried') from step where name = 'retry';
select is((select count(*) from public.notification_logs where due_at <= clock_timestamp() and status = 'failed'), 2::bigint, 'retried deliveries are due immediately');
select is(r -> 'refused', jsonb_build_array(jsonb_build_object('id', pg_temp.uuid('d', 1), 'status', 'sent'), jsonb_build_object('id', pg_temp.uuid('d', 99), 'status', 'none')), 'other deliveries are listed as refused') from step where name = 'retry';
select is((processed, processed_at)::text, '(f,)', 'the event of a retried delivery is open') from public.lead_events where id = pg_temp.uuid('e', 3);
select is((select count(*) from public.conversation_timeline where title = 'Notification to be tried again via slack' and actor_name = 'op'), 1::bigint, 'the timeline has the name of the operator');
select is(public.retry_deliveries(jsonb_build_object('channel', 'slack', 'class', 'unknown', 'asOf', now())) -> 'deliveries', '[]', 'no delivery is retried twice');
select throws_ok($$ select public.retry_deliveries('{}') $$, '22023', null, 'a retry without a selection is rejected');
insert into step select 'claim', public.claim_deliveries('{"channels": [{"channel": "slack"}]}');
select is((r #>> '{deliveries,0,id}', r #> '{deliveries,0,possibleRepeat}', (r #>> '{deliveries,0,retryFrom}')::timestamptz > now() - interval '1 minute')::text,
  (row (pg_temp.uuid('d', 3)::text, 'true'::jsonb, true))::text, 'a retried delivery is claimed as a possible repeat, with a new time limit') from step where name = 'claim';

-- Replaying
select is((select count(*) from jsonb_array_elements(public.replay_events(jsonb_build_object('to', now(), 'dryRun', true)) -> 'deliveries')), 3::bigint, 'a dry run lists the finished deliveries');
select is((select count(*) from public.notification_logs where replay_of is not null), 0::bigint, 'a dry run replays nothing');
insert into step values ('replay', public.replay_events(jsonb_build_object('channel', 'slack', 'class', 'delivered', 'by', 'op', 'asOf', now())));
select is(r #>> '{deliveries,0,replayOf}', pg_temp.uuid('d', 1)::text, 'one delivery is replayed') from step where name = 'replay';
select is((select (count(*), min(status), bool_and(channel = 'slack'))::text from public.notification_logs where lead_event_id = pg_temp.uuid('e', 1)), '(2,pending,t)', 'a replay is a new delivery');
select is(processed, false, 'the event of a replay is open') from public.lead_events where id = pg_temp.uuid('e', 1);
select is((select count(*) from public.conversation_timeline where title = 'Notification to be sent once more via slack' and actor_name = 'op'), 1::bigint, 'the timeline has the replay');
select is(public.replay_events(jsonb_build_object('channel', 'slack', 'class', 'delivered', 'asOf', r -> 'asOf')) -> 'deliveries', '[]', 'no delivery is replayed twice') from step where name = 'replay';
select throws_ok($$ select public.replay_events('{"by": "op"}') $$, '22023', null, 'a replay without a selection is rejected');
select is(public.claim_deliveries('{"channels": [{"channel": "slack"}]}') #> '{deliveries,0,possibleRepeat}', 'true', 'a replay of a sent delivery is marked as a possible repeat');

-- Channels
insert into public.notification_channels (channel, paused_until, paused_since, pause_class, pause_reason) values ('telegram', now() + interval '1 hour', now() - interval '1 hour', 'throttled', 'HTTP 429');
select is((c ->> 'class', c -> 'waiting', c -> 'givenUp', c ->> 'pausedUntil' is not null)::text, '(throttled,2,0,t)', 'the list has the state of a channel') from jsonb_array_elements(public.list_channels() -> 'data') c where c ->> 'name' = 'telegram';
select is((r -> 'wasPaused', r #>> '{was,class}')::text, '(true,throttled)', 'an operator can end any pause') from (select public.resume_channel('{"name": "telegram"}')) x (r);
select is((paused_until, round(paused_seconds / 10))::text, '(,360)', 'the paused time is kept') from public.notification_channels where channel = 'telegram';

-- Pruning
insert into public.idempotency_keys (route, key, body_sha256, created_at) values ('r', 'old', '', now() - interval '8 days'), ('r', 'new', '', now() - interval '6 days');
insert into public.notification_attempts (delivery, fence, attempt, started_at) values (pg_temp.uuid('d', 77), 1, 1, now() - interval '9 days');
select is(public.prune('{"days": 3}') - 'isComplete', '{"events": 1, "deliveries": 1, "attempts": 2, "idempotencyKeys": 1}', 'old finished rows are deleted with their attempts, and attempts without a delivery');
select is((select array_agg(right(id::text, 3)::integer order by id) from public.notification_logs where replay_of is null), '{1,2,3,4,5,6}', 'unfinished rows are kept, however old');
select * from finish();
rollback;
