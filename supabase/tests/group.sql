-- capture_leads: leads in one call are stored as if they had arrived one after the other, or not at all.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(30);

create function pg_temp.lead(p_name text, p_more jsonb default '{}') returns jsonb language sql as
  $$ select jsonb_build_object('route', 'lead-capture', 'receivedAt', '2026-11-22T21:00:00.000Z', 'source', 'chatbot',
       'lead', jsonb_build_object('customerName', p_name)) || p_more $$;
create function pg_temp.keyed(p_name text, p_key text, p_content jsonb) returns jsonb language sql as
  $$ select pg_temp.lead(p_name, jsonb_build_object('idempotency', jsonb_build_object('key', p_key, 'content', p_content))) $$;
create temp table replies (name text, n bigint, r jsonb);
create function pg_temp.together(p_name text, variadic p_leads jsonb[]) returns void language sql as
  $$ insert into replies select p_name, n, r from jsonb_array_elements(public.capture_leads(to_jsonb(p_leads))) with ordinality as given (r, n) $$;
create function pg_temp.outcomes(p_name text) returns text language sql as
  $$ select string_agg(r ->> 'outcome', ',' order by n) from replies where name = p_name $$;

-- Independent leads
select pg_temp.together('new', pg_temp.lead('Z'), pg_temp.lead('A'), pg_temp.lead('M'));
select is(pg_temp.outcomes('new'), 'created,created,created', 'all leads are created');
select results_eq($$ select c.customer_name from replies r join public.conversations c on c.id = (r.r ->> 'id')::uuid where r.name = 'new' order by r.n $$,
  $$ values ('Z'), ('A'), ('M') $$, 'the replies have the order of the leads');
select is((select count(distinct customer_id) from public.conversations where customer_name in ('Z', 'A', 'M')), 3::bigint, 'there are three customers');
select is((select count(*) from public.lead_events e join replies r on e.id = (r.r ->> 'eventId')::uuid where name = 'new' and event_type = 'lead.created'), 3::bigint, 'each lead has an event');
select is((select count(*) from public.conversation_timeline t join replies r on t.conversation_id = (r.r ->> 'id')::uuid where name = 'new'), 3::bigint, 'each lead has a timeline entry');

-- Equal keys
select pg_temp.together('keys', pg_temp.keyed('K', 'k', '{"a": 1}'), pg_temp.keyed('L', 'l', '{}'), pg_temp.keyed('K', 'k', '{"a": 1}'), pg_temp.keyed('K', 'k', '{"a": 2}'));
select is(pg_temp.outcomes('keys'), 'created,created,replayed,mismatch', 'a repeated key is replayed or, with a different body, rejected');
select is((select count(distinct r ->> 'id') from replies where name = 'keys' and n in (1, 3)), 1::bigint, 'the replay has the same conversation');
select is((select count(*) from public.conversations where customer_name = 'K'), 1::bigint, 'the replay creates no conversation');
select pg_temp.together('again', pg_temp.keyed('K', 'k', '{"a": 1}'));
select is(pg_temp.outcomes('again'), 'replayed', 'a later call replays the key too');

-- One conversation, one customer
select pg_temp.together('chat',
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "1", "text": "a"}]}'),
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]}'));
select is(pg_temp.outcomes('chat'), 'created,continued', 'a growing chat is created and continued');
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'chat'), '1,1', 'each message is stored once');
select pg_temp.together('person', pg_temp.lead('P', '{"lead": {"customerName": "P", "customerPhone": "+971500000555"}}'),
  pg_temp.lead('Q', '{"lead": {"customerName": "Q", "customerPhone": "+971500000555"}}'));
select is((select count(distinct customer_id) from public.conversations where customer_phone = '+971500000555'), 1::bigint, 'one phone number is one customer');

-- Existing and new customers and conversations, mixed
select pg_temp.together('mixed',
  pg_temp.lead('M1', '{"lead": {"customerName": "M1", "customerPhone": "+971500000555", "customerEmail": "m1@example.com"}}'),
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "3", "text": "c"}]}'),
  pg_temp.lead('M2', '{"lead": {"customerName": "M2", "customerEmail": "M1@example.com"}}'),
  pg_temp.lead('M3', '{"lead": {"customerName": "M3", "customerPhone": "+971500000556", "customerEmail": "m1@EXAMPLE.com"}}'),
  pg_temp.lead('M4', '{"lead": {"customerName": "M4", "customerPhone": "+971500000556"}}'));
select is(pg_temp.outcomes('mixed'), 'created,continued,created,created,created', 'each lead has its own outcome');
select is((select count(distinct customer_id) from public.conversations where customer_name in ('P', 'M1', 'M2', 'M3', 'M4')), 1::bigint,
  'a customer is identified by a phone number, by its email address, and by another phone number of this address');
