-- capture_leads: what comes together is stored as if one had come after the other, or not at all.
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

-- Strangers to each other
select pg_temp.together('new', pg_temp.lead('Z'), pg_temp.lead('A'), pg_temp.lead('M'));
select is(pg_temp.outcomes('new'), 'created,created,created', 'each is created');
select results_eq($$ select c.customer_name from replies r join public.conversations c on c.id = (r.r ->> 'id')::uuid where r.name = 'new' order by r.n $$,
  $$ values ('Z'), ('A'), ('M') $$, 'the replies come in the order of the leads');
select is((select count(distinct customer_id) from public.conversations where customer_name in ('Z', 'A', 'M')), 3::bigint, 'three customers');
select is((select count(*) from public.lead_events e join replies r on e.id = (r.r ->> 'eventId')::uuid where name = 'new' and event_type = 'lead.created'), 3::bigint, 'each has its event');
select is((select count(*) from public.conversation_timeline t join replies r on t.conversation_id = (r.r ->> 'id')::uuid where name = 'new'), 3::bigint, 'and its entry in the timeline');

-- Equal keys
select pg_temp.together('keys', pg_temp.keyed('K', 'k', '{"a": 1}'), pg_temp.keyed('L', 'l', '{}'), pg_temp.keyed('K', 'k', '{"a": 1}'), pg_temp.keyed('K', 'k', '{"a": 2}'));
select is(pg_temp.outcomes('keys'), 'created,created,replayed,mismatch', 'a repeated key is answered again, or refused');
select is((select count(distinct r ->> 'id') from replies where name = 'keys' and n in (1, 3)), 1::bigint, 'with the same conversation');
select is((select count(*) from public.conversations where customer_name = 'K'), 1::bigint, 'of which there is one');
select pg_temp.together('again', pg_temp.keyed('K', 'k', '{"a": 1}'));
select is(pg_temp.outcomes('again'), 'replayed', 'and later as well');

-- One conversation, one customer
select pg_temp.together('chat',
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "1", "text": "a"}]}'),
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]}'));
select is(pg_temp.outcomes('chat'), 'created,continued', 'a chat that grows is created and continued');
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'chat'), '1,1', 'each message is stored once');
select pg_temp.together('person', pg_temp.lead('P', '{"lead": {"customerName": "P", "customerPhone": "+971500000555"}}'),
  pg_temp.lead('Q', '{"lead": {"customerName": "Q", "customerPhone": "+971500000555"}}'));
select is((select count(distinct customer_id) from public.conversations where customer_phone = '+971500000555'), 1::bigint, 'one telephone number is one customer');

-- Known customers, known conversations and new ones, mixed
select pg_temp.together('mixed',
  pg_temp.lead('M1', '{"lead": {"customerName": "M1", "customerPhone": "+971500000555", "customerEmail": "m1@example.com"}}'),
  pg_temp.lead('C', '{"conversationId": "20000000-0000-4000-8000-000000000001", "messages": [{"id": "3", "text": "c"}]}'),
  pg_temp.lead('M2', '{"lead": {"customerName": "M2", "customerEmail": "M1@example.com"}}'),
  pg_temp.lead('M3', '{"lead": {"customerName": "M3", "customerPhone": "+971500000556", "customerEmail": "m1@EXAMPLE.com"}}'),
  pg_temp.lead('M4', '{"lead": {"customerName": "M4", "customerPhone": "+971500000556"}}'));
select is(pg_temp.outcomes('mixed'), 'created,continued,created,created,created', 'each is what it is');
select is((select count(distinct customer_id) from public.conversations where customer_name in ('P', 'M1', 'M2', 'M3', 'M4')), 1::bigint,
  'a customer is known by the phone, by the mail address that came with it, and by the phone that came with that');
select results_eq($$ select kind, value from public.customer_identities i where customer_id = (select customer_id from public.conversations where customer_name = 'P') order by 1, 2 $$,
  $$ values ('email', 'm1@example.com'), ('phone', '+971500000555'), ('phone', '+971500000556') $$, 'each address is remembered once');

