-- The tail of the events: what a cursor has seen and what it has not, where it is cut, and what is no cursor.
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
  v_field text;
begin
  perform pg_temp.after(p_cursor);
  return 'none';
exception when others then
  get stacked diagnostics v_field = column_name;
  return sqlstate || ' ' || v_field;
end
$$;
create temp table cluster as select split_part(public.live_events('{}') ->> 'cursor', '/', 1) || '/' as name;
create function pg_temp.cursor(p_seen text) returns text language sql as $$ select name || p_seen from cluster $$;

-- What this transaction writes nobody sees before its end. So the events below say that others wrote them, long ago:
-- number, writer, and in the order in which the writers began, which is not the one in which they wrote.
insert into public.conversations (id, customer_name, customer_phone) values ('50000000-0000-4000-8000-000000000001', 'Sara', '+971501234567');
insert into public.lead_events (seq, xact, event_type, conversation_id, payload)
select seq, xact::text::xid8, type::public.lead_event_type, case when type !~ 'newsletter' then '50000000-0000-4000-8000-000000000001'::uuid end,
  '{"channel": "slack", "deliveryId": "50000000-0000-4000-8000-0000000000d1"}'
from (values (1, 31, 'lead.created'), (2, 34, 'lead.updated'), (3, 32, 'notification.failed'), (4, 33, 'sla.warning'),
             (5, 33, 'lead.qualified'), (6, 35, 'newsletter.subscribed'), (7, 35, 'notification.sent')) v (seq, xact, type);
insert into public.notification_logs (id, lead_event_id, channel, status, error_message)
select '50000000-0000-4000-8000-0000000000d1', id, 'slack', 'failed', 'channel_not_found' from public.lead_events where seq = 1;
-- One that is not committed: its writer is a transaction to come. (The test's own would do only while no later
-- transaction has ended in the cluster.)
insert into public.lead_events (event_type, xact) values ('lead.updated', '8000000000000');
insert into public.lead_events (event_type, xact) values ('lead.updated', null);
create temp table told as select pg_temp.after(pg_temp.cursor('31:31:')) as r;

-- Beginning
select is(public.live_events('{}') - '{from,cursor}'::text[], '{"events": [], "isComplete": true, "isReset": false}', 'without a cursor nothing is told');
select matches(public.live_events('{}') ->> 'cursor', '^[0-9]+[.][0-9]+/[0-9]+:[0-9]+:', 'but where to begin');
select is(pg_temp.numbers(pg_temp.after(public.live_events('{}') ->> 'cursor')), '', 'and from there on there is nothing yet');

