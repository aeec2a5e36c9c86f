-- Events, timeline, follow-ups and notifications, and the functions that handlers call.
-- Additive, and may be run again as a whole at any time: after itself, after its rollback, and after the checklist's four
-- plain DROP TABLEs. Those run without CASCADE, so nothing of ours holds a foreign key into lead_events,
-- conversation_timeline, follow_up_tasks or notification_logs, but for notification_logs → lead_events, which their order allows.
--
--   lead_events            planned_at null ──plan──▶ planned ──all deliveries final──▶ processed
--   notification_logs      pending ──claim: lease, fence──▶ pending ──begin──▶ sending ──record──▶ sent (▶ delivered)
--                             ▲                                                   │
--                             └── due again ── failed, next_attempt_at ◀──────────┴──▶ failed, no next_attempt_at: given up

do $$
begin
  if to_regprocedure('public.protect_table(regclass)') is null then
    raise exception 'run 20251219000000_lead_base.sql first';
  end if;
end
$$;

-- ── Vocabulary ────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  create type public.lead_event_type as enum (
    'lead.created', 'lead.updated', 'lead.qualified', 'lead.assigned', 'lead.contacted', 'lead.follow_up_scheduled',
    'lead.follow_up_completed', 'lead.converted', 'lead.lost', 'notification.sent', 'notification.failed',
    'notification.delivered', 'sla.warning', 'sla.breached', 'newsletter.subscribed');
exception when duplicate_object then null;
end
$$;
-- For a type that an earlier form of this migration made.
alter type public.lead_event_type add value if not exists 'newsletter.subscribed';

do $$
begin
  create type public.notification_channel as enum ('slack', 'email', 'telegram', 'whatsapp', 'sms', 'push', 'webhook');
exception when duplicate_object then null;
end
$$;

do $$
begin
  create type public.timeline_event_type as enum (
    'created', 'status_changed', 'assigned', 'note_added', 'follow_up_scheduled', 'follow_up_completed', 'notification_sent',
    'customer_contacted', 'property_viewed', 'document_shared', 'meeting_scheduled', 'call_logged', 'email_sent',
    'sla_warning', 'sla_breached');
exception when duplicate_object then null;
end
$$;

do $$
begin
  create type public.follow_up_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'overdue');
exception when duplicate_object then null;
end
$$;

-- ── Tables ────────────────────────────────────────────────────────────────────────────────────────────────────────────

alter table public.conversations
  add column if not exists metadata jsonb,
  add column if not exists idempotency_key text constraint conversations_idempotency_key_key unique,
  add column if not exists source text default 'website',
  add column if not exists first_response_at timestamptz,
  add column if not exists sla_response_deadline timestamptz,
  add column if not exists sla_breached boolean not null default false,
  add column if not exists device_info jsonb;
create index if not exists conversations_sla_open_idx on public.conversations (sla_response_deadline)
  where first_response_at is null and status not in ('completed', 'lost', 'converted');
create index if not exists conversations_sla_breached_idx on public.conversations (created_at desc) where sla_breached;
comment on column public.conversations.idempotency_key is 'route:key of the request that made the row.';

create table if not exists public.lead_events (
  id uuid constraint lead_events_pkey primary key default gen_random_uuid()
);
alter table public.lead_events
  add column if not exists event_type public.lead_event_type not null,
  add column if not exists conversation_id uuid
    constraint lead_events_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists payload jsonb not null default '{}',
  add column if not exists processed boolean not null default false,
  add column if not exists processed_at timestamptz,
  add column if not exists retry_count integer not null default 0,
  add column if not exists max_retries integer not null default 3,
  add column if not exists last_error text,
  add column if not exists idempotency_key text constraint lead_events_idempotency_key_key unique,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now(),
  add column if not exists planned_at timestamptz;
