-- The SLA sweep: once for each conversation and deadline, nothing false, few notifications.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select no_plan();
delete from public.lead_events;  -- so that the counts below are exact; rolled back at the end
delete from public.conversations;
delete from leadpipe.sla_sweep;

create temp table step (name text primary key, r jsonb);
create function pg_temp.lead(p_n integer, p_due interval, p_quality text default 'hot') returns uuid language sql as $$
  insert into public.conversations (id, customer_name, customer_phone, lead_score, lead_quality, sla_response_deadline, source, created_at)
  values (('50000000-0000-4000-8000-' || lpad(p_n::text, 12, '0'))::uuid, 'Lead ' || p_n, '+971500000001', 90, p_quality, now() + p_due, 'chatbot', now() - interval '10 days')
  returning id $$;
create function pg_temp.sweep(p_more jsonb default '{}') returns jsonb language sql as $$
  select public.sweep_sla(jsonb_build_object('warnBefore', jsonb_build_object('hot', now() + interval '5 minutes',
    'warm', now() + interval '20 minutes', 'cold', now() + interval '8 hours')) || p_more) $$;
create function pg_temp.counts(p_more jsonb default '{}') returns text language sql as $$
  select concat_ws(' ', r ->> 'warned', r ->> 'breached', r ->> 'summedUp', r ->> 'isSummary') from pg_temp.sweep(p_more) r $$;
create function pg_temp.events() returns text language sql as $$
  select coalesce(string_agg(line, ', '), '') from (select concat_ws(' ', coalesce('lead ' || right(conversation_id::text, 1), 'all'), event_type,
    case when processed then 'quiet' end) as line from public.lead_events order by created_at, seq) e $$;

-- A warning, then a breach
select is(pg_temp.counts(), '0 0 0 false', 'without conversations, nothing is due');
select pg_temp.lead(1, '6 minutes');
insert into step values ('early', pg_temp.sweep());
select is(r - 'now', jsonb_build_object('warned', 0, 'breached', 0, 'summedUp', 0, 'isSummary', false, 'isBusy', false, 'isComplete', true, 'warnedOf', null,
  'summaryAt', null, 'unwarned', jsonb_build_object('hot', leadpipe.iso8601(now() + interval '6 minutes'), 'warm', null, 'cold', null)), 'a deadline that is not near is only reported') from step where name = 'early';
update public.conversations set sla_response_deadline = now() + interval '5 minutes';
select is(public.sweep_sla('{}') - 'now' -> 'warned', '0', 'without times of warnings, nobody is warned');
create temp table version as select updated_at from public.conversations;
select is(pg_temp.counts(), '1 0 0 false', 'a near deadline is warned of');
select is(pg_temp.counts(), '0 0 0 false', 'once');
select is(pg_temp.events(), 'lead 1 sla.warning', 'the event is to be delivered');
select is((payload, idempotency_key)::text, (jsonb_build_object('source', 'chatbot', 'customerName', 'Lead 1', 'customerPhone', '+971500000001', 'leadScore', 90,
  'leadQuality', 'hot', 'slaResponseDeadline', leadpipe.iso8601(now() + interval '5 minutes'), 'minutesRemaining', 5),
  'sla.warning:50000000-0000-4000-8000-000000000001:' || leadpipe.iso8601(now() + interval '5 minutes'))::text, 'it has the facts of the notification') from public.lead_events;
select is((event_type, title, actor_type)::text, '(sla_warning,"SLA warning",system)', 'the timeline has the warning') from public.conversation_timeline;
select is((c.sla_breached, c.updated_at = v.updated_at)::text, '(f,t)', 'the conversation is not breached, and no client has an outdated version of it') from public.conversations c, version v;
select is(r ->> 'warnedOf', leadpipe.iso8601(now() + interval '5 minutes'), 'the deadline is next') from pg_temp.sweep() r;
update public.conversations set sla_response_deadline = now() - interval '90 seconds', sla_warned_for = now() - interval '90 seconds';
select is(pg_temp.counts(), '0 1 0 false', 'a deadline that has passed is breached');
select is(pg_temp.counts(), '0 0 0 false', 'once');
select is((payload -> 'minutesRemaining')::text, '-1', 'only full minutes are over') from public.lead_events where event_type = 'sla.breached';
select is(sla_breached, true, 'the conversation is marked') from public.conversations;
select is(count(*), 1::bigint, 'the timeline has the breach') from public.conversation_timeline where event_type = 'sla_breached';
update public.conversations set sla_breached = false, sla_warned_for = null;
select is(pg_temp.counts(), '0 0 0 false', 'an event is not repeated, even if the mark is lost');
select is(sla_breached, true, 'the mark is set again') from public.conversations;

