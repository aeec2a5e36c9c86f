-- The live feed: the events that a cursor covers, limits of a reply, and invalid cursors.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(58);
delete from public.lead_events;

create function pg_temp.after(p_cursor text, p jsonb default '{}') returns jsonb language sql as
  $$ select public.live_events(p || jsonb_build_object('after', p_cursor)) $$;
create function pg_temp.numbers(p jsonb) returns text language sql as
  $$ select coalesce(string_agg(e ->> 'seq', ' ' order by n), '') from jsonb_array_elements(p -> 'events') with ordinality x (e, n) $$;
create function pg_temp.problem(p_cursor text) returns text language plpgsql as $$
declare
  v_detail text;
begin
  perform pg_temp.after(p_cursor);
  return 'none';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return sqlstate || ' ' || (v_detail::jsonb ->> 'field');
end
$$;
create temp table cluster as select split_part(public.live_events('{}') ->> 'cursor', '/', 1) || '/' as name;
create function pg_temp.cursor(p_seen text) returns text language sql as $$ select name || p_seen from cluster $$;

-- Nothing that this transaction writes is visible to others before its end. Therefore the events below name older
-- transactions as their writers: seq is the order of writing, xact the order in which the transactions began.
insert into public.conversations (id, customer_name, customer_phone) values ('50000000-0000-4000-8000-000000000001', 'Sara', '+971501234567');
insert into public.lead_events (seq, xact, event_type, conversation_id, payload)
select seq, xact::text::xid8, type::public.lead_event_type, case when type !~ 'newsletter' then '50000000-0000-4000-8000-000000000001'::uuid end,
  '{"channel": "slack", "deliveryId": "50000000-0000-4000-8000-0000000000d1"}'
from (values (1, 31, 'lead.created'), (2, 34, 'lead.updated'), (3, 32, 'notification.failed'), (4, 33, 'sla.warning'),
             (5, 33, 'lead.qualified'), (6, 35, 'newsletter.subscribed'), (7, 35, 'notification.sent')) v (seq, xact, type);
insert into public.notification_logs (id, lead_event_id, channel, status, error_message)
select '50000000-0000-4000-8000-0000000000d1', id, 'slack', 'failed', 'channel_not_found' from public.lead_events where seq = 1;
-- An event that is not committed: its writer is a future transaction. (The test's own transaction could be used only
-- while no later transaction has ended in the cluster.)
insert into public.lead_events (event_type, xact) values ('lead.updated', '8000000000000');
insert into public.lead_events (event_type, xact) values ('lead.updated', null);
-- A summary, whose events are in the feed themselves.
insert into public.lead_events (seq, event_type, xact, payload) values (8, 'sla.breached', '34', '{"sumsUp": 3}');
create temp table told as select pg_temp.after(pg_temp.cursor('31:31:')) as r;

-- Start
select is(public.live_events('{}') - '{from,cursor}'::text[], '{"events": [], "isComplete": true, "isReset": false}', 'without a cursor there are no events');
select matches(public.live_events('{}') ->> 'cursor', '^[0-9]+[.][0-9]+/[0-9]+:[0-9]+:', 'without a cursor the reply has a cursor to start from');
select is(pg_temp.numbers(pg_temp.after(public.live_events('{}') ->> 'cursor')), '', 'there are no events after the new cursor');

