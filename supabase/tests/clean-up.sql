-- The checklist's clean-up: its four lines unchanged, capture before and after in one session, and the tables created
-- again.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;
select plan(16);

create function pg_temp.capture() returns jsonb language sql as
  $$ select public.capture_lead('{"route": "lead-capture", "source": "chatbot", "lead": {"customerName": "Clean", "customerPhone": "+971500000077"}, "messages": [{"id": "1", "text": "hi"}]}') $$;

-- Enough calls for PostgreSQL to cache every plan.
select isnt(max(pg_temp.capture() ->> 'eventId'), null, 'capture has an event') from generate_series(1, 12);

-- The only foreign key to the four tables is the checklist's own, which the order of its lines allows.
select is(array_agg(conname::text order by conname), '{notification_logs_lead_event_id_fkey}', 'only the checklist''s own foreign key references the four tables')
from pg_constraint where contype = 'f'
  and confrelid::regclass::text in ('lead_events', 'conversation_timeline', 'follow_up_tasks', 'notification_logs');

DROP TABLE IF EXISTS notification_logs;
DROP TABLE IF EXISTS follow_up_tasks;
DROP TABLE IF EXISTS conversation_timeline;
DROP TABLE IF EXISTS lead_events;
select pass('the four lines run unchanged');

select is(array_agg(distinct r ->> 'outcome'), '{created}', 'capture works without the tables') from (select pg_temp.capture() as r from generate_series(1, 12)) x;
select is(pg_temp.capture() ->> 'eventId', null, 'capture without the tables has no event');
select is(pg_temp.capture() -> 'messagesAdded', '1', 'capture without the tables stores messages');
select is(public.health_report() - '{workerLastSeen,workerIsSilent,pausedChannels,durable,hasRoom,mayCapture,changedLogins}'::text[], '{"unprocessed": null, "oldestSeconds": null, "failed": null}', 'the health report has no data about events');
select is((public.capture_lead(jsonb_build_object('route', 'r', 'source', 's', 'conversationId', (select id from public.conversations where customer_name = 'Clean' limit 1),
  'lead', '{"customerName": "Clean"}'::jsonb)) ->> 'outcome'), 'continued', 'a conversation can be continued');

-- The tables as the migration creates them, without indexes.
create table public.lead_events (id uuid primary key default gen_random_uuid(), event_type public.lead_event_type not null, conversation_id uuid,
  payload jsonb not null default '{}', processed boolean default false, processed_at timestamptz, idempotency_key text unique, planned_at timestamptz, request_id text, created_at timestamptz default now());
create table public.conversation_timeline (id uuid primary key default gen_random_uuid(), conversation_id uuid, event_type public.timeline_event_type, title text,
  description text, actor_type text, actor_id uuid, actor_name text, metadata jsonb, created_at timestamptz default now());
select is(count(r ->> 'eventId'), 12::bigint, 'the same session uses the new tables') from (select pg_temp.capture() as r from generate_series(1, 12)) x;
select is((select count(*) from public.lead_events), 12::bigint, 'it adds events');
select is((select count(*) from public.conversation_timeline), 12::bigint, 'it adds timeline entries');

drop table public.conversation_timeline, public.lead_events;
select is(pg_temp.capture() ->> 'outcome', 'created', 'capture works after the tables are dropped again');

select has_column('public', 'conversations', c, 'conversations keeps ' || c) from unnest('{metadata,idempotency_key,source,sla_response_deadline}'::text[]) c;
select * from finish();
rollback;