-- What is told
select is(pg_temp.numbers(r), '1 2 3 4 5 7', 'in the order of writing; no subscription, nothing of old, nothing that is not committed') from told;
select is(r - '{from,events,cursor}'::text[], '{"isComplete": true, "isReset": false}', 'all of it') from told;
select is(e ->> 'event', (array['lead.created', 'lead.updated', 'delivery', 'sla', 'lead.updated', 'delivery'])[n], 'the kind of ' || (e #>> '{data,type}'))
from told, jsonb_array_elements(r -> 'events') with ordinality x (e, n);
select is((select array_agg(k order by k) from jsonb_object_keys(r #> '{events,0,data}') k), '{at,conversation,conversationId,id,type}', 'facts of a lead') from told;
select is(r #>> '{events,0,data,conversation,customerName}', 'Sara', 'with its conversation') from told;
select is(r #>> '{events,3,data,conversation,customerName}', 'Sara', 'as with a deadline') from told;
select is((r #> '{events,2,data}') - '{id,at,type}'::text[],
  '{"conversationId": "50000000-0000-4000-8000-000000000001", "deliveryId": "50000000-0000-4000-8000-0000000000d1", "channel": "slack", "status": "failed", "reason": "channel_not_found"}',
  'facts of a delivery') from told;
select is(r #>> '{events,5,data,status}', 'sent', 'the other state') from told;
update public.conversations set customer_name = 'Sara Ahmed' where id = '50000000-0000-4000-8000-000000000001';
select is(pg_temp.after(pg_temp.cursor('31:31:')) #>> '{events,0,data,conversation,customerName}', 'Sara Ahmed', 'as it is now');

-- Cursors
select is(pg_temp.numbers(pg_temp.after(pg_temp.cursor(seen))), want, 'after ' || seen) from (values
  ('32:32:', '2 3 4 5 7'), ('34:34:', '2 7'), ('36:36:', ''),
  -- Old transactions that were open are told, and those that ended meanwhile are not again.
  ('32:36:32,34', '2 3'), ('33:35:33', '4 5 7'), ('20:36:20,35', '7'), ('20:36:20,31', '1'), ('20:36:20', ''),
  -- A part: of what the second has, up to a number.
  ('31:31:/34:34:/0', '1 3 4 5 2 7'), ('31:31:/34:34:/1', '3 4 5 2 7'), ('31:31:/34:34:/4', '5 2 7'), ('31:31:/34:34:/5', '2 7'),
  ('32:36:32,34/36:36:/2', '3'), ('32:36:32,34/34:36:34/3', '2')) v (seen, want);
select is(array_agg(pg_temp.numbers(pg_temp.after(e ->> 'id')) order by n), '{2 3 4 5 7,3 4 5 7,4 5 7,5 7,7,""}', 'each event''s id goes on behind it')
from told, jsonb_array_elements(r -> 'events') with ordinality x (e, n);
select is(pg_temp.numbers(pg_temp.after(r ->> 'cursor')), '', 'and so does the cursor') from told;

select is((select array_agg(n order by n) from jsonb_array_elements_text(public.live_events('{"recent": true}') -> 'recent') n), '{1,2,3,4,5,6,7}', 'what it has seen last');
select is(pg_temp.after(pg_temp.cursor('31:31:'), '{"recent": true}') -> 'recent', public.live_events('{"recent": true}') -> 'recent', 'with a cursor too');

-- What is none
select is(pg_temp.problem(cursor), 'LP400 lastEventId', format('no cursor: %s', left(cursor, 40))) from (values
  (''), ('7'), ('1:1:'), (pg_temp.cursor('')), (pg_temp.cursor('1:1')), (pg_temp.cursor('2:1:')), (pg_temp.cursor(' 1:1:')), (pg_temp.cursor('+1:1:')),
  (pg_temp.cursor('1:5:3,2')), (pg_temp.cursor('1:1:/')), (pg_temp.cursor('1:1:/2:2:')), (pg_temp.cursor('1:1:/2:2:/x')), (pg_temp.cursor('1:1:/2:2:/-1'))) v (cursor);
select is(pg_temp.after(cursor) - '{from,cursor}'::text[], '{"events": [], "isComplete": true, "isReset": true}', 'unknown: ' || what) from (values
  ('7000000000000000000.1/31:31:', 'of another cluster'), ('7.1/31:31:', 'of another cluster, shorter'), (pg_temp.cursor('31:9000000000000:31'), 'of the future'),
  (pg_temp.cursor('999999999999999999999:999999999999999999999:'), 'of the last days')) v (cursor, what);
select is(pg_temp.numbers(pg_temp.after(pg_temp.after('7.1/31:31:') ->> 'cursor')), '', 'then it begins now');

-- Cut
insert into public.lead_events (seq, xact, event_type, conversation_id)
select 1000 + n, '40', 'lead.updated', '50000000-0000-4000-8000-000000000001' from generate_series(1, 700) n;
create temp table cut as select pg_temp.after(pg_temp.cursor('40:40:')) as r;
select cmp_ok(jsonb_array_length(r -> 'events'), '<=', 500, 'no more than so many at a time') from cut;
select is(r -> 'isComplete', 'false', 'and it says so') from cut;
create function pg_temp.rest(p_cursor text) returns bigint language plpgsql as $$
declare
  v jsonb := pg_temp.after(p_cursor);
begin
  return jsonb_array_length(v -> 'events') + case when v -> 'isComplete' = 'false' then pg_temp.rest(v ->> 'cursor') else 0 end;
end
$$;
select is(pg_temp.rest(pg_temp.cursor('40:40:')), 700::bigint, 'the others follow, each once');
update public.conversations set notes = repeat('n', 100000) where id = '50000000-0000-4000-8000-000000000001';
select cmp_ok(octet_length((pg_temp.after(pg_temp.cursor('40:40:')) -> 'events')::text), '<', 450000, 'nor more than so many bytes');

-- After the clean-up
drop table public.notification_logs, public.follow_up_tasks, public.conversation_timeline, public.lead_events;
select throws_ok($$ select public.live_events('{}') $$, 'LP503', null, 'without the table it says so');

select * from finish();
rollback;
