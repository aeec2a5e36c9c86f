-- The functions behind the admin routes for messages, timeline, notifications, channels, events and subscribers.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select no_plan();
delete from public.lead_events;
delete from public.notification_channels;
delete from public.newsletter_subscribers;

create function pg_temp.uuid(p_kind text, p_number integer) returns uuid language sql as
  $$ select ('50000000-0000-4000-8000-' || p_kind || lpad(p_number::text, 11, '0'))::uuid $$;
create function pg_temp.of(p_kind text, p_number integer, p_more jsonb default '{}') returns jsonb language sql as
  $$ select jsonb_build_object('id', pg_temp.uuid(p_kind, p_number)) || p_more $$;
-- Returns the numbers with which the rows were created.
create function pg_temp.numbers(p_rows jsonb) returns integer[] language sql as
  $$ select array_agg(right(r ->> 'id', 3)::integer order by n) from jsonb_array_elements(p_rows) with ordinality as rows (r, n) $$;
-- Reads a list by its cursors, two rows at a time. Returns the numbers of the rows, page by page.
create function pg_temp.walk(p_function text, p jsonb) returns text language plpgsql as $$
declare
  v_reply jsonb;
  v_seen text := '';
begin
  for i in 1 .. 10 loop
    execute format('select public.%I($1)', p_function) into v_reply using p || '{"limit": 2}';
    v_seen := v_seen || coalesce(pg_temp.numbers(v_reply -> 'data')::text, '-');
    exit when v_reply ->> 'nextCursor' is null;
    p := p || jsonb_build_object('cursor', v_reply -> 'nextCursor');
  end loop;
  return v_seen;
end
$$;
create function pg_temp.error(p_sql text) returns text language plpgsql as $$
declare
  v_detail text;
begin
  execute p_sql;
  return 'none';
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, nullif(v_detail, '')::jsonb ->> 'field', sqlerrm);
end
$$;

insert into public.conversations (id, customer_name) values (pg_temp.uuid('c', 1), 'Lead'), (pg_temp.uuid('c', 2), 'Other');
insert into public.chat_messages (id, conversation_id, sender, message_text, "timestamp", created_at)
select pg_temp.uuid('a', n), pg_temp.uuid('c', 1), 'customer', 'm' || n, now() + (n / 3) * interval '1 minute', now() - n * interval '1 second'
from generate_series(1, 5) n;
insert into public.conversation_timeline (id, conversation_id, event_type, title, created_at)
select pg_temp.uuid('b', n), pg_temp.uuid('c', 1), 'note_added', 't' || n, now() + (n - 60) * interval '1 minute' from generate_series(1, 3) n;
-- Events 1 to 6: 3 and 5 are updates, 4 is not processed, 6 belongs to another conversation.
insert into public.lead_events (id, event_type, conversation_id, payload, planned_at, processed, created_at)
select pg_temp.uuid('e', n), case when n in (3, 5) then 'lead.updated' else 'lead.created' end::public.lead_event_type,
  pg_temp.uuid('c', case n when 6 then 2 else 1 end), '{"source": "chatbot"}', now(), n <> 4, now() + (n - 60) * interval '1 minute'
from generate_series(1, 6) n;
insert into public.notification_logs (id, lead_event_id, conversation_id, channel, status, outcome_class, next_attempt_at, lease_until, created_at)
select pg_temp.uuid('d', n), pg_temp.uuid('e', n), pg_temp.uuid('c', case n when 6 then 2 else 1 end), case n when 2 then 'telegram' else 'slack' end::public.notification_channel,
  (array['sent', 'failed', 'failed', 'failed', 'pending', 'pending'])[n], (array['delivered', 'permanent', 'unknown', 'retry', null, null])[n],
  case n when 4 then now() + interval '1 hour' end, case n when 6 then now() + interval '1 hour' end, now() + (n - 60) * interval '1 minute'
from generate_series(1, 6) n;
insert into public.newsletter_subscribers (id, email, status, subscribed_at)
select pg_temp.uuid('f', n), 'Person' || n || '@example.com', case n when 3 then 'unsubscribed' else 'active' end, now() + (n - 60) * interval '1 minute' from generate_series(1, 3) n;

