-- What an operator asks for: lists, retries, replays, the end of a pause; and the pruning of what is finished.
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
select is(pg_temp.numbers(public.list_deliveries('{}') -> 'data'), '{1,2,3,4,5,6,7}', 'newest first');
select is(pg_temp.numbers(public.list_deliveries(q) -> 'data'), want, 'by ' || q::text) from (values
  ('{"status": "failed"}'::jsonb, '{2,3,4}'::integer[]), ('{"status": "waiting"}', '{4}'), ('{"status": "given-up"}', '{2}'),
  ('{"status": "parked"}', '{3}'), ('{"channel": "telegram"}', '{4,5,7}'), ('{"class": "delivered"}', '{1,7}'),
  (jsonb_build_object('since', now() - interval '2.5 days'), '{1,2}'), ('{"status": "sent", "channel": "slack"}', '{1}'), ('{"class": "config"}', null)) v (q, want);
select is((pg_temp.numbers(r -> 'data'), r ->> 'nextCursor' is not null)::text, '("{1,2}",t)', 'no more than asked for, and it says that there are more') from (select public.list_deliveries('{"limit": 2}')) x (r);
select is(d ->> 'state', (array['sent', 'given-up', 'parked', 'waiting', 'pending', 'sending', 'sent'])[n], 'state of ' || n)
from jsonb_array_elements(public.list_deliveries('{}') -> 'data') with ordinality x (d, n);

-- Showing
select is((r ->> 'kind', r #>> '{delivery,reason}', jsonb_array_length(r -> 'attempts'))::text, '(delivery,"why 2",1)', 'a delivery with its tries') from (select public.show_delivery(jsonb_build_object('id', pg_temp.uuid('d', 2)))) x (r);
select is((r ->> 'kind', r -> 'deliveries')::text, (row ('event'::text, jsonb_build_array(pg_temp.uuid('d', 2))))::text, 'an event with its deliveries') from (select public.show_delivery(jsonb_build_object('id', pg_temp.uuid('e', 2)))) x (r);
select is(public.show_delivery('{"id": "40000000-0000-4000-8000-00000000ffff"}'), '{"kind": "none"}', 'or nothing');

-- Retrying
insert into step values ('dry', public.retry_deliveries(jsonb_build_object('channel', 'slack', 'dryRun', true)));
select is(pg_temp.numbers(r -> 'deliveries'), '{3,2}', 'a dry run says what would be') from step where name = 'dry';
select is((select count(*) from public.notification_logs where retried_at is not null), 0::bigint, 'and does nothing');
insert into step values ('retry', public.retry_deliveries(jsonb_build_object('by', 'op', 'ids', jsonb_build_array(pg_temp.uuid('d', 3), pg_temp.uuid('d', 4), pg_temp.uuid('d', 1), pg_temp.uuid('d', 99)))));
select is(pg_temp.numbers(r -> 'deliveries'), '{4,3}', 'given up or waiting, they are due') from step where name = 'retry';
select is((select count(*) from public.notification_logs where due_at <= clock_timestamp() and status = 'failed'), 2::bigint, 'at once');
select is(r -> 'refused', jsonb_build_array(jsonb_build_object('id', pg_temp.uuid('d', 1), 'status', 'sent'), jsonb_build_object('id', pg_temp.uuid('d', 99), 'status', 'none')), 'the others are named') from step where name = 'retry';
select is((processed, processed_at)::text, '(f,)', 'the event is open') from public.lead_events where id = pg_temp.uuid('e', 3);
select is((select count(*) from public.conversation_timeline where title = 'Notification to be tried again via slack' and actor_name = 'op'), 1::bigint, 'and the timeline says who did it');
select is(public.retry_deliveries(jsonb_build_object('channel', 'slack', 'class', 'unknown', 'asOf', now())) -> 'deliveries', '[]', 'none twice');
select throws_ok($$ select public.retry_deliveries('{}') $$, '22023', null, 'not everything by mistake');
insert into step select 'claim', public.claim_deliveries('{"channels": [{"channel": "slack"}]}');
select is((r #>> '{deliveries,0,id}', r #> '{deliveries,0,possibleRepeat}', (r #>> '{deliveries,0,retryFrom}')::timestamptz > now() - interval '1 minute')::text,
  (row (pg_temp.uuid('d', 3)::text, 'true'::jsonb, true))::text, 'it is claimed as what it is, with new time for tries') from step where name = 'claim';

-- Replaying
select is((select count(*) from jsonb_array_elements(public.replay_events(jsonb_build_object('to', now(), 'dryRun', true)) -> 'deliveries')), 3::bigint, 'what is finished would be sent once more');
select is((select count(*) from public.notification_logs where replay_of is not null), 0::bigint, 'a dry run does nothing');
insert into step values ('replay', public.replay_events(jsonb_build_object('channel', 'slack', 'class', 'delivered', 'by', 'op', 'asOf', now())));
select is(r #>> '{deliveries,0,replayOf}', pg_temp.uuid('d', 1)::text, 'one is replayed') from step where name = 'replay';
select is((select (count(*), min(status), bool_and(channel = 'slack'))::text from public.notification_logs where lead_event_id = pg_temp.uuid('e', 1)), '(2,pending,t)', 'as a delivery of its own');
select is(processed, false, 'and its event is open') from public.lead_events where id = pg_temp.uuid('e', 1);
select is((select count(*) from public.conversation_timeline where title = 'Notification to be sent once more via slack' and actor_name = 'op'), 1::bigint, 'as the timeline says');
select is(public.replay_events(jsonb_build_object('channel', 'slack', 'class', 'delivered', 'asOf', r -> 'asOf')) -> 'deliveries', '[]', 'not twice') from step where name = 'replay';
select throws_ok($$ select public.replay_events('{"by": "op"}') $$, '22023', null, 'not everything by mistake either');
select is(public.claim_deliveries('{"channels": [{"channel": "slack"}]}') #> '{deliveries,0,possibleRepeat}', 'true', 'a replay of what was sent is a repeat, and marked');

-- Channels
insert into public.notification_channels (channel, paused_until, paused_since, pause_class, pause_reason) values ('telegram', now() + interval '1 hour', now() - interval '1 hour', 'throttled', 'HTTP 429');
select is((c ->> 'class', c -> 'waiting', c -> 'givenUp', c ->> 'pausedUntil' is not null)::text, '(throttled,2,0,t)', 'a channel says how it stands') from jsonb_array_elements(public.list_channels() -> 'data') c where c ->> 'name' = 'telegram';
select is((r -> 'wasPaused', r #>> '{was,class}')::text, '(true,throttled)', 'an operator ends any pause') from (select public.resume_channel('{"name": "telegram"}')) x (r);
select is((paused_until, round(paused_seconds / 10))::text, '(,360)', 'and its time is remembered') from public.notification_channels where channel = 'telegram';

-- Pruning
insert into public.idempotency_keys (route, key, body_sha256, created_at) values ('r', 'old', '', now() - interval '8 days'), ('r', 'new', '', now() - interval '6 days');
insert into public.notification_attempts (delivery, fence, attempt, started_at) values (pg_temp.uuid('d', 77), 1, 1, now() - interval '9 days');
select is(public.prune('{"days": 3}') - 'isComplete', '{"events": 1, "deliveries": 1, "attempts": 2, "idempotencyKeys": 1}', 'what is finished and old goes, with its tries, and tries of nothing');
select is((select array_agg(right(id::text, 3)::integer order by id) from public.notification_logs where replay_of is null), '{1,2,3,4,5,6}', 'whatever is not finished stays, however old');
select * from finish();
rollback;
