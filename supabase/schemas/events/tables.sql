-- Events: what happened to leads.
--
--   planned_at null ──plan──▶ planned ──all deliveries final──▶ processed

create sequence public.lead_events_seq as bigint;
-- An event that causes notifications is updated twice soon after its insert: when it is planned, and when it is
-- finished. The second update changes no column of an index, also not in a condition, so that it is a HOT update: no
-- index has processed or processed_at. The half of each page that an insert leaves free is for these versions. Vacuum
-- runs after a number of rows, not after a share of the table, because the partial index must stay small however many
-- rows are planned.
create table public.lead_events (
  id uuid constraint lead_events_pkey primary key default leadpipe.uuid_v7(),
  event_type public.lead_event_type not null,
  conversation_id uuid
    constraint lead_events_conversation_id_fkey references public.conversations (id) on delete cascade,
  payload jsonb not null default '{}',
  processed boolean not null default false,
  processed_at timestamptz,
  retry_count integer not null default 0,
  max_retries integer not null default 3,
  last_error text,
  idempotency_key text constraint lead_events_idempotency_key_key unique,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  planned_at timestamptz,
  seq bigint default nextval('public.lead_events_seq'),
  xact xid8 default pg_current_xact_id(),
  request_id text
) with (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
alter sequence public.lead_events_seq owned by public.lead_events.seq;
revoke all on sequence public.lead_events_seq from public, anon, authenticated, service_role;
-- A role that inserts events needs numbers of the sequence.
grant usage on sequence public.lead_events_seq to service_role;
create index lead_events_conversation_id_idx on public.lead_events (conversation_id, created_at);
-- Planned events that are not finished have an unfinished delivery: see notification_logs_open_idx.
create index lead_events_unplanned_idx on public.lead_events (created_at, id) where planned_at is null;
-- Values increase, so new entries go to the last page of the index, which is in memory.
create index lead_events_xact_idx on public.lead_events (xact) where xact is not null;
-- For the event log, newest first, of all or some types: the log of all types is merged from those of each type. Pruning
-- reads it from its other end.
create index lead_events_type_idx on public.lead_events (event_type, created_at, id);
-- For erasing: the digests with a line about a conversation.
create index lead_events_digests_idx on public.lead_events using gin (jsonb_path_query_array(payload, '$.lines[*].conversationId'))
  where event_type = 'agent.digest';
-- The functions that write most rows set updated_at themselves. The trigger is for all other writers.
create or replace trigger lead_events_updated_at before update on public.lead_events
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();
select leadpipe.protect_table('public.lead_events');
comment on table public.lead_events is 'Events: what happened to leads. Rows with processed = false are the backlog.';
comment on column public.lead_events.planned_at is 'When the deliveries of the event were created; null until then.';
comment on column public.lead_events.conversation_id is 'Null for an event without a conversation, such as newsletter.subscribed.';
comment on column public.lead_events.retry_count is 'The highest number of attempts used by a failed delivery of the event.';
comment on column public.lead_events.max_retries is 'Unused; the deployment checklist requires it. The worker decides how long a delivery is retried.';
comment on column public.lead_events.seq is 'The order in which events were written. Events of one conversation are in the order in which they happened.';
comment on column public.lead_events.xact is
  'The id of the transaction that wrote the event. Transaction ids are cluster-specific: after restoring a dump into another cluster, set this column to null in all rows.';
comment on column public.lead_events.request_id is 'The id of the request that caused the event, for log lines; null if there was none.';