-- Messages whose ids others have
select pg_temp.together('ids',
  pg_temp.lead('I1', '{"messages": [{"id": "30000000-0000-4000-8000-000000000001", "text": "a"}, {"text": "b"}, {"id": "x", "text": "c"}]}'),
  pg_temp.lead('I2', '{"messages": [{"id": "30000000-0000-4000-8000-000000000001", "text": "d"}, {"id": "x", "text": "e"}, {"id": "x", "text": "f"}]}'));
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'ids'), '3,2', 'every message is stored, a repeat once');
select results_eq($$ select c.customer_name || ' ' || m.message_text || ' ' || (m.id = '30000000-0000-4000-8000-000000000001') || ' ' || coalesce(m.metadata ->> 'clientId', '-')
    from public.chat_messages m join public.conversations c on c.id = m.conversation_id where c.customer_name in ('I1', 'I2') and m.message_text <> 'b'
    order by c.customer_name, m.created_at $$,
  $$ values ('I1 a true -'), ('I1 c false x'), ('I2 d false 30000000-0000-4000-8000-000000000001'), ('I2 e false x') $$, 'a taken id is replaced, and remembered');

select pg_temp.together('nameless',
  pg_temp.lead('I3', '{"messages": [{"text": "a"}, {"text": "b"}]}'),
  pg_temp.lead('I4', '{"messages": [{"id": "x", "text": "c"}, {"id": "x", "text": "d"}, {"text": "e"}, {"text": "f"}]}'));
select is((select string_agg(r ->> 'messagesAdded', ',' order by n) from replies where name = 'nameless'), '2,3', 'messages without an id are stored once, whatever a neighbour sends');
select is((select count(*) from public.chat_messages m join public.conversations c on c.id = m.conversation_id where c.customer_name in ('I3', 'I4')), 5::bigint, 'and no more');

-- A key that was pruned while its conversation still has it
delete from public.idempotency_keys where key = 'k';
select pg_temp.together('pruned', pg_temp.lead('N'), pg_temp.keyed('K', 'k', '{"a": 3}'));
select is(pg_temp.outcomes('pruned'), 'created,created', 'a pruned key is as new, and costs its neighbours nothing');
select is((select count(*) from public.conversations where idempotency_key = 'lead-capture:k'), 1::bigint, 'one conversation has it');

select pg_temp.together('continued', pg_temp.keyed('K', 'k2', '{}'));
delete from public.idempotency_keys where key = 'k2';
insert into replies select 'pruned and continued', 1, public.capture_lead(pg_temp.keyed('K', 'k2', '{}') || jsonb_build_object('conversationId', r ->> 'id')) from replies where name = 'continued';
insert into replies select 'and again', 1, public.capture_lead(pg_temp.keyed('K', 'k2', '{}') || jsonb_build_object('conversationId', r ->> 'id')) from replies where name = 'continued';
select is((select string_agg((r ->> 'outcome') || ' ' || (r ->> 'created'), ', ' order by name desc) from replies where name in ('pruned and continued', 'and again')),
  'continued false, replayed false', 'a repeat says what the first use of the key did');

-- Texts
select pg_temp.together('text', pg_temp.lead(U&'Jose\0301'), pg_temp.lead(U&'\0645\062D\0645\062F'), pg_temp.lead('Plain'));
select results_eq($$ select c.customer_name from replies r join public.conversations c on c.id = (r.r ->> 'id')::uuid where r.name = 'text' order by r.n $$,
  $$ values (U&'Jos\00E9'), (U&'\0645\062D\0645\062F'), ('Plain') $$, 'text is kept in NFC');

-- Without the event tables
savepoint whole;
set local client_min_messages = error;
drop table public.notification_logs, public.lead_events, public.conversation_timeline cascade;
select pg_temp.together('bare', pg_temp.lead('B1'), pg_temp.lead('B2'));
select is(pg_temp.outcomes('bare'), 'created,created', 'leads are stored without the event tables');
select is((select count(*) from replies where name = 'bare' and r ->> 'eventId' is null), 2::bigint, 'and say that they have no event');
rollback to whole;

-- All or none
select throws_ok($$ select public.capture_leads(jsonb_build_array(pg_temp.lead('Good'), pg_temp.lead('Bad', '{"messages": [{"id": "1", "sender": "nobody", "text": "x"}]}'))) $$,
  '23514', null, 'what cannot be stored is refused');
select is((select count(*) from public.conversations where customer_name in ('Good', 'Bad')), 0::bigint, 'with all that came with it');
select throws_ok($$ select public.capture_leads('{}') $$, '22023', null, 'a lead alone is no list');
select is(public.capture_leads('[]'), '[]', 'nothing is nothing');
select is((select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), 7::bigint, 'what two calls could want at once is locked until the end');

select * from finish();
rollback;