create index if not exists lead_events_conversation_id_idx on public.lead_events (conversation_id, created_at);
create index if not exists lead_events_unprocessed_idx on public.lead_events (created_at) where processed = false;
create index if not exists lead_events_unplanned_idx on public.lead_events (created_at, id) where planned_at is null;
-- A notifying event is rewritten twice soon after its birth: the room on its page lets pruning take the old versions away
-- without a vacuum. Vacuum by rows, not by share of the table: the partial indexes must stay short however much is finished.
alter table public.lead_events set (
  fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
comment on table public.lead_events is 'What happened to leads. processed = false is the backlog.';
comment on column public.lead_events.planned_at is 'When its deliveries were made; null while there are none.';
comment on column public.lead_events.conversation_id is 'Null for newsletter.subscribed.';
comment on column public.lead_events.retry_count is 'The most tries that one of its deliveries has used.';
comment on column public.lead_events.max_retries is 'Kept from the checklist. How long a delivery is tried is the worker''s choice.';

create table if not exists public.conversation_timeline (
  id uuid constraint conversation_timeline_pkey primary key default gen_random_uuid()
);
alter table public.conversation_timeline
  add column if not exists conversation_id uuid not null
    constraint conversation_timeline_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists event_type public.timeline_event_type not null,
  add column if not exists title text not null,
  add column if not exists description text,
  add column if not exists actor_type text not null default 'system'
    constraint conversation_timeline_actor_type_check check (actor_type in ('system', 'agent', 'customer', 'bot')),
  add column if not exists actor_id uuid,
  add column if not exists actor_name text,
  add column if not exists metadata jsonb not null default '{}',
  add column if not exists created_at timestamptz not null default now();
create index if not exists conversation_timeline_conversation_id_idx
  on public.conversation_timeline (conversation_id, created_at desc);
comment on table public.conversation_timeline is 'One conversation''s history, as people read it.';

create table if not exists public.follow_up_tasks (
  id uuid constraint follow_up_tasks_pkey primary key default gen_random_uuid()
);
alter table public.follow_up_tasks
  add column if not exists conversation_id uuid not null
    constraint follow_up_tasks_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists assigned_agent_id uuid
    constraint follow_up_tasks_assigned_agent_id_fkey references public.agents (id) on delete set null,
  add column if not exists follow_up_date timestamptz not null,
  add column if not exists reminder_type text not null default 'email'
    constraint follow_up_tasks_reminder_type_check check (reminder_type in ('email', 'sms', 'whatsapp', 'call')),
  add column if not exists reminder_text text,
  add column if not exists priority text not null default 'medium'
    constraint follow_up_tasks_priority_check check (priority in ('high', 'medium', 'low')),
  add column if not exists status public.follow_up_status not null default 'scheduled',
  add column if not exists completed_at timestamptz,
  add column if not exists completed_by uuid,
  add column if not exists notes text,
  add column if not exists sla_deadline timestamptz,
  add column if not exists sla_breached boolean not null default false,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists updated_at timestamptz not null default now();
create index if not exists follow_up_tasks_conversation_id_idx on public.follow_up_tasks (conversation_id);
create index if not exists follow_up_tasks_assigned_agent_id_idx on public.follow_up_tasks (assigned_agent_id);
create index if not exists follow_up_tasks_open_idx on public.follow_up_tasks (follow_up_date)
  where status in ('scheduled', 'in_progress');
comment on table public.follow_up_tasks is 'What an agent has promised a customer, and by when.';

create table if not exists public.notification_logs (
  id uuid constraint notification_logs_pkey primary key default gen_random_uuid()
);
alter table public.notification_logs
  add column if not exists lead_event_id uuid not null
    constraint notification_logs_lead_event_id_fkey references public.lead_events (id) on delete cascade,
  add column if not exists conversation_id uuid
    constraint notification_logs_conversation_id_fkey references public.conversations (id) on delete cascade,
  add column if not exists channel public.notification_channel not null,
  add column if not exists recipient text not null default 'default',
  add column if not exists subject text,
  add column if not exists payload jsonb,
  add column if not exists status text not null default 'pending'
    constraint notification_logs_status_check check (status in ('pending', 'sending', 'sent', 'delivered', 'failed')),
  add column if not exists error_message text,
  add column if not exists sent_at timestamptz,
  add column if not exists delivered_at timestamptz,
  add column if not exists retry_count integer not null default 0,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists next_attempt_at timestamptz,
  add column if not exists lease_until timestamptz,
  add column if not exists leased_by text,
  add column if not exists fence bigint not null default 0,
  add column if not exists outcome_class text,
  add column if not exists provider_id text,
  add column if not exists replay_of uuid,
  add column if not exists updated_at timestamptz not null default now(),
  add column if not exists due_at timestamptz generated always as (
    case status when 'pending' then coalesce(next_attempt_at, created_at) when 'failed' then next_attempt_at end) stored;
create unique index if not exists notification_logs_lead_event_id_channel_recipient_key
  on public.notification_logs (lead_event_id, channel, recipient) where replay_of is null;
create index if not exists notification_logs_lead_event_id_idx on public.notification_logs (lead_event_id);
create index if not exists notification_logs_conversation_id_idx on public.notification_logs (conversation_id);
create index if not exists notification_logs_due_idx on public.notification_logs (channel, recipient, due_at)
  where due_at is not null;
-- Only what is in flight is in here, so it needs no order; without lease_until in any index a claim is a HOT update.
create index if not exists notification_logs_sending_idx on public.notification_logs (lead_event_id) where status = 'sending';
create index if not exists notification_logs_failed_idx on public.notification_logs (created_at desc) where status = 'failed';
-- A delivery is rewritten three times within seconds; see lead_events.
alter table public.notification_logs set (
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
comment on table public.notification_logs is 'One row per (event, channel, recipient): what was, is and will be sent.';
comment on column public.notification_logs.recipient is 'The address or chat id; `default` where the channel has one place only.';
comment on column public.notification_logs.retry_count is 'Tries that were used up.';
comment on column public.notification_logs.next_attempt_at is 'failed with it waits for its next try; failed without it is given up.';
comment on column public.notification_logs.lease_until is 'Until then the row belongs to leased_by.';
comment on column public.notification_logs.fence is 'Goes up with each claim; a result is taken only under the current number.';
comment on column public.notification_logs.outcome_class is 'delivered, accepted, retry, throttled, permanent, config or unknown.';
comment on column public.notification_logs.replay_of is 'The delivery that this one repeats on an operator''s word.';
comment on column public.notification_logs.due_at is 'When it may be claimed, lease aside; null for what is in flight or final.';

create table if not exists public.notification_attempts (
  delivery uuid not null,
  fence bigint not null,
  attempt integer not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  class text,
  status_code integer,
  provider_code text,
  retry_after_seconds double precision,
  excerpt text,
  worker text,
  -- By fence, because a try that burned no attempt leaves its number to the next.
  constraint notification_attempts_pkey primary key (delivery, fence)
);
comment on table public.notification_attempts is
  'Every try, append-only: a row is made when sending begins and closed once. delivery is notification_logs.id, without a key.';
comment on column public.notification_attempts.excerpt is 'Of the provider''s answer, without secrets or personal data.';

create table if not exists public.notification_channels (
  channel public.notification_channel constraint notification_channels_pkey primary key,
  paused_until timestamptz,
  pause_reason text,
  settings_fingerprint text,
  fail_streak integer not null default 0,
  send_budget jsonb,
  updated_at timestamptz not null default now()
);
comment on table public.notification_channels is 'What concerns a channel as a whole. No row means nothing is known against it.';
comment on column public.notification_channels.paused_until is 'Nothing of this channel is claimed before.';

create table if not exists public.workers (
  name text constraint workers_pkey primary key,
  started_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  version text
);
comment on table public.workers is 'The heartbeat that /health reports.';

-- ── Small parts ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- These three carry no SET clause, so that the planner can inline them.

create or replace function public.iso8601(p_time timestamptz) returns text language sql stable as
  $$ select pg_catalog.to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

-- Which events cause notifications; every other event is born processed.
create or replace function public.event_notifies(p_event_type public.lead_event_type) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed', 'sla.warning', 'sla.breached') $$;

-- Absent never clears. Whoever proved to know the customer replaces; anybody else only fills what is empty.
create or replace function public.merged(p_stored text, p_sent text, p_proven boolean) returns text language sql immutable as
  $$ select case when p_proven then coalesce(nullif(p_sent, ''), p_stored) else coalesce(nullif(p_stored, ''), p_sent) end $$;

-- Replacing a function can change neither the names of its arguments nor its columns, and an earlier form of this migration
-- had these four under the same names.
drop function if exists public.emit_lead_event(public.lead_event_type, uuid, jsonb, text);
drop function if exists public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb);
drop function if exists public.update_overdue_follow_ups();
drop function if exists public.get_sla_breach_candidates(integer);

-- The event's id; that of the first where the idempotency key was used before.
create function public.emit_lead_event(
  p_event_type public.lead_event_type, p_conversation_id uuid, p_payload jsonb default '{}', p_idempotency_key text default null)
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done timestamptz := case when not public.event_notifies(p_event_type) then now() end;
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

create function public.add_timeline_entry(
  p_conversation_id uuid, p_event_type public.timeline_event_type, p_title text, p_description text default null,
  p_actor_type text default 'system', p_actor_id uuid default null, p_actor_name text default null, p_metadata jsonb default '{}')
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into public.conversation_timeline
    (conversation_id, event_type, title, description, actor_type, actor_id, actor_name, metadata)
  values (p_conversation_id, p_event_type, p_title, p_description, p_actor_type, p_actor_id, p_actor_name, coalesce(p_metadata, '{}'))
  returning id into v_id;
  return v_id;
end
$$;

-- How many follow-ups became overdue.
create function public.update_overdue_follow_ups() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_count integer;
begin
  update public.follow_up_tasks set status = 'overdue'
  where status in ('scheduled', 'in_progress') and follow_up_date < now();
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

-- Open conversations that nobody has answered and whose deadline is past or near, soonest first. minutes_remaining is
-- negative after the deadline.
create function public.get_sla_breach_candidates(p_warning_minutes integer default 30)
returns table (
  conversation_id uuid, customer_name text, customer_phone text, lead_score integer, lead_quality text,
  assigned_agent_id uuid, sla_response_deadline timestamptz, minutes_remaining integer, is_breached boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.id, c.customer_name, c.customer_phone, c.lead_score, c.lead_quality, c.assigned_agent_id, c.sla_response_deadline,
         floor(extract(epoch from c.sla_response_deadline - now()) / 60)::integer, c.sla_response_deadline <= now()
  from public.conversations c
  where c.first_response_at is null
    and c.status not in ('completed', 'lost', 'converted')
    and c.sla_response_deadline <= now() + make_interval(mins => p_warning_minutes)
  order by c.sla_response_deadline
$$;

-- ── Capture ───────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Writes down that phone and mail address are this customer's, and returns whose they turn out to be: another request may
-- have written the same person down a moment earlier. Phone before mail, always, so that two requests cannot deadlock.
create or replace function public.remember_customer(p_phone text, p_email text, p_customer uuid) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_customer uuid := p_customer;
  v_new_phone boolean := false;
begin
  if p_phone is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('phone', p_phone, v_customer)
    on conflict do nothing;
    v_new_phone := found;
    if not v_new_phone then
      select customer_id into v_customer from public.customer_identities where kind = 'phone' and value = p_phone;
    end if;
  end if;

  if p_email is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('email', p_email, v_customer)
    on conflict do nothing;
    -- The mail address is known: it decides where no older phone has.
    if not found and (p_phone is null or v_new_phone) then
      select customer_id into v_customer from public.customer_identities where kind = 'email' and value = p_email;
      update public.customer_identities set customer_id = v_customer
      where kind = 'phone' and value = p_phone and customer_id <> v_customer;
    end if;
  end if;
  return v_customer;
end
$$;

-- Adds the messages that the conversation does not have yet; how many that were. A UUID becomes the row's id unless another
-- row has it.
create or replace function public.add_messages(p_conversation uuid, p_messages jsonb, p_received timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_wanted integer := jsonb_array_length(p_messages);
  v_added integer := 0;
  v_count integer;
begin
  loop
    insert into public.chat_messages as stored
      (id, conversation_id, client_id, sender, message_text, message_type, "timestamp", metadata, created_at)
    select
      case when kept then client_id::uuid else gen_random_uuid() end, p_conversation, client_id,
      coalesce(sender, 'customer'), normalize(coalesce(text, ''), nfc), coalesce(type, 'text'), coalesce("timestamp", p_received),
      coalesce(metadata, '{}') || case when kept then '{}' else jsonb_build_object('clientId', client_id) end,
      -- Messages of one request often carry one time; this keeps them in the order in which they were sent.
      now() + position * interval '1 microsecond'
    from (
      select distinct on (client_id) sent.*, uuid is not null and taken_by is null as kept
      from (
        select m.*, case when is_uuid then lower(m.id) else coalesce(m.id, gen_random_uuid()::text) end as client_id,
               case when is_uuid then m.id::uuid end as uuid,
               -- A sub-select, not a join: it can only be answered by the index, whatever the planner thinks of the sizes.
               case when is_uuid then (select o.conversation_id from public.chat_messages o where o.id = m.id::uuid) end as taken_by
        from rows from (jsonb_to_recordset(p_messages) as (
               id text, sender text, text text, type text, "timestamp" timestamptz, metadata jsonb))
             with ordinality as m (id, sender, text, type, "timestamp", metadata, position),
             lateral (select m.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') as shape (is_uuid)
      ) sent
      where taken_by is distinct from p_conversation
      order by client_id, position
    ) fresh
    -- Without a target: both the id and the client's id may be taken.
    on conflict do nothing;
    get diagnostics v_count = row_count;
    v_added := v_added + v_count;
    -- What was skipped is a repeat, or its id was taken by another conversation since the statement began: a second pass
    -- stores those under an id of their own, and ends here when there are none.
    exit when v_count = 0 or v_added = v_wanted;
  end loop;
  return v_added;
end
$$;

-- Stores a lead: conversation, messages, customer, event and timeline entry, or nothing. The caller has validated the
-- fields and made the choices (score, deadline, wording); here are the invariants: one conversation per idempotency key, one
-- customer per phone or mail address, and nothing stored is lost to a stranger who knows an id.
-- Rows are touched in one order: key, conversation, phone, mail, messages.
-- After the clean-up that drops the event tables it goes on without them, hence to_regclass at each call.
-- enable_seqscan: a plan kept from when a table was small (those of foreign keys too) must not read all of it later.
create or replace function public.capture_lead(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_received timestamptz := coalesce((p ->> 'receivedAt')::timestamptz, now());
  v_id uuid := coalesce((p ->> 'conversationId')::uuid, gen_random_uuid());
  v_route text := p ->> 'route';
  v_key text := nullif(p #>> '{idempotency,key}', '');
  v_hash bytea;
  v_phone text;
  v_email text;
  v_customer uuid;
  v_created boolean;
  v_proven boolean := false;
  v_reachable boolean;
  v_rises boolean := false;
  v_added integer := 0;
  v_event uuid;
  l record;  -- the lead as sent
  c record;  -- the conversation as stored
begin
  if v_key is not null then
    v_hash := sha256(convert_to(coalesce(p #>> '{idempotency,content}', ''), 'UTF8'));
    -- Waits for a copy that is at work, and holds off the copies to come.
    insert into public.idempotency_keys as k (route, key, body_sha256, conversation_id)
    values (v_route, v_key, v_hash, v_id)
    on conflict (route, key) do update
      set body_sha256 = excluded.body_sha256, conversation_id = excluded.conversation_id, created_at = excluded.created_at
      where k.created_at < now() - interval '7 days';

    if not found then
      select k.body_sha256, s.id, s.status, s.created_at, s.updated_at, s.idempotency_key into c
      from public.idempotency_keys k left join public.conversations s on s.id = k.conversation_id
      where k.route = v_route and k.key = v_key;

      if c.id is null then  -- its conversation was deleted
        update public.idempotency_keys set body_sha256 = v_hash, conversation_id = v_id, created_at = now()
        where route = v_route and key = v_key;
      elsif c.body_sha256 <> v_hash then
        return jsonb_build_object('outcome', 'mismatch', 'created', false, 'id', null, 'status', null,
          'createdAt', null, 'updatedAt', null, 'eventId', null, 'messagesAdded', 0);
      else
        return jsonb_build_object('outcome', 'replayed',
          'created', c.idempotency_key is not distinct from v_route || ':' || v_key,
          'id', c.id, 'status', c.status, 'createdAt', public.iso8601(c.created_at), 'updatedAt', public.iso8601(c.updated_at),
          'eventId', null, 'messagesAdded', 0);
      end if;
    end if;

    -- A conversation that has this key has it from a time that counts as absent by now.
    update public.conversations set idempotency_key = null where idempotency_key = v_route || ':' || v_key;
  end if;

  select
    nullif(normalize("customerName", nfc), '') as name,
    nullif(normalize(intent, nfc), '') as intent,
    nullif(normalize(budget, nfc), '') as budget,
    nullif(normalize("propertyType", nfc), '') as property_type,
    nullif(normalize("preferredArea", nfc), '') as preferred_area,
    nullif(normalize(notes, nfc), '') as notes,
    nullif(normalize("customerPhone", nfc), '') as phone,
    nullif(normalize("customerEmail", nfc), '') as email,
    (select coalesce(array_agg(tag order by first), '{}')
     from (select normalize(t, nfc) as tag, min(n) as first
           from unnest(tags) with ordinality as sent (t, n) where t is not null group by 1) unique_tags) as tags,
    "leadScore" as score, "leadQuality" as quality, "leadScoreBreakdown" as breakdown, metadata, "deviceInfo" as device_info,
    "startTime" as start_time, "endTime" as end_time, "durationMinutes" as duration, "slaDeadline" as deadline
  into l
  from jsonb_to_record(p -> 'lead') as sent (
    "customerName" text, "customerPhone" text, "customerEmail" text, intent text, budget text, "propertyType" text,
    "preferredArea" text, "leadScore" integer, "leadQuality" text, "leadScoreBreakdown" jsonb, tags text[], notes text,
    metadata jsonb, "deviceInfo" jsonb, "startTime" timestamptz, "endTime" timestamptz, "durationMinutes" integer,
    "slaDeadline" timestamptz);

  -- 'phone' sorts after 'email': it wins.
  select customer_id into v_customer from public.customer_identities
  where (kind = 'phone' and value = l.phone) or (kind = 'email' and value = lower(l.email))
  order by kind desc limit 1;
  v_customer := coalesce(v_customer, gen_random_uuid());

  insert into public.conversations (
    id, customer_id, customer_name, customer_phone, customer_email, start_time, end_time, duration_minutes,
    lead_score, lead_quality, lead_score_breakdown, budget, property_type, preferred_area, intent, tags, notes,
    metadata, device_info, source, sla_response_deadline, idempotency_key)
  values (
    v_id, v_customer, l.name, l.phone, l.email, coalesce(l.start_time, v_received), l.end_time, l.duration,
    coalesce(l.score, 0), coalesce(l.quality, 'cold'), l.breakdown, l.budget, l.property_type, l.preferred_area, l.intent, l.tags, l.notes,
    l.metadata, l.device_info, p ->> 'source', l.deadline, v_route || ':' || v_key)
  on conflict (id) do nothing
  returning customer_id, customer_phone, customer_email, status, created_at, updated_at into c;
  v_created := found;

  if not v_created then
    -- NO KEY: the foreign keys of events and timeline entries written elsewhere need not wait.
    select s.customer_phone, s.customer_email, s.lead_score into c from public.conversations s where s.id = v_id for no key update;
    if not found then
      raise exception 'conversation was deleted while it was continued' using errcode = 'serialization_failure';
    end if;
    v_proven := coalesce(c.customer_phone = l.phone, false) or coalesce(lower(c.customer_email) = lower(l.email), false);
    v_reachable := nullif(c.customer_phone, '') is not null or nullif(c.customer_email, '') is not null;
    v_rises := v_proven and l.score is not null and l.score > coalesce(c.lead_score, 0);

    update public.conversations s set
      -- A row from before customers were told apart gets the customer of its own phone or mail, not a stranger's.
      customer_id = coalesce(s.customer_id, case when v_proven or not v_reachable then v_customer end,
        (select i.customer_id from public.customer_identities i
         where (i.kind = 'phone' and i.value = s.customer_phone) or (i.kind = 'email' and i.value = lower(s.customer_email))
         order by i.kind desc limit 1), gen_random_uuid()),
      customer_name = public.merged(s.customer_name, l.name, v_proven),
      -- An unproven address beside a stored one would be the proof of the next request: only a row without any takes it.
      customer_phone = public.merged(s.customer_phone, case when v_proven or not v_reachable then l.phone end, v_proven),
      customer_email = public.merged(s.customer_email, case when v_proven or not v_reachable then l.email end, v_proven),
      intent = public.merged(s.intent, l.intent, v_proven),
      budget = public.merged(s.budget, l.budget, v_proven),
      property_type = public.merged(s.property_type, l.property_type, v_proven),
      preferred_area = public.merged(s.preferred_area, l.preferred_area, v_proven),
      start_time = coalesce(s.start_time, l.start_time),
      end_time = case when v_proven then greatest(s.end_time, l.end_time) else coalesce(s.end_time, l.end_time) end,
      duration_minutes = case when v_proven then greatest(s.duration_minutes, l.duration) else coalesce(s.duration_minutes, l.duration) end,
      device_info = case when v_proven then coalesce(l.device_info, s.device_info) else coalesce(s.device_info, l.device_info) end,
      lead_score = case when v_rises then l.score else s.lead_score end,
      lead_quality = case when v_rises then coalesce(l.quality, s.lead_quality) else s.lead_quality end,
      lead_score_breakdown = case when v_rises then coalesce(l.breakdown, s.lead_score_breakdown) else s.lead_score_breakdown end,
      sla_response_deadline = case when v_proven then least(s.sla_response_deadline, l.deadline) else s.sla_response_deadline end,
      tags = case when v_proven then s.tags || array(select t from unnest(l.tags) with ordinality as sent (t, n)
                                                     where t <> all (s.tags) order by n) else s.tags end,
      notes = case when v_proven then coalesce(l.notes, s.notes) else s.notes end,
      metadata = case when v_proven then coalesce(s.metadata, '{}') || coalesce(l.metadata, '{}') else s.metadata end
    where s.id = v_id
    returning s.customer_id, s.customer_phone, s.customer_email, s.status, s.created_at, s.updated_at into c;
  end if;

  v_customer := public.remember_customer(nullif(c.customer_phone, ''), lower(nullif(c.customer_email, '')), c.customer_id);
  if v_created and v_customer <> c.customer_id then
    update public.conversations s set customer_id = v_customer where s.id = v_id returning s.status, s.created_at, s.updated_at into c;
  end if;

  -- Not called for none: a new connection would compile it in vain.
  if jsonb_typeof(p -> 'messages') = 'array' and p -> 'messages' <> '[]' then
    v_added := public.add_messages(v_id, p -> 'messages', v_received);
  end if;

  if to_regclass('public.lead_events') is not null then
    if v_created then
      v_event := public.emit_lead_event(
        coalesce(p #>> '{event,type}', 'lead.created')::public.lead_event_type, v_id, p #> '{event,payload}');
    else
      v_event := public.emit_lead_event('lead.updated', v_id, jsonb_build_object('messagesAdded', v_added, 'proven', v_proven));
    end if;
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    if v_created then
      perform public.add_timeline_entry(v_id, 'created', coalesce(normalize(p #>> '{timeline,title}', nfc), 'Lead Created'),
        normalize(p #>> '{timeline,description}', nfc));
    else
      -- note_added: the customer added something. customer_contacted would say that an agent did.
      perform public.add_timeline_entry(v_id, 'note_added', 'Lead Updated', null, 'customer', null, null,
        jsonb_build_object('messagesAdded', v_added, 'proven', v_proven));
    end if;
  end if;

  return jsonb_build_object(
    'outcome', case when v_created then 'created' else 'continued' end, 'created', v_created, 'id', v_id, 'status', c.status,
    'createdAt', public.iso8601(c.created_at), 'updatedAt', public.iso8601(c.updated_at),
    'eventId', v_event, 'messagesAdded', v_added);
end
$$;

-- ── Delivery ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- Locks are taken in one order: events by id, then deliveries, then channels. What a claim finds locked it leaves alone.
-- The enable_ settings: a long-lived session keeps its plans, and one made while a table was small would read all of it when it
-- has grown, until the next analyze. Everything here is found by index.

-- Brings events into line with their deliveries, and says how they stand: settled when nothing is about to be sent, closed
-- when every delivery is final.
create or replace function public.settle_events(p_events uuid[])
returns table (event_id uuid, settled boolean, closed boolean, sent text[], failed text[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query
  with standing as (
    select d.lead_event_id as id,
      bool_and(d.status not in ('pending', 'sending')) as settled,
      bool_and(d.status not in ('pending', 'sending') and d.due_at is null) as closed,
      array_agg(distinct d.channel) filter (where d.status in ('sent', 'delivered'))::text[] as sent,
      array_agg(distinct d.channel) filter (where d.status = 'failed')::text[] as failed,
      max(d.retry_count) filter (where d.status = 'failed') as retries,
      (array_agg(d.channel::text || ': ' || coalesce(d.error_message, 'failed') order by d.updated_at desc)
        filter (where d.status = 'failed'))[1] as last_error
    from public.notification_logs d where d.lead_event_id = any (p_events)
    group by d.lead_event_id
  ), brought_into_line as (
    update public.lead_events e set
      processed = s.closed,
      processed_at = case when s.closed then coalesce(e.processed_at, clock_timestamp()) end,
      retry_count = coalesce(s.retries, e.retry_count),
      last_error = s.last_error
    from standing s
    where e.id = s.id
      and (e.processed, e.retry_count, e.last_error) is distinct from (s.closed, coalesce(s.retries, e.retry_count), s.last_error)
  )
  select s.id, s.settled, s.closed, coalesce(s.sent, '{}'), coalesce(s.failed, '{}') from standing s;
end
$$;

-- For a worker, which knows all channels that are configured; it asks now and then. What waits for a recipient that is no longer
-- configured goes to the only one that its channel has now; else it stands as failed with that reason until it is configured.
create or replace function public.rehome_deliveries(p_channels jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  with entry as (
    select distinct channel::public.notification_channel, coalesce(recipient, 'default') as recipient
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text)
  ), stray as materialized (
    select d.id, d.lead_event_id, d.channel, d.replay_of from public.notification_logs d
    where d.due_at <= v_now and (d.lease_until is null or d.lease_until <= v_now)
      and not exists (select from entry where entry.channel = d.channel and entry.recipient = d.recipient)
    order by d.due_at limit 5000 for no key update skip locked
  ), sole as (
    select channel, min(recipient) as recipient from entry group by channel having count(*) = 1
  ), moving as (
    select distinct on (stray.lead_event_id, stray.channel) stray.id, sole.recipient
    from stray join sole using (channel)
    where not exists (select from public.notification_logs o where o.lead_event_id = stray.lead_event_id
                      and o.channel = stray.channel and o.recipient = sole.recipient)
    order by stray.lead_event_id, stray.channel, stray.id
  ), moved as (
    update public.notification_logs d set recipient = moving.recipient from moving where d.id = moving.id
  )
  update public.notification_logs d set
    status = 'failed', outcome_class = 'config', next_attempt_at = v_now, lease_until = null, leased_by = null,
    error_message = 'This recipient is not configured; it waits until it is.'
  from stray where d.id = stray.id and d.id not in (select id from moving)
    and (d.status = 'pending' or d.outcome_class is distinct from 'config');
end
$$;

-- Plans what is new, takes back what a dead worker held, and leases what is due: no more of a channel and recipient than its
-- entry asks for.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_batch constant integer := 100;
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_planned integer;
  v_unrouted integer;
  v_lapsed uuid[];
  v_deliveries jsonb;
  v_next timestamptz;
begin
  with entry as (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events
    from jsonb_to_recordset(p -> 'channels') as entry (channel text, recipient text, events text[])
  ), fresh as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit v_batch for no key update skip locked
  ), route as (
    select fresh.id, fresh.conversation_id, entry.channel, entry.recipient
    from fresh join entry on (entry.events is null or fresh.event_type::text = any (entry.events))
      and (fresh.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
  ), made as (
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient)
    select id, conversation_id, channel, recipient from route
    on conflict (lead_event_id, channel, recipient) where replay_of is null do nothing
  ), planned as (
    update public.lead_events e set
      planned_at = v_now,
      processed = not fresh.routed,
      processed_at = case when not fresh.routed then v_now end
    from (select id, exists (select from route where route.id = fresh.id) as routed from fresh) fresh
    where e.id = fresh.id
    returning fresh.routed
  )
  select count(*) filter (where routed), count(*) filter (where not routed) into v_planned, v_unrouted from planned;

  if (p ->> 'isComplete')::boolean then
    perform public.rehome_deliveries(p -> 'channels');
  end if;

  -- Whether these arrived is unknown. They are sent again, and a try is used up: one that kills its worker must not go on for ever.
  with mine as materialized (
    select e.id from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= v_now)
    order by e.id for no key update skip locked
  ), lapsed as (
    update public.notification_logs d set
      status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
      -- A worker that is alive and could only not write down what happened still can, before it is sent again; one try of
      -- that takes it up to 13 s.
      next_attempt_at = v_now + interval '15 seconds',
      lease_until = null, leased_by = null,
      error_message = 'The worker stopped while it was sending; whether this arrived is unknown. It is sent again.'
    from mine
    where d.lead_event_id = mine.id and d.status = 'sending' and d.lease_until <= v_now
    returning d.id, d.fence, d.lead_event_id
  ), attempt_closed as (
    update public.notification_attempts a set finished_at = v_now, class = 'unknown'
    from lapsed where a.delivery = lapsed.id and a.fence = lapsed.fence and a.finished_at is null
  )
  select array_agg(distinct lead_event_id) into v_lapsed from lapsed;
  if v_lapsed is not null then
    perform public.settle_events(v_lapsed);
  end if;

  with entry as (
    select e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient, coalesce(e."limit", 10) as "limit"
    from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
    where not exists (select from public.notification_channels n
                      where n.channel = e.channel::public.notification_channel and n.paused_until > v_now)
  ), due as materialized (
    select d.id from entry cross join lateral (
      select d.id from public.notification_logs d
      where d.channel = entry.channel and d.recipient = entry.recipient and d.due_at <= v_now
        and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit greatest(entry."limit", 0) for no key update skip locked
    ) d
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = p ->> 'worker', fence = d.fence + 1
    from (select distinct id from due) due where d.id = due.id
    returning d.*
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', public.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', e.payload) order by d.due_at, d.id)
  into v_deliveries
  from claimed d join public.lead_events e on e.id = d.lead_event_id;

  if v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    -- What an entry with limit 0 may not send now, its worker knows better. Leases that run out are found by polling.
    select min(greatest(first.due_at, n.paused_until)) into v_next
    from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
    left join public.notification_channels n on n.channel = e.channel::public.notification_channel
    cross join lateral (
      select d.due_at from public.notification_logs d
      where d.channel = e.channel::public.notification_channel and d.recipient = coalesce(e.recipient, 'default')
        and d.due_at is not null and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit 1
    ) first
    where coalesce(e."limit", 10) > 0;
  end if;

  -- Last, so that workers of one name hold each other up as briefly as can be.
  insert into public.workers as w (name, version, started_at, last_seen)
  values (coalesce(p ->> 'worker', 'worker'), p ->> 'version', v_now, v_now)
  on conflict (name) do update set last_seen = excluded.last_seen, version = excluded.version;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', public.iso8601(v_next));
end
$$;

-- Says that sending starts now. What is lost (the lease ran out, or another worker has claimed it since) must not be sent.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_reply jsonb;
begin
  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.status = 'pending' and d.lease_until > v_now
    order by d.id for no key update of d
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease
    from (select distinct id from held) held where d.id = held.id
    returning d.id, d.fence, d.retry_count + 1 as attempt, d.leased_by
  ), noted as (
    insert into public.notification_attempts (delivery, fence, attempt, started_at, worker)
    select id, fence, attempt, v_now, leased_by from begun
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun)), '[]'))
  into v_reply;
  return v_reply;
end
$$;

-- Writes down what happened, under the fence that was claimed. What is lost was decided by somebody else in the meantime.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_recorded uuid[];
  v_events uuid[];
begin
  -- The events first: of two calls that finish an event's last two deliveries, the second then sees what the first wrote.
  perform from public.lead_events e
  where e.id in (select d.lead_event_id from public.notification_logs d
                 join jsonb_to_recordset(p -> 'outcomes') as o (id uuid) on o.id = d.id)
  order by e.id for no key update;

  with outcome as (
    select distinct on (o.id, o.fence) o.*
    from jsonb_to_recordset(p -> 'outcomes') as o (
      id uuid, fence bigint, class text, status text, burned boolean, "retryInSeconds" double precision,
      "statusCode" integer, "providerCode" text, "retryAfterSeconds" double precision, reason text, excerpt text,
      "providerId" text, subject text, "finishedAt" timestamptz)
    where o.status in ('sent', 'failed')
    order by o.id, o.fence
  ), changed as (
    update public.notification_logs d set
      status = o.status,
      outcome_class = o.class,
      retry_count = d.retry_count + (coalesce(o.burned, false) and d.status = 'sending')::integer,
      error_message = case when o.status = 'failed' then coalesce(o.reason, o.class, 'failed') end,
      next_attempt_at = case when o.status = 'failed' then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then coalesce(o."finishedAt", v_now) else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null
    from outcome o
    where d.id = o.id and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and d.next_attempt_at is not null and o.class <> 'unknown'))
    returning d.id, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message,
      o.fence, o.class, o.status, o."statusCode", o."providerCode", o."retryAfterSeconds", o.excerpt,
      coalesce(o."finishedAt", v_now) as finished_at
  ), attempt_closed as (
    update public.notification_attempts a set
      finished_at = c.finished_at, class = c.class, status_code = c."statusCode", provider_code = c."providerCode",
      retry_after_seconds = c."retryAfterSeconds", excerpt = c.excerpt
    from changed c where a.delivery = c.id and a.fence = c.fence
  ), final as (
    select * from changed where status = 'sent' or next_attempt_at is null
  ), evented as (
    -- As emit_lead_event would, all at once.
    insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
    select (case status when 'sent' then 'notification.sent' else 'notification.failed' end)::public.lead_event_type,
      conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class), true, v_now, v_now
    from final
  ), told as (
    insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
    select conversation_id, 'notification_sent',
      case status when 'sent' then 'Notification sent via ' else 'Notification failed via ' end || channel,
      error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class)
    from final where conversation_id is not null
  ), paused as (
    -- These two are the channel's doing, not the delivery's: nothing else of it is sent until then either.
    insert into public.notification_channels as n (channel, paused_until, pause_reason)
    select channel, max(next_attempt_at), min(error_message) from changed
    where class in ('throttled', 'config') and next_attempt_at is not null
    group by channel order by channel
    on conflict (channel) do update set
      paused_until = greatest(n.paused_until, excluded.paused_until), pause_reason = excluded.pause_reason
  )
  select array_agg(id order by id), array_agg(distinct lead_event_id) into v_recorded, v_events from changed;

  return jsonb_build_object(
    'recorded', to_jsonb(coalesce(v_recorded, '{}')),
    'lost', (select coalesce(jsonb_agg(distinct o.id), '[]') from jsonb_to_recordset(p -> 'outcomes') as o (id uuid)
             where o.id <> all (coalesce(v_recorded, '{}'))),
    'events', (select coalesce(jsonb_agg(jsonb_build_object(
                 'eventId', event_id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by event_id), '[]')
               from public.settle_events(v_events)));
end
$$;

-- What /health says. Nulls where the event tables are gone; only partial indexes are read.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_seen timestamptz;
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if to_regclass('public.workers') is not null then
    select max(last_seen) into v_seen from public.workers;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events where processed = false;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed';
  end if;
  return jsonb_build_object(
    'workerLastSeen', public.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

-- ── Clocks and rights ─────────────────────────────────────────────────────────────────────────────────────────────────

-- Roles that can log in, but have no password until the operator gives one, and no right on any table: only functions.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin'] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I login noinherit', v_role);
      exception when duplicate_object or unique_violation then null;  -- roles are shared by all databases of a cluster
      end;
    end if;
    begin
      execute format('grant %I to current_user', v_role);  -- so that one login can SET ROLE to each
    exception when insufficient_privilege then
      raise notice '% cannot be granted to %: SET ROLE will not work, its own login does', v_role, current_user;
    end;
    execute format('grant usage on schema public to %I', v_role);
  end loop;
end
$$;

do $$
declare
  v_table text;
begin
  foreach v_table in array array['lead_events', 'follow_up_tasks', 'notification_logs', 'notification_channels'] loop
    execute format('create or replace trigger %1$s_updated_at before update on public.%1$s
                    for each row execute function public.update_updated_at_column()', v_table);
  end loop;

  foreach v_table in array array['lead_events', 'conversation_timeline', 'follow_up_tasks', 'notification_logs',
                                 'notification_attempts', 'notification_channels', 'workers'] loop
    perform public.protect_table(('public.' || v_table)::regclass);
  end loop;

  perform public.protect_function('public.iso8601(timestamptz)');
  perform public.protect_function('public.event_notifies(public.lead_event_type)');
  perform public.protect_function('public.merged(text, text, boolean)');
  perform public.protect_function('public.emit_lead_event(public.lead_event_type, uuid, jsonb, text)');
  perform public.protect_function('public.add_timeline_entry(uuid, public.timeline_event_type, text, text, text, uuid, text, jsonb)');
  perform public.protect_function('public.update_overdue_follow_ups()');
  perform public.protect_function('public.get_sla_breach_candidates(integer)');
  perform public.protect_function('public.remember_customer(text, text, uuid)');
  perform public.protect_function('public.add_messages(uuid, jsonb, timestamptz)');
  perform public.protect_function('public.settle_events(uuid[])');
  perform public.protect_function('public.rehome_deliveries(jsonb)');
  perform public.protect_function('public.capture_lead(jsonb)', 'leadpipe_intake');
  perform public.protect_function('public.claim_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.begin_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.record_outcomes(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.health_report(jsonb)', 'leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin');
end
$$;

-- For panels that subscribe to changes; row-level security holds there too.
do $$
declare
  v_table text;
begin
  if exists (select from pg_publication where pubname = 'supabase_realtime') then
    foreach v_table in array array['conversations', 'lead_events', 'conversation_timeline'] loop
      if not exists (select from pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = v_table) then
        execute format('alter publication supabase_realtime add table public.%I', v_table);
      end if;
    end loop;
  end if;
exception when insufficient_privilege then
  raise notice 'supabase_realtime belongs to somebody else and was left alone';
end
$$;