-- Lists
select is(pg_temp.walk('list_messages', pg_temp.of('c', 1)), '{2,1}{5,4}{3}', 'messages are ordered by time, and those with the same time by arrival');
select is(pg_temp.walk('list_timeline', pg_temp.of('c', 1)), '{3,2}{1}', 'the timeline is listed newest first');
select is(pg_temp.walk('list_conversation_deliveries', pg_temp.of('c', 1)), '{5,4}{3,2}{1}', 'the notifications of a conversation are listed');
select is(pg_temp.walk('list_conversation_events', pg_temp.of('c', 1)), '{5,4}{3,2}{1}', 'the events of a conversation are listed');
select is(pg_temp.walk('list_deliveries', '{}'), '{6,5}{4,3}{2,1}', 'all notifications are listed');
select is(pg_temp.walk('list_events', '{}'), '{6,5}{4,3}{2,1}', 'all events are listed, merged from their types');
select is(pg_temp.walk('list_subscribers', '{}'), '{3,2}{1}', 'subscribers are listed');
select is(pg_temp.walk('list_timeline', pg_temp.of('c', 2)), '-', 'an empty list has an empty page');

select is((r -> 'total', r -> 'page', r -> 'limit', pg_temp.numbers(r -> 'data'))::text, '(5,2,2,"{5,4}")', 'a page by number has the total')
from (select public.list_messages(pg_temp.of('c', 1, '{"page": 2, "limit": 2}'))) x (r);
select is(pg_temp.numbers(public.list_conversation_events(pg_temp.of('c', 1, '{"page": 3, "limit": 2}')) -> 'data'), '{1}', 'the last page has the last rows');
select is(r -> 'nextCursor', 'null', 'the last page has no cursor') from (select public.list_messages(pg_temp.of('c', 1, '{"page": 3, "limit": 2}'))) x (r);
select ok(not public.list_timeline(pg_temp.of('c', 1, jsonb_build_object('cursor', leadpipe.row_cursor('timeline ' || pg_temp.uuid('c', 1), now(), pg_temp.uuid('b', 1))))) ? 'total', 'a page by cursor has no total');
select is((r -> 'limit')::text, '200', 'a page has at most 200 rows') from (select public.list_messages(pg_temp.of('c', 1, '{"limit": 100000}'))) x (r);

select is(pg_temp.numbers(public.list_deliveries(q) -> 'data'), want, 'notifications by ' || q::text) from (values
  ('{"status": "failed"}'::jsonb, '{4,3,2}'::integer[]), ('{"status": "waiting"}', '{4}'), ('{"status": "given-up"}', '{2}'), ('{"status": "parked"}', '{3}'),
  ('{"status": "pending"}', '{6,5}'), ('{"status": "claimed"}', '{6}'), ('{"status": "sending"}', null), ('{"channel": "telegram"}', '{2}'),
  ('{"class": "delivered"}', '{1}'), (jsonb_build_object('since', now() - interval '55.5 minutes'), '{6,5}')) v (q, want);
-- Number 2 is on telegram, number 1 was delivered. The first page searches the newest four rows.
create function pg_temp.pages(q jsonb) returns text language sql as $$
  select string_agg(coalesce(pg_temp.numbers(r -> 'data')::text, '-') || case when r ->> 'nextCursor' is null then '' else ' goes on' end, ', ' order by n)
  from (select 1, public.list_deliveries(q || '{"within": 4}') union all
        select 2, public.list_deliveries(q || '{"within": 4}' || jsonb_build_object('cursor', public.list_deliveries(q || '{"within": 4}') -> 'nextCursor'))) pages (n, r)
$$;
select is(pg_temp.pages(q), want, 'a log is searched in parts for ' || q::text) from (values
  ('{"channel": "telegram"}'::jsonb, '- goes on, {2}'), ('{"class": "delivered"}', '- goes on, {1}'), ('{"status": "sent"}', '- goes on, {1}'),
  ('{"status": "delivered"}', '- goes on, -'), ('{"channel": "slack", "limit": 3}', '{6,5,4} goes on, {3,1}')) v (q, want);
