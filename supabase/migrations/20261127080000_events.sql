-- Events: what happened to leads.
--
--   planned_at null ──plan──▶ planned ──all deliveries final──▶ processed

-- The columns are added without a default, so that no row is rewritten. Existing rows have neither, and no listener
-- waits for them.
alter table public.lead_events
  add column if not exists planned_at timestamptz,
  add column if not exists seq bigint,
  add column if not exists xact xid8,
  add column if not exists request_id text;
create sequence if not exists public.lead_events_seq as bigint;
alter table public.lead_events
  alter column seq set default nextval('public.lead_events_seq'),
  alter column xact set default pg_current_xact_id();
-- An event that causes notifications is updated twice soon after its insert. The free space on its page lets pruning
-- remove the old versions without a vacuum. Vacuum runs after a number of rows, not after a share of the table, because
-- the partial indexes must stay small however many rows are finished.
alter table public.lead_events set (
  fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
alter sequence public.lead_events_seq owned by public.lead_events.seq;
revoke all on sequence public.lead_events_seq from public, anon, authenticated, service_role;
-- A role that inserts events needs numbers of the sequence.
grant usage on sequence public.lead_events_seq to service_role;
create index if not exists lead_events_conversation_id_idx on public.lead_events (conversation_id, created_at);
create index if not exists lead_events_unprocessed_idx on public.lead_events (created_at) where processed = false;
create index if not exists lead_events_unplanned_idx on public.lead_events (created_at, id) where planned_at is null;
create index if not exists lead_events_processed_at_idx on public.lead_events (processed_at) where processed;
-- Values increase, so new entries go to the last page of the index, which is in memory.
create index if not exists lead_events_xact_idx on public.lead_events (xact) where xact is not null;
-- For the event log, newest first, of all or some types: the log of all types is merged from those of each type.
create index if not exists lead_events_type_idx on public.lead_events (event_type, created_at, id);
-- The functions that write most rows set updated_at themselves. The trigger is for all other writers.
create or replace trigger lead_events_updated_at before update on public.lead_events
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();
comment on table public.lead_events is 'Events: what happened to leads. Rows with processed = false are the backlog.';
comment on column public.lead_events.planned_at is 'When the deliveries of the event were created; null until then.';
comment on column public.lead_events.conversation_id is 'Null for an event without a conversation, such as newsletter.subscribed.';
comment on column public.lead_events.retry_count is 'The highest number of attempts used by a failed delivery of the event.';
comment on column public.lead_events.max_retries is 'Unused; the deployment checklist requires it. The worker decides how long a delivery is retried.';
comment on column public.lead_events.seq is 'The order in which events were written. Events of one conversation are in the order in which they happened.';
comment on column public.lead_events.xact is
  'The id of the transaction that wrote the event. Transaction ids are cluster-specific: after restoring a dump into another cluster, set this column to null in all rows.';
comment on column public.lead_events.request_id is 'The id of the request that caused the event, for log lines; null if there was none.';

-- Adds an event and returns its id. If the idempotency key was used before, returns the id of the first event.
create or replace function public.emit_lead_event(
  p_event_type public.lead_event_type, p_conversation_id uuid, p_payload jsonb default '{}', p_idempotency_key text default null)
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done timestamptz := case when not leadpipe.event_notifies(p_event_type, p_payload) then now() end;
  v_id uuid;
begin
  insert into public.lead_events (event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at)
  values (p_event_type, p_conversation_id, coalesce(p_payload, '{}'), p_idempotency_key, v_done is not null, v_done, v_done)
  on conflict (idempotency_key) do nothing
  returning id into v_id;

  if not found then
    select id into v_id from public.lead_events where idempotency_key = p_idempotency_key;
  end if;
  return v_id;
end
$$;
revoke all on function public.emit_lead_event(public.lead_event_type, uuid, jsonb, text) from public, anon, authenticated;
grant execute on function public.emit_lead_event(public.lead_event_type, uuid, jsonb, text) to service_role;

-- Returns an event with its deliveries, as shown in the admin interface. Takes the row as jsonb; see delivery_document.
create or replace function leadpipe.event_document(e jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', e -> 'id', 'type', e -> 'event_type', 'conversationId', e -> 'conversation_id',
    'payload', e -> 'payload', 'processed', e -> 'processed', 'retryCount', e -> 'retry_count', 'lastError', e -> 'last_error',
    'createdAt', leadpipe.iso8601((e ->> 'created_at')::timestamptz), 'plannedAt', leadpipe.iso8601((e ->> 'planned_at')::timestamptz),
    'processedAt', leadpipe.iso8601((e ->> 'processed_at')::timestamptz),
    'deliveries', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'channel', d.channel, 'state', leadpipe.delivery_document(to_jsonb(d)) -> 'state')
        order by d.created_at, d.id), '[]')
      from public.notification_logs d where d.lead_event_id = (e ->> 'id')::uuid))
