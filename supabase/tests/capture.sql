-- capture_lead: leads that are stored, repeated, continued and rejected.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(89);

create function pg_temp.capture(p_lead jsonb, p_more jsonb default '{}') returns jsonb language sql as
  $$ select public.capture_lead(jsonb_build_object('route', 'lead-capture', 'receivedAt', '2026-11-22T21:00:00.000Z',
       'source', 'chatbot', 'lead', p_lead) || p_more) $$;
create function pg_temp.keyed(p_key text, p_content jsonb) returns jsonb language sql as
  $$ select pg_temp.capture('{"customerName": "Keyed"}', jsonb_build_object('idempotency', jsonb_build_object('key', p_key, 'content', p_content))) $$;
create temp table reply (name text primary key, r jsonb);

-- A new lead
insert into reply values ('new', pg_temp.capture(
  '{"customerName": "Jose\u0301", "customerPhone": "+971500000001", "customerEmail": "Jose@Example.com", "leadScore": 60, "leadQuality": "warm",
    "leadScoreBreakdown": {"source": "client"}, "tags": ["b", "a", "b"], "notes": "first", "metadata": {"utm": "Jose\u0301"},
    "slaDeadline": "2026-11-22T22:00:00Z", "durationMinutes": 5, "endTime": "2026-11-22T21:00:00Z"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000001",
    "messages": [{"id": "m2", "sender": "bot", "text": "one", "timestamp": "2026-11-22T21:00:00Z"},
                 {"id": "m1", "sender": "customer", "text": "two", "timestamp": "2026-11-22T21:00:00Z", "metadata": {"k": 1}},
                 {"id": "m1", "text": "a repeat"},
                 {"id": "AAAAAAAA-0000-4000-8000-000000000001", "text": "e\u0301", "timestamp": "2026-11-22T21:00:00Z"}],
    "event": {"type": "lead.created", "payload": {"name": "x"}}, "timeline": {"title": "Lead Created", "description": "From chat"}}'));
select is(r ->> 'outcome', 'created', 'a new lead is created') from reply where name = 'new';
select is(r ->> 'id', '10000000-0000-4000-8000-000000000001', 'a new conversation gets the requested id') from reply where name = 'new';
select matches(r ->> 'createdAt', '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$', 'times are ISO 8601 UTC with milliseconds') from reply where name = 'new';
select is(r -> 'messagesAdded', '3', 'repeated message ids are stored once') from reply where name = 'new';
create temp view lead as select * from public.conversations where id = '10000000-0000-4000-8000-000000000001';
select is(customer_name, U&'Jos\00E9', 'text is stored in NFC') from lead;
select is(metadata ->> 'utm', U&'Jose\0301', 'metadata is stored as sent') from lead;
select is(tags, '{b,a}'::text[], 'tags are unique and in the order sent') from lead;
select is(start_time, '2026-11-22T21:00:00Z', 'start_time defaults to the time of receipt') from lead;
select is((select string_agg(message_text, ',' order by "timestamp", created_at) from public.chat_messages where conversation_id = lead.id),
          U&'one,two,\00E9', 'messages with the same time stay in the order sent') from lead;
select is((select metadata from public.chat_messages where client_id = 'm1' and conversation_id = lead.id), '{"k": 1, "clientId": "m1"}',
          'a message id that is not a UUID is stored in the metadata') from lead;
select is((select conversation_id from public.chat_messages where id = 'aaaaaaaa-0000-4000-8000-000000000001'), lead.id, 'a message id that is a UUID becomes the id of the row') from lead;
select results_eq($$ select event_type::text, payload, processed, planned_at is null from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000001' $$,
  $$ values ('lead.created', '{"name": "x"}'::jsonb, false, true) $$, 'its event is not planned yet');
select results_eq($$ select event_type::text, title, description from public.conversation_timeline where conversation_id = '10000000-0000-4000-8000-000000000001' $$,
  $$ values ('created', 'Lead Created', 'From chat') $$, 'its timeline has an entry');
select is((select count(*) from public.customer_identities i where i.customer_id = lead.customer_id), 2::bigint, 'phone number and email address identify the customer') from lead;

-- Continued by a request that has the phone number or email address
insert into reply values ('mail', pg_temp.capture(
  '{"customerName": "Joe", "customerPhone": "+971500000002", "customerEmail": "jose@example.COM", "leadScore": 50, "leadQuality": "hot",
    "tags": ["c", "a"], "notes": "", "metadata": {"more": 1}, "slaDeadline": "2026-11-22T23:00:00Z", "durationMinutes": 3, "endTime": "2026-11-22T20:00:00Z"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000001", "messages": [{"id": "m1", "text": "x"}, {"id": "m3", "text": "y"}, {"id": "aaaaaaaa-0000-4000-8000-000000000001", "text": "z"}]}'));
select is(r ->> 'outcome', 'continued', 'an existing conversation is continued') from reply where name = 'mail';
select is(r -> 'messagesAdded', '1', 'only new messages are added') from reply where name = 'mail';
select is(customer_name, 'Joe', 'a proven request replaces the name') from lead;
select is(customer_phone, '+971500000002', 'an email address proves a new phone number, regardless of case') from lead;
select is(lead_score, 60, 'the score does not decrease') from lead;
select is(lead_quality, 'warm', 'the quality stays with the score') from lead;
select is(sla_response_deadline, '2026-11-22T22:00:00Z', 'the deadline does not move later') from lead;
select is(tags, '{b,a,c}'::text[], 'new tags are appended') from lead;
select is(notes, 'first', 'a missing value does not clear a stored one') from lead;
select is(metadata ->> 'more', '1', 'metadata is merged') from lead;
select is(duration_minutes, 5, 'the duration does not decrease') from lead;
select is(end_time, '2026-11-22T21:00:00Z', 'the end does not move earlier') from lead;
select results_eq($$ select event_type::text, payload, processed from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000001' and event_type <> 'lead.created' $$,
  $$ values ('lead.updated', '{"messagesAdded": 1, "proven": true}'::jsonb, true) $$, 'lead.updated is processed from the start');
select is((select count(*) from public.conversation_timeline where title = 'Lead Updated' and conversation_id = lead.id), 1::bigint, 'the update is in the timeline') from lead;
select is((select i.customer_id from public.customer_identities i where value = '+971500000002'), lead.customer_id, 'the new phone number belongs to the same customer') from lead;

select lives_ok($$ select pg_temp.capture('{"customerName": "Joe", "customerPhone": "+971500000002", "leadScore": 90, "leadQuality": "hot", "leadScoreBreakdown": {"b": 1}, "slaDeadline": "2026-11-22T21:15:00Z"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000001"}') $$, 'a request with a higher score continues');
select is((lead_score, lead_quality, lead_score_breakdown)::text, '(90,hot,"{""b"": 1}")', 'score, quality and breakdown change together') from lead;
select is(sla_response_deadline, '2026-11-22T21:15:00Z', 'the deadline moves earlier') from lead;
select results_eq($$ select title, description, actor_type from public.conversation_timeline where event_type = 'status_changed' and conversation_id = '10000000-0000-4000-8000-000000000001' $$,
  $$ values ('Lead qualified as hot', 'Score 90 (hot), was 60 (warm)', 'system') $$, 'the rise is in the timeline with both values');

-- A conversation that rises is announced once for each quality
select is((count(*), bool_and(not processed), min(idempotency_key))::text, '(1,t,lead.qualified:10000000-0000-4000-8000-000000000001:hot)', 'a rise into hot notifies')
from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000001' and event_type = 'lead.qualified';
select ok(payload @> '{"risenFrom": "warm", "conversation": "10000000-0000-4000-8000-000000000001", "leadScore": 90, "leadQuality": "hot", "leadScoreBefore": 60,
  "score": 90, "quality": "hot", "scoreBefore": 60, "qualityBefore": "warm"}', 'the event has the score and quality before and after')
from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000001' and event_type = 'lead.qualified';
create function pg_temp.rise(p_to integer, p_quality text, p_more jsonb default '{}', p_phone text default '+971500000088') returns text language plpgsql as $$
begin
  perform pg_temp.capture(jsonb_build_object('customerName', 'Riser', 'customerPhone', p_phone, 'leadScore', p_to, 'leadQuality', p_quality),
    '{"conversationId": "10000000-0000-4000-8000-000000000088"}' || p_more);
  return (select coalesce(string_agg((payload ->> 'quality') || case when processed then ' quiet' else '' end, ', ' order by seq), '')
    from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000088' and event_type = 'lead.qualified');
end
$$;
select is(pg_temp.rise(10, 'cold'), '', 'a new lead is not announced twice');
select is(pg_temp.rise(95, 'hot', '{}', '+971500000089'), '', 'an unproven request announces nothing');
select is(pg_temp.rise(20, 'cold'), '', 'nor does a higher score of the same quality');
select is(pg_temp.rise(60, 'warm'), 'warm quiet', 'a rise into warm does not notify by default');
select is(pg_temp.rise(85, 'hot', '{"messages": [{"id": "m1", "sender": "customer", "text": "first"}, {"id": "m2", "sender": "customer", "text": "last"}]}'), 'warm quiet, hot', 'a rise into hot does');
select is(payload ->> 'message', 'last', 'the notification has the latest message') from public.lead_events where event_type = 'lead.qualified' and payload ->> 'conversation' = '10000000-0000-4000-8000-000000000088';
select is(pg_temp.rise(90, 'hot'), 'warm quiet, hot', 'once');
update public.conversations set lead_quality = 'cold', lead_score = 5 where id = '10000000-0000-4000-8000-000000000088';
select is(pg_temp.rise(95, 'hot'), 'warm quiet, hot', 'also after an agent has lowered it');
delete from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000088';
update public.conversations set lead_quality = 'cold', lead_score = 5 where id = '10000000-0000-4000-8000-000000000088';
select is(pg_temp.rise(55, 'warm', '{"notifyQualified": ["hot", "warm"]}'), 'warm', 'a rise into warm notifies if that is wanted');
delete from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000088';
update public.conversations set lead_quality = 'cold', lead_score = 5, status = 'lost' where id = '10000000-0000-4000-8000-000000000088';
select is(pg_temp.rise(95, 'hot'), 'hot quiet', 'the event of a reopened conversation notifies instead');
select is((payload ->> 'leadQuality', processed)::text, '(hot,f)', 'with the new quality') from public.lead_events
where conversation_id = '10000000-0000-4000-8000-000000000088' and payload ? 'reopenedFrom';

-- New contact details of an answered lead
create function pg_temp.contact(p_phone text, p_email text) returns text language plpgsql as $$
begin
  perform pg_temp.capture(jsonb_strip_nulls(jsonb_build_object('customerName', 'Mover', 'customerPhone', p_phone, 'customerEmail', p_email)), '{"conversationId": "10000000-0000-4000-8000-000000000099"}');
  return (select concat_ws(' ', payload ->> 'contactBefore', case when processed then 'quiet' else 'notifies' end)
    from public.lead_events where conversation_id = '10000000-0000-4000-8000-000000000099' order by seq desc limit 1);
end
$$;
select pg_temp.contact('+971500000099', null);
select is(pg_temp.contact('+971500000099', 'one@mover.example'), 'quiet', 'contact details of a lead that nobody has answered are only stored');
update public.conversations set first_response_at = now() where id = '10000000-0000-4000-8000-000000000099';
select is(pg_temp.contact('+971500000099', 'One@mover.example'), 'quiet', 'another case is the same address');
select is(pg_temp.contact('+971500000099', 'two@mover.example'), '{"customerEmail": "One@mover.example", "customerPhone": "+971500000099"} notifies', 'another address is announced');
select is(pg_temp.contact('+971500000099', 'two@mover.example'), 'quiet', 'once');
select is(pg_temp.contact('+971500000098', 'three@mover.example'), 'quiet', 'an unproven request announces nothing');

-- A closed conversation whose customer writes again
insert into reply values ('closed', pg_temp.capture('{"customerName": "Closed", "customerPhone": "+971500000077", "leadScore": 10, "leadQuality": "cold", "slaDeadline": "2026-11-22T22:00:00Z"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000077", "messages": [{"id": "m1", "text": "one"}]}'));
update public.conversations set status = 'lost', sla_breached = true where id = '10000000-0000-4000-8000-000000000077';
insert into reply values ('same', pg_temp.capture('{"customerName": "Closed", "customerPhone": "+971500000077"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000077", "messages": [{"id": "m1", "text": "one"}]}'));
select is((r ->> 'status', r -> 'reopenedFrom')::text, '(lost,)', 'a repeated chat does not reopen a conversation') from reply where name = 'same';
insert into reply values ('bot', pg_temp.capture('{"customerName": "Closed", "customerPhone": "+971500000077"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000077", "messages": [{"id": "b1", "sender": "bot", "text": "bye"}]}'));
select is((r ->> 'status', r -> 'reopenedFrom')::text, '(lost,)', 'a message of the bot does not reopen a conversation') from reply where name = 'bot';
insert into reply values ('again', pg_temp.capture('{"customerName": "Closed", "customerPhone": "+971500000077", "leadScore": 5, "leadQuality": "warm", "slaDeadline": "2098-11-22T22:00:00Z", "slaDeadlines": {"cold": "2099-11-22T22:00:00Z"}}',
  '{"conversationId": "10000000-0000-4000-8000-000000000077", "messages": [{"id": "m1", "text": "one"}, {"id": "m2", "text": "two"}, {"id": "m1", "text": "not stored"}], "event": {"payload": {"budget": "5M", "customerEmail": "other@example.com"}}}'));
select is((r ->> 'status', r ->> 'reopenedFrom')::text, '(new,lost)', 'a new message reopens a lost conversation') from reply where name = 'again';
select is((status, sla_response_deadline, sla_breached)::text, ('new'::text, '2099-11-22T22:00:00Z'::timestamptz, false)::text, 'a customer without an answer waits from then on, as long as the stored quality says')
  from public.conversations where id = '10000000-0000-4000-8000-000000000077';
select results_eq($$ select title, description from public.conversation_timeline where event_type = 'status_changed' and conversation_id = '10000000-0000-4000-8000-000000000077' $$,
  $$ values ('Reopened: the customer wrote again', 'Status new, was lost') $$, 'the reopening is in the timeline');
select results_eq($$ select payload - 'messagesAdded' - 'proven', processed, planned_at is null from public.lead_events
    where conversation_id = '10000000-0000-4000-8000-000000000077' and payload ? 'reopenedFrom' $$,
  $$ values ('{"budget": "5M", "message": "two", "reopenedFrom": "lost", "customerName": "Closed", "customerPhone": "+971500000077", "leadScore": 10, "leadQuality": "cold"}'::jsonb, false, true) $$,
  'the event of a reopening notifies, with the stored customer and the latest stored message');
update public.conversations set status = 'completed', first_response_at = '2026-11-22T21:30:00Z' where id = '10000000-0000-4000-8000-000000000077';
insert into reply values ('form', pg_temp.capture('{"customerName": "Stranger", "customerPhone": "+15550000077"}', '{"conversationId": "10000000-0000-4000-8000-000000000077"}'));
select is((r ->> 'status', r ->> 'reopenedFrom')::text, '(in-progress,completed)', 'a form without messages reopens a conversation, in progress if it was answered') from reply where name = 'form';
update public.conversations set status = 'converted' where id = '10000000-0000-4000-8000-000000000077';
insert into reply values ('sold', pg_temp.capture('{"customerName": "Closed", "customerPhone": "+971500000077"}', '{"conversationId": "10000000-0000-4000-8000-000000000077"}'));
select is((r ->> 'status', r -> 'reopenedFrom')::text, '(converted,)', 'a converted lead stays converted') from reply where name = 'sold';

-- Continued by an unproven request
create temp table before as select * from lead;
select lives_ok($$ select pg_temp.capture('{"customerName": "Mallory", "customerPhone": "+15550000000", "customerEmail": "m@evil.com", "leadScore": 100, "leadQuality": "hot",
    "intent": "rent", "tags": ["evil"], "notes": "evil", "metadata": {"evil": 1}, "slaDeadline": "2020-01-01T00:00:00Z", "durationMinutes": 999, "endTime": "2099-01-01T00:00:00Z"}',
  '{"conversationId": "10000000-0000-4000-8000-000000000001", "messages": [{"id": "evil", "text": "hello"}]}') $$, 'an unproven request can add messages');
select is(to_jsonb(lead) - 'updated_at', to_jsonb(before) - 'updated_at' || '{"intent": "rent"}', 'an unproven request fills empty fields and changes no others') from lead, before;
select is((select count(*) from public.chat_messages where client_id = 'evil'), 1::bigint, 'the message of an unproven request is stored');
select is((select count(*) from public.customer_identities where value in ('+15550000000', 'm@evil.com')), 0::bigint, 'an unproven phone number and email address do not become the customer''s');

-- An unproven request cannot store an email address that would prove the next request
select lives_ok($$ select pg_temp.capture('{"customerName": "No Mail", "customerPhone": "+971500000055"}', '{"conversationId": "10000000-0000-4000-8000-000000000055"}'),
  pg_temp.capture('{"customerName": "Mallory", "customerPhone": "+15550000055", "customerEmail": "m@evil.com"}', '{"conversationId": "10000000-0000-4000-8000-000000000055"}'),
  pg_temp.capture('{"customerName": "Mallory", "customerPhone": "+15550000055", "customerEmail": "m@evil.com"}', '{"conversationId": "10000000-0000-4000-8000-000000000055"}') $$,
  'an unproven request is sent twice');
select is((customer_name, customer_phone, customer_email)::text, '("No Mail",+971500000055,)', 'the first request does not prove the second')
  from public.conversations where id = '10000000-0000-4000-8000-000000000055';
select is((select count(*) from public.customer_identities where value = 'm@evil.com'), 0::bigint, 'no identity is stored for an unproven request');

-- A row from before the column customer_id
insert into public.conversations (id, customer_name, customer_phone) values ('10000000-0000-4000-8000-000000000066', 'Old Row', '+971500000066');
select lives_ok($$ select pg_temp.capture('{"customerName": "Mallory", "customerPhone": "+15550000066"}', '{"conversationId": "10000000-0000-4000-8000-000000000066"}') $$, 'an unproven request continues an old row');
select isnt((select customer_id from public.customer_identities where value = '+971500000066'),
            (select customer_id from public.customer_identities where value = '+15550000066'), 'the old row does not get the customer of the unproven request');

-- A message id of another conversation
insert into reply values ('taken', pg_temp.capture('{"customerName": "Other"}', '{"messages": [{"id": "aaaaaaaa-0000-4000-8000-000000000001", "text": "mine"}]}'));
select is(r -> 'messagesAdded', '1', 'a message id of another conversation does not fail') from reply where name = 'taken';
select is((select message_text from public.chat_messages where id = 'aaaaaaaa-0000-4000-8000-000000000001'), U&'\00E9', 'the message of the other conversation is unchanged');
select is((select metadata ->> 'clientId' from public.chat_messages where conversation_id = (r ->> 'id')::uuid), 'aaaaaaaa-0000-4000-8000-000000000001',
          'the duplicate id is stored in the metadata') from reply where name = 'taken';

-- The same customer
insert into reply values ('phone', pg_temp.capture('{"customerName": "B", "customerPhone": "+971500000001", "customerEmail": "b@example.com"}')),
                         ('email', pg_temp.capture('{"customerName": "B", "customerEmail": "B@EXAMPLE.com"}')),
                         ('both', pg_temp.capture('{"customerName": "B", "customerPhone": "+971500000009", "customerEmail": "c@example.com"}')),
                         ('wins', pg_temp.capture('{"customerName": "B", "customerPhone": "+971500000001", "customerEmail": "c@example.com"}'));
select is(c.customer_id, lead.customer_id, 'the same customer by ' || name)
from lead, reply join public.conversations c on c.id = (r ->> 'id')::uuid where name in ('phone', 'email', 'wins') order by name;
select isnt(c.customer_id, lead.customer_id, 'another phone number and email address: another customer')
from lead, reply join public.conversations c on c.id = (r ->> 'id')::uuid where name = 'both';

-- Idempotency
insert into reply values ('k1', pg_temp.keyed('k', '{"a": 1}'));
insert into reply values ('k2', pg_temp.keyed('k', '{"a": 1}'));
insert into reply values ('k3', pg_temp.keyed('k', '{"a": 2}'));
select is(k2.r, k1.r || '{"outcome": "replayed", "eventId": null}', 'a repeat returns the values of the stored row') from reply k1, reply k2 where k1.name = 'k1' and k2.name = 'k2';
select is(r, '{"outcome": "mismatch", "created": false, "id": null, "status": null, "createdAt": null, "updatedAt": null, "eventId": null, "messagesAdded": 0}',
          'a different body is rejected') from reply where name = 'k3';
select is((select count(*) from public.conversations where customer_name = 'Keyed'), 1::bigint, 'neither the repeat nor the different body is stored');
select is(idempotency_key, 'lead-capture:k', 'the row stores its key') from public.conversations where customer_name = 'Keyed';
update public.idempotency_keys set created_at = now() - interval '8 days' where key = 'k';
insert into reply values ('k4', pg_temp.keyed('k', '{"a": 2}'));
select is(r ->> 'outcome', 'created', 'after 7 days a key counts as unused') from reply where name = 'k4';
delete from public.idempotency_keys where key = 'k';
select is(pg_temp.keyed('k', '{"a": 3}') ->> 'outcome', 'created', 'a pruned key counts as unused even if its conversation exists');
delete from public.conversations where customer_name = 'Keyed';
select is(pg_temp.keyed('k', '{"a": 4}') ->> 'outcome', 'created', 'a key whose conversation was deleted counts as unused');
select is(pg_temp.capture('{"customerName": "Keyed"}', '{"route": "contact-capture", "idempotency": {"key": "k", "content": {"a": 4}}}') ->> 'outcome', 'created', 'a key is valid for its route only');
insert into reply values ('k5', pg_temp.capture('{"customerName": "J", "customerPhone": "+971500000002"}', '{"conversationId": "10000000-0000-4000-8000-000000000001", "idempotency": {"key": "c", "content": {}}}'));
insert into reply values ('k6', pg_temp.capture('{"customerName": "J", "customerPhone": "+971500000002"}', '{"conversationId": "10000000-0000-4000-8000-000000000001", "idempotency": {"key": "c", "content": {}}}'));
select is(r ->> 'created', 'false', 'a replayed continuation still reports created: false') from reply where name = 'k6';

-- The minimum
select is(pg_temp.capture('{"customerName": "Bare"}') ->> 'outcome', 'created', 'a name is enough');
select is((status, lead_score, lead_quality, tags, source)::text, '(new,0,cold,{},chatbot)', 'the other fields have defaults') from public.conversations where customer_name = 'Bare';
select is(public.capture_lead('{"route": "r", "receivedAt": "2026-11-22T21:00:00Z", "conversationId": null, "source": "s", "idempotency": null, "messages": null, "event": null, "timeline": null,
  "lead": {"customerName": "Nulls", "customerPhone": null, "tags": null, "metadata": null, "deviceInfo": null, "leadScoreBreakdown": null, "leadScore": null}}') ->> 'outcome', 'created', 'null counts as missing');
select is((metadata, device_info, lead_score_breakdown)::text, '(,,)', 'null counts as missing for objects too') from public.conversations where customer_name = 'Nulls';
select is(count(*), 0::bigint, 'the transaction does not listen for notifications') from pg_listening_channels();

select * from finish();
rollback;