select is(public.list_deliveries(q || '{"within": 1}') ->> 'nextCursor', null, 'a filter with an index is not searched in parts: ' || q::text) from (values
  ('{"class": "config"}'::jsonb), ('{"status": "given-up"}'), ('{"status": "sending", "channel": "email"}'), ('{"since": "2999-01-01T00:00:00Z", "channel": "slack"}')) v (q);
select is(pg_temp.numbers(public.list_events(q) -> 'data'), want, 'events by ' || q::text) from (values
  ('{"type": ["lead.updated"]}'::jsonb, '{5,3}'::integer[]), ('{"type": ["lead.updated", "lead.lost", "lead.updated"]}', '{5,3}'), ('{"processed": false}', '{4}'),
  ('{"processed": true, "type": ["lead.created"]}', '{6,2,1}'), ('{"processed": false, "type": ["lead.updated"]}', null),
  (pg_temp.of('c', 2) - 'id' || jsonb_build_object('conversationId', pg_temp.uuid('c', 2)), '{6}'), (jsonb_build_object('conversationId', pg_temp.uuid('c', 9)), null),
  (jsonb_build_object('since', now() - interval '58 minutes', 'until', now() - interval '56 minutes'), '{3,2}')) v (q, want);
-- Event 2 has no deliveries yet, 5 has one with the event's time, and 4 and 6 have one of an earlier version.
update public.lead_events set processed = false where id in (pg_temp.uuid('e', 2), pg_temp.uuid('e', 5), pg_temp.uuid('e', 6));
update public.lead_events set planned_at = null where id = pg_temp.uuid('e', 2);
update public.notification_logs d set event_at = e.created_at from public.lead_events e where e.id = d.lead_event_id and e.id = pg_temp.uuid('e', 5);
select is(pg_temp.walk('list_events', '{"processed": false}'), '{6,5}{4,2}', 'unfinished events are merged by their time');
select is(public.health_report() ->> 'unprocessed', '4', 'each unfinished event is counted once');
select is((public.health_report() ->> 'oldestSeconds')::integer / 60, 58, 'the oldest has waited since its own time');
update public.lead_events set processed = true, planned_at = now() where id in (pg_temp.uuid('e', 2), pg_temp.uuid('e', 5), pg_temp.uuid('e', 6));
select is(pg_temp.numbers(public.list_subscribers(q) -> 'data'), want, 'subscribers by ' || q::text) from (values
  ('{"status": "active"}'::jsonb, '{2,1}'::integer[]), ('{"query": "pERSON2"}', '{2}'), ('{"query": "%"}', null), ('{"query": "_"}', null)) v (q, want);
select is((e -> 'type', e -> 'deliveries' -> 0 -> 'state')::text, '("""lead.created""","""parked""")' , 'an event has its deliveries')
from (select public.list_events('{"since": "1970-01-01T00:00:00Z", "type": ["lead.updated"]}') -> 'data' -> 1 || '{"type": "lead.created"}') x (e);

-- Rejected requests
select is(pg_temp.error(format('select public.%I(%L)', f, pg_temp.of('c', 7))), 'LP404 conversation_not_found', f || ' of no conversation')
from unnest('{list_messages,list_timeline,list_conversation_deliveries,list_conversation_events,explain_conversation}'::text[]) f;
select is(pg_temp.error(format('select public.%I(%L)', f, pg_temp.of('c', 1, jsonb_build_object('cursor', cursor)))), 'LP400 cursor invalid_cursor', f || ' with ' || cursor)
from unnest('{list_messages,list_timeline,list_conversation_deliveries,list_conversation_events,list_deliveries,list_events,list_subscribers}'::text[]) f,
  unnest(array['x', 'bnVsbA', '*', leadpipe.row_cursor('other', now(), pg_temp.uuid('a', 1))]) cursor;
select is(pg_temp.error(format('select public.list_messages(%L)', pg_temp.of('c', 1, jsonb_build_object('cursor', leadpipe.row_cursor('messages ' || pg_temp.uuid('c', 1), now(), pg_temp.uuid('a', 9)))))),
  'LP400 cursor invalid_cursor', 'a cursor with an unknown message is rejected');