-- Events
select is(pg_temp.numbers(r), '1 2 3 4 5 7', 'events are in the order of writing, without subscriptions, old events and uncommitted events') from told;
select is(r - '{from,events,cursor}'::text[], '{"isComplete": true, "isReset": false}', 'the reply is complete') from told;
select is(e ->> 'event', (array['lead.created', 'lead.updated', 'delivery', 'sla', 'lead.updated', 'delivery'])[n], 'the kind of ' || (e #>> '{data,type}'))
from told, jsonb_array_elements(r -> 'events') with ordinality x (e, n);
select is((select array_agg(k order by k) from jsonb_object_keys(r #> '{events,0,data}') k), '{at,conversation,conversationId,id,type}', 'fields of a lead event') from told;
select is(r #>> '{events,0,data,conversation,customerName}', 'Sara', 'a lead event has its conversation') from told;
select is(r #>> '{events,3,data,conversation,customerName}', 'Sara', 'an SLA event has its conversation') from told;
select is((r #> '{events,2,data}') - '{id,at,type}'::text[],
  '{"conversationId": "50000000-0000-4000-8000-000000000001", "deliveryId": "50000000-0000-4000-8000-0000000000d1", "channel": "slack", "status": "failed", "reason": "channel_not_found"}',
  'fields of a delivery event') from told;
select is(r #>> '{events,5,data,status}', 'sent', 'a delivery event has its status') from told;
update public.conversations set customer_name = 'Sara Ahmed' where id = '50000000-0000-4000-8000-000000000001';
select is(pg_temp.after(pg_temp.cursor('31:31:')) #>> '{events,0,data,conversation,customerName}', 'Sara Ahmed', 'the conversation is current');

-- Cursors
select is(pg_temp.numbers(pg_temp.after(pg_temp.cursor(seen))), want, 'after ' || seen) from (values
  ('32:32:', '2 3 4 5 7'), ('34:34:', '2 7'), ('36:36:', ''),
  -- Events of old transactions that were open follow; those of transactions that had ended do not.
  ('32:36:32,34', '2 3'), ('33:35:33', '4 5 7'), ('20:36:20,35', '7'), ('20:36:20,31', '1'), ('20:36:20', ''),
  -- A part: the events of the second snapshot up to a number.
  ('31:31:/34:34:/0', '1 3 4 5 2 7'), ('31:31:/34:34:/1', '3 4 5 2 7'), ('31:31:/34:34:/4', '5 2 7'), ('31:31:/34:34:/5', '2 7'),
  ('32:36:32,34/36:36:/2', '3'), ('32:36:32,34/34:36:34/3', '2')) v (seen, want);
select is(array_agg(pg_temp.numbers(pg_temp.after(e ->> 'id')) order by n), '{2 3 4 5 7,3 4 5 7,4 5 7,5 7,7,""}', 'the id of each event continues after that event')
from told, jsonb_array_elements(r -> 'events') with ordinality x (e, n);
select is(pg_temp.numbers(pg_temp.after(r ->> 'cursor')), '', 'there are no events after the cursor of the reply') from told;

select is((select array_agg(n order by n) from jsonb_array_elements_text(public.live_events('{"recent": true}') -> 'recent') n), '{1,2,3,4,5,6,7,8}', 'recent lists the latest events');
select is(pg_temp.after(pg_temp.cursor('31:31:'), '{"recent": true}') -> 'recent', public.live_events('{"recent": true}') -> 'recent', 'recent works with a cursor too');

-- Invalid cursors
select is(pg_temp.problem(cursor), 'LP400 lastEventId', format('invalid cursor: %s', left(cursor, 40))) from (values
  (''), ('7'), ('1:1:'), (pg_temp.cursor('')), (pg_temp.cursor('1:1')), (pg_temp.cursor('2:1:')), (pg_temp.cursor(' 1:1:')), (pg_temp.cursor('+1:1:')),
  (pg_temp.cursor('1:5:3,2')), (pg_temp.cursor('1:1:/')), (pg_temp.cursor('1:1:/2:2:')), (pg_temp.cursor('1:1:/2:2:/x')), (pg_temp.cursor('1:1:/2:2:/-1'))) v (cursor);
select is(pg_temp.after(cursor) - '{from,cursor}'::text[], '{"events": [], "isComplete": true, "isReset": true}', 'reset: cursor ' || what) from (values
  ('7000000000000000000.1/31:31:', 'from another cluster'), ('7.1/31:31:', 'from another cluster, shorter'), (pg_temp.cursor('31:9000000000000:31'), 'from the future'),
  (pg_temp.cursor('999999999999999999999:999999999999999999999:'), 'with too large numbers')) v (cursor, what);
select is(pg_temp.numbers(pg_temp.after(pg_temp.after('7.1/31:31:') ->> 'cursor')), '', 'after a reset the feed continues from now');

-- Limits
insert into public.lead_events (seq, xact, event_type, conversation_id)
select 1000 + n, '40', 'lead.updated', '50000000-0000-4000-8000-000000000001' from generate_series(1, 700) n;
create temp table cut as select pg_temp.after(pg_temp.cursor('40:40:')) as r;
select cmp_ok(jsonb_array_length(r -> 'events'), '<=', 500, 'a reply has at most 500 events') from cut;
select is(r -> 'isComplete', 'false', 'a limited reply is not complete') from cut;
create function pg_temp.rest(p_cursor text) returns bigint language plpgsql as $$
declare
  v jsonb := pg_temp.after(p_cursor);
begin
  return jsonb_array_length(v -> 'events') + case when v -> 'isComplete' = 'false' then pg_temp.rest(v ->> 'cursor') else 0 end;
end
$$;
select is(pg_temp.rest(pg_temp.cursor('40:40:')), 700::bigint, 'the other events follow, each once');
update public.conversations set notes = repeat('n', 100000) where id = '50000000-0000-4000-8000-000000000001';
select cmp_ok(octet_length((pg_temp.after(pg_temp.cursor('40:40:')) -> 'events')::text), '<', 600000, 'a reply has a limited size in bytes');

-- After the clean-up
drop table public.notification_logs, public.follow_up_tasks, public.conversation_timeline, public.lead_events;
select throws_ok($$ select public.live_events('{}') $$, 'LP503', null, 'without the table, LP503 is raised');

select * from finish();
rollback;
