-- The test lead of `leadpipe check`: it is kept away from agents and the SLA sweep, and nothing of it remains.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(14);

create function pg_temp.lead(p_id text, p_name text, p_phone text, p_email text default 'check-0123456789ab@example.com') returns jsonb language sql as $$
  select public.capture_lead(jsonb_build_object('route', 'lead-capture', 'source', 'chatbot', 'conversationId', p_id,
    'idempotency', jsonb_build_object('key', p_id, 'content', '{}'::jsonb),
    'lead', jsonb_build_object('customerName', p_name, 'customerPhone', p_phone, 'customerEmail', p_email, 'leadQuality', 'cold', 'metadata', '{"leadpipeCheck": true}'::jsonb),
    'event', jsonb_build_object('type', 'lead.created', 'payload', jsonb_build_object('customerName', p_name))))
$$;
select pg_temp.lead('00000000-0000-4000-8000-0000000000c1', '[test] Leadpipe check', '+971510000001');
select pg_temp.lead('00000000-0000-4000-8000-0000000000c2', 'Sara Ahmed', '+971501234567', 'sara@example.com');
-- A visitor who sends the name and the mark, and can be answered.
select pg_temp.lead('00000000-0000-4000-8000-0000000000c3', '[test] Leadpipe check', '+971510000003', 'sara2@example.com');
-- What an interrupted check has left.
select pg_temp.lead('00000000-0000-4000-8000-0000000000c4', '[test] Leadpipe check', '+971510000004', 'check-0123456789cd@example.com');
update public.conversations set created_at = now() - interval '1 hour'
where id in ('00000000-0000-4000-8000-0000000000c3', '00000000-0000-4000-8000-0000000000c4');
insert into public.notification_logs (id, lead_event_id, conversation_id, channel)
select '00000000-0000-4000-8000-0000000000d1', id, conversation_id, 'slack' from public.lead_events
where conversation_id = '00000000-0000-4000-8000-0000000000c1' and event_type = 'lead.created';
insert into public.notification_attempts (delivery, fence, attempt) values ('00000000-0000-4000-8000-0000000000d1', 1, 1);

select is(public.prepare_test_lead(), '{}', 'without an id, it does nothing');
select throws_ok($$ select public.prepare_test_lead('{"id": "00000000-0000-4000-8000-0000000000c2"}') $$, 'LP404', null,
                 'a lead of a visitor is no test lead');
select is(public.prepare_test_lead('{"id": "00000000-0000-4000-8000-0000000000c1"}'), '{}', 'a test lead is prepared');
select ok(sla_response_deadline < created_at, 'its deadline is before its creation') from public.conversations
where id = '00000000-0000-4000-8000-0000000000c1';
select ok(is_released, 'it is not assigned') from leadpipe.assignment_turns where conversation_id = '00000000-0000-4000-8000-0000000000c1';
select is(public.sweep_sla('{}') ->> 'breached', '0', 'the sweep does not announce it');

-- A visitor's lead that looks like a test lead now was none when it was created.
update public.conversations set customer_name = '[test] Leadpipe check', created_at = now() - interval '1 hour'
where id = '00000000-0000-4000-8000-0000000000c2';
select is(public.remove_test_leads('{"id": "00000000-0000-4000-8000-0000000000c2"}'), '{"removed": 1, "own": false}',
          'it is not removed; what another check has left is');
select is(public.remove_test_leads('{"id": "00000000-0000-4000-8000-0000000000c1"}'), '{"removed": 1, "own": true}', 'the test lead is removed');
select is(public.remove_test_leads('{"id": "00000000-0000-4000-8000-0000000000c3"}'), '{"removed": 0, "own": false}',
          'a lead with the name and the mark that can be answered is not removed');
select is((select array_agg(right(id::text, 2) order by id) from public.conversations), '{c2,c3}', 'the other leads remain');
select is((select jsonb_agg(jsonb_build_array(action, details)) from leadpipe.audit_log),
          '[["test_leads.removed", {"conversations": ["00000000-0000-4000-8000-0000000000c4"]}]]', 'what the other check has left is in the audit log');
select is((select count(*) from leadpipe.audit_log where details::text like '%c1%'), 0::bigint, 'its own lead is not');
select is((select count(*) from public.notification_attempts), 0::bigint, 'no attempt remains');
select is(
  (select count(*) from public.idempotency_keys where key like '%c1') + (select count(*) from public.customer_identities where value = '+971510000001'),
  0::bigint, 'neither its key nor its phone number remains');

select * from finish();
rollback;