-- Returns the cursor of the second page of the first conversation's list.
create function pg_temp.cursor(p_function text) returns text language plpgsql as $$
declare
  v_reply jsonb;
begin
  execute format('select public.%I($1)', p_function) into v_reply using pg_temp.of('c', 1, '{"limit": 1}');
  return v_reply ->> 'nextCursor';
end
$$;
select is(pg_temp.error(format('select public.%I(%L)', f, pg_temp.of('c', 2, jsonb_build_object('cursor', pg_temp.cursor(f))))), 'LP400 cursor invalid_cursor', f || ' with another conversation''s cursor')
from unnest('{list_messages,list_timeline,list_conversation_deliveries,list_conversation_events}'::text[]) f;

-- Retrying
select is(pg_temp.error(format('select public.retry_delivery(%L)', pg_temp.of('d', n))), want, 'retry of ' || n) from (values
  (9, 'LP404 notification_not_found'), (1, 'LP409 notification_sent'),
  (5, 'LP409 notification_due')) v (n, want);
select is((r ->> 'state', (r ->> 'nextAttemptAt')::timestamptz <= clock_timestamp())::text, '(waiting,t)', 'a delivery that was given up is due') from (select public.retry_delivery(pg_temp.of('d', 2, '{"by": "op"}'))) x (r);
select is(pg_temp.error(format('select public.retry_delivery(%L)', pg_temp.of('d', 2))), 'LP409 notification_due', 'a delivery that is due cannot be retried');
select is(count(*), 1::bigint, 'the timeline has the name of the operator') from public.conversation_timeline where title like 'Notification to be tried again%' and actor_name = 'op';

-- Replaying
select is(pg_temp.error(format('select public.replay_event(%L)', pg_temp.of('e', n))), want, 'replay of ' || n) from (values
  (9, 'LP404 event_not_found'), (5, 'LP409 event_not_finished')) v (n, want);