$$;
revoke all on function leadpipe.event_document(jsonb) from public, anon, authenticated;

-- True if an event causes notifications: a new lead, a reopened conversation, a subscription, or a deadline. All other
-- events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type, p_payload jsonb) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed', 'sla.warning', 'sla.breached')
       or p_event_type::text = 'lead.updated' and p_payload ? 'reopenedFrom' $$;
revoke all on function leadpipe.event_notifies(public.lead_event_type, jsonb) from public, anon, authenticated;

-- Lists events, newest first, filtered by `conversationId`, `type` (a list), `processed`, `since` and `until`. `id` is
-- the conversation whose list is requested.
create or replace function leadpipe.events_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'events', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_types public.lead_event_type[] := case when p ? 'type' then array(select jsonb_array_elements_text(p -> 'type')) end;
  v_processed boolean := p ->> 'processed';
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  if v_since >= v_until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "until", "other": "since"}';
  end if;
  if v_conversation is not null or v_processed = false then
    v_found := array(
      select e.id from public.lead_events e
      where (v_conversation is null or e.conversation_id = v_conversation)
        and (v_types is null or e.event_type = any (v_types))
        and (v_processed is null or e.processed = v_processed)
        and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
        and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  else
    v_found := array(
      select e.id
      from (select distinct type from unnest(coalesce(v_types, enum_range(null::public.lead_event_type))) as type) types
      cross join lateral (
        select e.id, e.created_at from public.lead_events e
        where e.event_type = types.type
          and (v_processed is null or e.processed)
          and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
          and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
        order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip) e
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  end if;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null and v_types is null then
        (select count(*) from public.lead_events e where e.conversation_id = v_conversation) end,
      (select leadpipe.row_cursor(v_list, e.created_at, e.id) from public.lead_events e
       where e.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.event_document(to_jsonb(e)) order by e.created_at desc, e.id desc), '[]')
      from public.lead_events e where e.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function leadpipe.events_page(jsonb) from public, anon, authenticated;

-- Lists events, newest first; see events_page.
create or replace function public.list_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return leadpipe.events_page(leadpipe.authorize(p, 'read'));
end
$$;
revoke all on function public.list_events(jsonb) from public, anon, authenticated;
grant execute on function public.list_events(jsonb) to leadpipe_admin, service_role;

-- Lists the events of one conversation, newest first.
create or replace function public.list_conversation_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'read');
  return leadpipe.events_page(p || jsonb_build_object('conversationId', (leadpipe.require_conversation(p)).id));
end
$$;
revoke all on function public.list_conversation_events(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversation_events(jsonb) to leadpipe_admin, service_role;

-- Events from before this file need no deliveries if they are processed or of a type that causes no notifications.
update public.lead_events set
  planned_at = coalesce(processed_at, created_at), processed = true, processed_at = coalesce(processed_at, created_at)
where planned_at is null and (processed or not leadpipe.event_notifies(event_type, payload));