-- What happens in between
delete from public.lead_events;
delete from public.conversations;
select pg_temp.lead(1, '-1 minute'), pg_temp.lead(2, '-1 minute'), pg_temp.lead(3, '3 minutes'), pg_temp.lead(4, '3 minutes');
update public.conversations set first_response_at = now() where right(id::text, 1) in ('1', '3');
update public.conversations set status = 'lost' where right(id::text, 1) in ('2', '4');
select is(pg_temp.counts(), '0 0 0 false', 'nothing is due for an answered or closed conversation');
update public.conversations set status = 'new', sla_response_deadline = now() + interval '2 minutes' where right(id::text, 1) in ('2', '4');
select is(pg_temp.counts(), '2 0 0 false', 'a reopened conversation has a new deadline');
update public.conversations set sla_response_deadline = now() + interval '1 minute' where right(id::text, 1) = '2';
select is(pg_temp.counts(), '1 0 0 false', 'a deadline that moves closer is another deadline');
select pg_temp.lead(5, '-2 minutes');
select is(pg_temp.counts(), '0 1 0 false', 'no warning follows a breach');
insert into public.agents (id, name, email) values ('50000000-0000-4000-8000-0000000000a0', 'Amal', 'amal@agency.example');
select pg_temp.lead(6, '10 minutes', 'warm'), pg_temp.lead(7, '7 hours', 'cold'), pg_temp.lead(8, '9 hours', 'cold');
update public.conversations set assigned_agent_id = '50000000-0000-4000-8000-0000000000a0' where right(id::text, 1) = '6';
select is(pg_temp.counts(), '2 0 0 false', 'each quality has its own time of warning');
select is(payload ->> 'assignedAgentName', 'Amal', 'the notification names the agent') from public.lead_events where right(conversation_id::text, 1) = '6';
update public.conversations set created_at = now() - interval '10 seconds', sla_response_deadline = now() - interval '11 seconds', sla_breached = false;
select is(r - 'now' - 'isBusy', '{"warned": 0, "breached": 0, "summedUp": 0, "isSummary": false, "isComplete": true, "unwarned": {"hot": null, "warm": null, "cold": null}, "warnedOf": null, "summaryAt": null}',
  'a deadline from before the receipt comes from a wrong clock') from pg_temp.sweep() r;

-- Few notifications
delete from public.lead_events;
delete from public.conversations;
delete from leadpipe.sla_sweep;
select pg_temp.lead(n, '-1 minute', 'cold') from generate_series(1, 5) n;
select pg_temp.lead(9, '1 minute', 'hot');
select is(pg_temp.counts('{"ownPerMinute": 3}'), '1 5 3 true', 'at most ownPerMinute events have a notification of their own');
select is(pg_temp.events(), 'lead 1 sla.breached, lead 2 sla.breached, lead 3 sla.breached, lead 4 sla.breached quiet, lead 5 sla.breached quiet, '
  'lead 9 sla.warning quiet, all sla.breached', 'the others are summed up');
select is(payload, jsonb_build_object('sumsUp', 3, 'breached', 2, 'warned', 1, 'oldestDeadline', leadpipe.iso8601(now() - interval '1 minute')), 'the summary counts them')
from public.lead_events where conversation_id is null;
select pg_temp.lead(n, '-1 minute', 'cold') from generate_series(6, 8) n;
insert into step values ('later', pg_temp.sweep('{"ownPerMinute": 3}'));
select is((r -> 'summedUp', r -> 'isSummary', (r ->> 'summaryAt')::timestamptz > now() + interval '59 seconds')::text, '(3,false,t)', 'the next summary waits for a minute') from step where name = 'later';
update leadpipe.sla_sweep set summed_at = clock_timestamp() - interval '1 minute', own_at = clock_timestamp() - interval '21 seconds';
select pg_temp.lead(10, '-1 minute', 'warm'), pg_temp.lead(11, '-1 minute', 'hot');
select is(pg_temp.counts('{"ownPerMinute": 3}'), '0 2 1 true', 'after a third of a minute, a third of the notifications are available');
select is(payload, jsonb_build_object('sumsUp', 4, 'breached', 4, 'warned', 0, 'oldestDeadline', leadpipe.iso8601(now() - interval '1 minute')), 'the next summary has all since the last')
from public.lead_events where conversation_id is null order by seq desc limit 1;
select is(processed, false, 'the hottest lead has its own') from public.lead_events where right(conversation_id::text, 2) = '11';
update leadpipe.sla_sweep set summed_at = now() + interval '1 day', own_at = now() + interval '1 day', own_left = 0;
select pg_temp.lead(12, '-1 minute'), pg_temp.lead(13, '-61 minutes');
select is(pg_temp.counts(), '0 2 1 true', 'a clock that was set back delays nothing');

-- After a standstill
delete from public.lead_events;
delete from public.conversations;
delete from leadpipe.sla_sweep;
select pg_temp.lead(n, '-3 days', 'warm') from generate_series(1, 300) n;
select pg_temp.lead(301, '-59 minutes', 'cold');
insert into step select 'missed ' || n, pg_temp.sweep() from generate_series(1, 4) n;
select is(array_agg(r -> 'breached' order by name), '{100,100,100,1}', 'a call emits at most a batch') from step where name like 'missed%';
select is((count(*), count(distinct conversation_id), count(*) filter (where conversation_id is null))::text, '(302,301,1)', 'each breach is emitted once') from public.lead_events;
select is(count(*), 2::bigint, 'two notify: the summary, and the one that is less than an hour old') from public.lead_events where not processed;
select is(payload, jsonb_build_object('sumsUp', 300, 'breached', 300, 'warned', 0, 'oldestDeadline', leadpipe.iso8601(now() - interval '3 days')), 'one message sums up what was missed')
from public.lead_events where conversation_id is null;
select is(count(*), 301::bigint, 'every timeline has its breach') from public.conversation_timeline where event_type = 'sla_breached';

select * from finish();
rollback;