insert into public.lead_events (id, event_type, processed, planned_at) values (pg_temp.uuid('e', 7), 'lead.lost', true, now());
select is(pg_temp.error(format('select public.replay_event(%L)', pg_temp.of('e', 7))), 'LP409 event_without_notifications', 'an event without notifications cannot be replayed');
select is((r #> '{deliveries,0,replayOf}', jsonb_array_length(r -> 'deliveries'))::text, format('("""%s""",1)', pg_temp.uuid('d', 1)), 'a replay is a new row, linked to the first') from (select public.replay_event(pg_temp.of('e', 1))) x (r);

-- Channels
insert into public.notification_channels (channel, paused_until, pause_class, pause_reason) values ('telegram', now() + interval '1 hour', 'throttled', 'HTTP 429');
create temp table listed as select c ->> 'name' as name, c
from jsonb_array_elements(public.list_channels('{"configured": [{"channel": "slack", "recipient": "default"}, {"channel": "email", "recipient": "b@x"}, {"channel": "email", "recipient": "a@x"}]}') -> 'data') c;
select is(array_agg(name order by name), '{email,slack,telegram}', 'configured channels and channels with a row are listed') from listed;
select is((c -> 'isConfigured', c -> 'recipients', c ->> 'state', c -> 'waiting')::text, '(true,"[""a@x"", ""b@x""]",open,0)', 'a configured channel without a row is open') from listed where name = 'email';
select is((c -> 'isConfigured', c ->> 'state', c ->> 'class', c ->> 'reason', c -> 'waiting')::text, '(false,paused,throttled,"HTTP 429",1)', 'a paused channel has its reason') from listed where name = 'telegram';
select is(public.list_channels('{}') #> '{data,0,isConfigured}', 'false', 'without a configuration no channel is configured');
select is(pg_temp.error($$ select public.resume_channel('{"name": "fax"}') $$), 'LP404 channel_not_found', 'an unknown channel cannot be resumed');
select is(pg_temp.error($$ select public.resume_channel('{"name": "email"}') $$), 'LP404 channel_not_found', 'a channel that is not configured and has no row cannot be resumed');
select is((public.resume_channel('{"name": "telegram"}') -> 'wasPaused')::text, 'true', 'resuming ends a pause');
select is((public.resume_channel('{"name": "email", "configured": [{"channel": "email", "recipient": "a@x"}]}') -> 'wasPaused')::text, 'false', 'resuming a channel that is not paused succeeds');
select is(pg_temp.error($$ select public.test_channel('{"name": "slack", "configured": [{"channel": "email", "recipient": "a@x"}]}') $$), 'LP404 channel_not_configured', 'a channel that is not configured cannot be tested');
create temp table tested as select public.test_channel('{"name": "email", "by": "op", "configured": [{"channel": "email", "recipient": "a@x"}, {"channel": "slack", "recipient": "default"}, {"channel": "email", "recipient": "b@x"}]}') r;
select is((select array_agg(d ->> 'recipient') from jsonb_array_elements(r -> 'deliveries') d), '{a@x,b@x}', 'a test goes to each recipient') from tested;
select is((e.event_type, e.processed, e.planned_at is not null, e.payload ->> 'by')::text, '(channel.test,f,t,op)', 'a test is an event') from public.lead_events e, tested where e.id = (r ->> 'eventId')::uuid;
select is(jsonb_array_length(public.claim_deliveries('{"isComplete": true, "channels": [{"channel": "email", "recipient": "a@x"}, {"channel": "email", "recipient": "b@x"}, {"channel": "telegram"}]}') -> 'deliveries'), 3,
  'the next claim takes the tests to these recipients only (and the delivery due on telegram)');

-- Subscribers
select is(pg_temp.error(format('select public.delete_subscriber(%L)', pg_temp.of('f', 9))), 'LP404 subscriber_not_found', 'an unknown subscriber cannot be deleted');
create temp table subscribed as select public.subscribe_newsletter('{"email": "New@Example.com", "payload": {"email": "New@Example.com"}}') r;
select public.claim_deliveries('{"channels": [{"channel": "slack", "limit": 0}]}');
select is(count(*), 1::bigint, 'a subscription has a delivery') from public.notification_logs d, subscribed where d.lead_event_id = (r ->> 'eventId')::uuid;
select is(public.delete_subscriber(jsonb_build_object('id', r -> 'id')), jsonb_build_object('success', true, 'id', r -> 'id'), 'a subscriber is deleted') from subscribed;
select is((select count(*) from public.lead_events where payload::text ilike '%new@example.com%') + (select count(*) from public.notification_logs d, subscribed where d.lead_event_id = (r ->> 'eventId')::uuid), 0::bigint, 'the events and deliveries of a deleted subscriber are deleted');
select is((public.subscribe_newsletter('{"email": "new@example.com", "payload": {"email": "new@example.com"}}') -> 'isNew')::text, 'true', 'a deleted subscriber can subscribe again');

-- Explaining
select is((jsonb_array_length(r -> 'deliveries'), jsonb_array_length(r -> 'additions'), r #>> '{deliveries,0,kind}', r #> '{conversation,id}')::text,
  format('(6,2,delivery,"""%s""")', pg_temp.uuid('c', 1)), 'the facts of a conversation are returned') from (select public.explain_conversation(pg_temp.of('c', 1))) x (r);

-- Rights: the right that each function requires.
insert into public.admin_keys (name, rights, sha256) values ('reader', 'read', '\x01'), ('writer', 'write', '\x02');
select is(pg_temp.error(format('select public.%I(%L)', f, pg_temp.of('c', 1, format('{"auth": {"key": "%s"}}', key)::jsonb))), want, f || ' by ' || key) from (values
  ('list_messages', '01', 'none'), ('list_messages', '03', 'LP401 key_required'), ('list_channels', '01', 'none'), ('explain_conversation', '01', 'none'),
  ('retry_delivery', '01', 'LP403 insufficient_rights'), ('retry_delivery', '02', 'LP404 notification_not_found'),
  ('replay_event', '02', 'LP403 insufficient_rights'), ('test_channel', '02', 'LP403 insufficient_rights'),
  ('resume_channel', '02', 'LP403 insufficient_rights'), ('delete_subscriber', '02', 'LP403 insufficient_rights')) v (f, key, want);
select * from finish();
rollback;