select results_eq($$ select kind, value from public.customer_identities i where customer_id = (select customer_id from public.conversations where customer_name = 'P') order by 1, 2 $$,
  $$ values ('email', 'm1@example.com'), ('phone', '+971500000555'), ('phone', '+971500000556') $$, 'each phone number and email address is stored once');

-- Messages with ids of other conversations
select pg_temp.together('ids',
  pg_temp.lead('I1', '{"messages": [{"id": "30000000-0000-4000-8000-000000000001", "text": "a"}, {"text": "b"}, {"id": "x", "text": "c"}]}'),
  pg_temp.lead('I2', '{"messages": [{"id": "30000000-0000-4000-8000-000000000001", "text": "d"}, {"id": "x", "text": "e"}, {"id": "x", "text": "f"}]}'));
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'ids'), '3,2', 'every message is stored once');
select results_eq($$ select c.customer_name || ' ' || m.message_text || ' ' || (m.id = '30000000-0000-4000-8000-000000000001') || ' ' || coalesce(m.metadata ->> 'clientId', '-')
    from public.chat_messages m join public.conversations c on c.id = m.conversation_id where c.customer_name in ('I1', 'I2') and m.message_text <> 'b'
    order by c.customer_name, m.created_at $$,
  $$ values ('I1 a true -'), ('I1 c false x'), ('I2 d false 30000000-0000-4000-8000-000000000001'), ('I2 e false x') $$, 'an id that is in use is replaced, and stored in the metadata');

select pg_temp.together('nameless',
  pg_temp.lead('I3', '{"messages": [{"text": "a"}, {"text": "b"}]}'),
  pg_temp.lead('I4', '{"messages": [{"id": "x", "text": "c"}, {"id": "x", "text": "d"}, {"text": "e"}, {"text": "f"}]}'));
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'nameless'), '2,3', 'messages without an id are stored once, even if another lead repeats an id');
select is((select count(*) from public.chat_messages m join public.conversations c on c.id = m.conversation_id where c.customer_name in ('I3', 'I4')), 5::bigint, 'no other messages are stored');

-- A key that was pruned while its conversation still has it
delete from public.idempotency_keys where key = 'k';
select pg_temp.together('pruned', pg_temp.lead('N'), pg_temp.keyed('K', 'k', '{"a": 3}'));
select is(pg_temp.outcomes('pruned'), 'created,created', 'a pruned key counts as new and does not affect the other leads');
select is((select count(*) from public.conversations where idempotency_key = 'lead-capture:k'), 1::bigint, 'one conversation has the key');

select pg_temp.together('continued', pg_temp.keyed('K', 'k2', '{}'));
delete from public.idempotency_keys where key = 'k2';
insert into replies select 'pruned and continued', 1, public.capture_lead(pg_temp.keyed('K', 'k2', '{}') || jsonb_build_object('conversationId', r ->> 'id')) from replies where name = 'continued';
insert into replies select 'and again', 1, public.capture_lead(pg_temp.keyed('K', 'k2', '{}') || jsonb_build_object('conversationId', r ->> 'id')) from replies where name = 'continued';
select is((select string_agg((r ->> 'outcome') || ' ' || (r ->> 'created'), ', ' order by name desc) from replies where name in ('pruned and continued', 'and again')),
  'continued false, replayed false', 'a repeat reports the result of the first use of the key');

-- Texts
select pg_temp.together('text', pg_temp.lead(U&'Jose\0301'), pg_temp.lead(U&'\0645\062D\0645\062F'), pg_temp.lead('Plain'));
select results_eq($$ select c.customer_name from replies r join public.conversations c on c.id = (r.r ->> 'id')::uuid where r.name = 'text' order by r.n $$,
  $$ values (U&'Jos\00E9'), (U&'\0645\062D\0645\062F'), ('Plain') $$, 'text is stored in NFC');

-- Without the event tables
savepoint whole;
set local client_min_messages = error;
drop table public.notification_logs, public.lead_events, public.conversation_timeline cascade;
select pg_temp.together('bare', pg_temp.lead('B1'), pg_temp.lead('B2'));
select is(pg_temp.outcomes('bare'), 'created,created', 'leads are stored without the event tables');
select is((select count(*) from replies where name = 'bare' and r ->> 'eventId' is null), 2::bigint, 'the replies have no event');
rollback to whole;

-- All or nothing
select throws_ok($$ select public.capture_leads(jsonb_build_array(pg_temp.lead('Good'), pg_temp.lead('Bad', '{"messages": [{"id": "1", "sender": "nobody", "text": "x"}]}'))) $$,
  '23514', null, 'an invalid lead fails the call');
select is((select count(*) from public.conversations where customer_name in ('Good', 'Bad')), 0::bigint, 'no lead of a failed call is stored');
select throws_ok($$ select public.capture_leads('{}') $$, '22023', null, 'an object instead of an array is rejected');
select is(public.capture_leads('[]'), '[]', 'an empty array gives an empty array');
select is((select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), 7::bigint, 'keys, conversations and addresses are locked until the transaction ends');

select * from finish();
rollback;
