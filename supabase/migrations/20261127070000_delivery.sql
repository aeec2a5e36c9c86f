-- Deliveries (one row in notification_logs for each event, channel and recipient), their attempts, channels and
-- workers.
--
--   pending ──claim: lease, fence──▶ pending ──begin──▶ sending ──record──▶ sent (▶ delivered)
--      ▲                                                   │
--      └── due again ── failed, next_attempt_at ◀──────────┴──▶ failed, no next_attempt_at: given up
--
-- The only foreign key that references lead_events, conversation_timeline, follow_up_tasks or notification_logs is
-- notification_logs → lead_events. The checklist's clean-up drops these four tables without CASCADE, notification_logs
-- first.

alter table public.notification_logs
  add column if not exists next_attempt_at timestamptz,
  add column if not exists lease_until timestamptz,
  add column if not exists leased_by text,
  add column if not exists fence bigint not null default 0,
  add column if not exists outcome_class text,
  add column if not exists provider_id text,
  add column if not exists replay_of uuid,
  add column if not exists updated_at timestamptz not null default now(),
  add column if not exists due_at timestamptz generated always as (
    case status when 'pending' then coalesce(next_attempt_at, created_at) when 'failed' then next_attempt_at end) stored,
  add column if not exists retried_at timestamptz,
  add column if not exists paused_before double precision not null default 0;
update public.notification_logs set recipient = 'default' where recipient is null;
alter table public.notification_logs
  alter column recipient set default 'default',
  alter column recipient set not null;
-- A delivery is updated three times within seconds, so the storage parameters are chosen as for lead_events.
alter table public.notification_logs set (
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
create unique index if not exists notification_logs_lead_event_id_channel_recipient_key
  on public.notification_logs (lead_event_id, channel, recipient) where replay_of is null;
create index if not exists notification_logs_lead_event_id_idx on public.notification_logs (lead_event_id);
create index if not exists notification_logs_conversation_id_idx on public.notification_logs (conversation_id);
create index if not exists notification_logs_due_idx on public.notification_logs (channel, recipient, due_at)
  where due_at is not null;
-- Few rows are being sent at a time, so they need no order. No index contains lease_until, so a claim is a HOT update.
create index if not exists notification_logs_sending_idx on public.notification_logs (lead_event_id) where status = 'sending';
create index if not exists notification_logs_failed_idx on public.notification_logs (created_at desc) where status = 'failed';
-- For list_deliveries, which would otherwise sort the whole table.
create index if not exists notification_logs_created_at_idx on public.notification_logs (created_at, id);
-- Excludes successful deliveries, which are the majority.
create index if not exists notification_logs_class_idx on public.notification_logs (outcome_class, created_at, id)
  where outcome_class not in ('delivered', 'accepted');
create or replace trigger notification_logs_updated_at before update on public.notification_logs
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();
comment on table public.notification_logs is 'Deliveries: one row per event, channel and recipient.';
comment on column public.notification_logs.recipient is 'The email address or chat id; `default` if the channel has only one destination.';
comment on column public.notification_logs.retry_count is 'The number of attempts used.';
comment on column public.notification_logs.next_attempt_at is 'When the next attempt is due. A failed delivery without it is given up or parked.';
comment on column public.notification_logs.lease_until is 'When the lease of leased_by expires.';
comment on column public.notification_logs.fence is 'Increases with each claim. An outcome is recorded only under the current fence.';
comment on column public.notification_logs.outcome_class is 'delivered, accepted, retry, throttled, permanent, config or unknown.';
comment on column public.notification_logs.replay_of is 'The delivery that this one repeats at an operator''s request.';
comment on column public.notification_logs.due_at is 'When the delivery can be claimed, regardless of its lease; null while it is being sent and once it is final.';
comment on column public.notification_logs.retried_at is 'When an operator last requested a retry. The time limit for attempts counts from then.';
comment on column public.notification_logs.paused_before is 'For how many seconds the channel had been paused in total when the time limit for attempts began.';

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
  -- The fence, not the attempt, is in the key: a try that uses up no attempt leaves its attempt number to the next try.
  constraint notification_attempts_pkey primary key (delivery, fence)
) with (
  fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
create index if not exists notification_attempts_started_at_idx on public.notification_attempts (started_at);
select leadpipe.protect_table('public.notification_attempts');
comment on table public.notification_attempts is
  'Every attempt, append-only: a row is added when sending begins and completed once. delivery is notification_logs.id, without a foreign key.';
comment on column public.notification_attempts.excerpt is 'An excerpt of the provider''s response, without secrets and personal data.';

create table if not exists public.notification_channels (
  channel public.notification_channel constraint notification_channels_pkey primary key,
  paused_until timestamptz,
  pause_reason text,
  settings_fingerprint text,
  fail_streak integer not null default 0,
  send_budget jsonb,
  updated_at timestamptz not null default now(),
  pause_class text,
  paused_since timestamptz,
  paused_seconds double precision not null default 0,
  probe uuid
);
create or replace trigger notification_channels_updated_at before update on public.notification_channels
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.notification_channels');
comment on table public.notification_channels is 'The state of a channel as a whole. A channel without a row is open.';
comment on column public.notification_channels.paused_until is 'No delivery of this channel is claimed before this time.';
comment on column public.notification_channels.pause_class is 'The class that caused the latest pause: throttled or config.';
comment on column public.notification_channels.paused_since is 'When the latest pause began; unchanged when the pause is extended.';
comment on column public.notification_channels.paused_seconds is 'The total length of all earlier pauses.';
comment on column public.notification_channels.fail_streak is 'The number of consecutive outcomes of class config. While it is above 0, one delivery at a time is claimed.';
comment on column public.notification_channels.probe is 'The delivery that tests the channel while fail_streak is above 0.';
comment on column public.notification_channels.send_budget is
  '{"nextAt": …}: when the next message of a channel with a pace can begin, across all workers.';

create table if not exists public.workers (
  name text constraint workers_pkey primary key,
  started_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  version text
);
select leadpipe.protect_table('public.workers');
comment on table public.workers is 'The heartbeats of workers. /health reports the latest.';

-- Marks deliveries as being sent. The worker must send only those in `begun`. A delivery in `lost` has an expired
-- lease, or another worker has claimed it. A delivery in `paused` was claimed before its channel was paused, and is
-- released. `paces` has the minimum time between two messages of a channel, in milliseconds: if the channel's turn has
-- come, its oldest delivery begins. The others are in `early`; they are released and due at their turns.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_ids constant uuid[] := array(select asked.id from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid));
  v_early uuid[] := '{}';
  v_pace record;
  v_next timestamptz;
  v_reply jsonb;
begin
  perform from public.notification_logs d where p -> 'paces' is not null and d.id = any (v_ids) order by d.id for no key update of d;
  for v_pace in
    select pace.key::public.notification_channel as channel, make_interval(secs => pace.value::double precision / 1000) as gap,
      (select array_agg(d.id order by d.due_at, d.id) from public.notification_logs d
        where d.id = any (v_ids) and d.channel = pace.key::public.notification_channel and d.status = 'pending' and d.lease_until > v_now
          and (d.id, d.fence) in (select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint))) as ids
    from jsonb_each_text(coalesce(p -> 'paces', '{}')) pace order by 1
  loop
    continue when v_pace.ids is null
      or exists (select from public.notification_channels n where n.channel = v_pace.channel and n.paused_until > v_now);
    insert into public.notification_channels (channel) values (v_pace.channel) on conflict do nothing;
    select (n.send_budget ->> 'nextAt')::timestamptz into v_next from public.notification_channels n
    where n.channel = v_pace.channel for no key update;
    v_now := clock_timestamp();
    -- A turn more than one gap ahead was set with another pace, or the clock has changed.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set
      lease_until = null, leased_by = null, updated_at = v_now, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
    from unnest(v_pace.ids) with ordinality as turn (id, number) where d.id = turn.id;
    v_early := v_early || v_pace.ids;
  end loop;

  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id, d.channel from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.id = any (v_ids) and d.id <> all (v_early) and d.status = 'pending' and d.lease_until > v_now
    order by d.id for no key update of d
  ), shut as (
    -- Claimed before the channel was paused, or before another delivery became the probe.
    select held.id from held join public.notification_channels n on n.channel = held.channel
    where n.paused_until > v_now or (n.fail_streak > 0 and n.probe is distinct from held.id)
  ), given_back as (
    update public.notification_logs d set lease_until = null, leased_by = null, updated_at = v_now
    where d.id = any (array(select id from shut))
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease, updated_at = v_now
    where d.id = any (array(select id from held except select id from shut))
    returning d.id, d.fence, d.retry_count + 1 as attempt, d.leased_by
  ), noted as (
    insert into public.notification_attempts (delivery, fence, attempt, started_at, worker)
    select id, fence, attempt, v_now, leased_by from begun
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', coalesce((select jsonb_agg(distinct id) from shut), '[]'),
    'early', to_jsonb(v_early),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (
      select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;
revoke all on function public.begin_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.begin_deliveries(jsonb) to leadpipe_worker, service_role;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel.
--
-- All functions in this folder take locks in one order: events by id, then deliveries, then channels; a claim skips
-- locked rows. They select the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived
-- session keeps a plan that was made while a table was empty until the next analyze. jit is off because the planner
-- cannot estimate how few rows the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := 100;
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_planned integer;
  v_unrouted integer;
  v_lapses timestamptz;
  v_deliveries jsonb;
  v_next timestamptz;
  v_horizon constant interval := make_interval(secs => coalesce((p ->> 'horizonSeconds')::double precision, 72 * 3600));
  v_parks constant boolean := coalesce(p ->> 'unknownOutcome' = 'park', false);
  v_probing public.notification_channel[];
begin
  -- A claim that is lost in a crash of the server is made again. The next steps of a delivery commit synchronously,
  -- which also flushes the claim.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  select planned, unrouted into v_planned, v_unrouted from leadpipe.plan_events(p -> 'channels', v_batch, v_now);
  if (p ->> 'isComplete')::boolean then
    perform leadpipe.reroute_deliveries(p -> 'channels');
  end if;

  v_lapses := leadpipe.expire_leases(v_parks, v_horizon, v_now);

  -- A misconfigured channel gets one delivery at a time, the probe, until an outcome of a class other than config is
  -- recorded. Only the call that locks the channel's row can claim the probe; for all other calls the channel is
  -- closed.
  select array_agg(n.channel) into v_probing from (
    select channel, probe from public.notification_channels
    where fail_streak > 0 and (paused_until is null or paused_until <= v_now)
    order by channel for no key update skip locked) n
  where not exists (select from public.notification_logs d where d.id = n.probe and d.lease_until > v_now);

  with entry as (
    select e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient, coalesce(e."limit", 10) as "limit"
    from jsonb_to_recordset(p -> 'channels') as e (channel text, recipient text, "limit" integer)
    where not exists (
      select from public.notification_channels n where n.channel = e.channel::public.notification_channel
        and (n.paused_until > v_now or (n.fail_streak > 0 and n.channel <> all (coalesce(v_probing, '{}')))))
  ), due as materialized (
    select d.id, entry.channel, d.due_at from entry cross join lateral (
      select d.id, d.due_at from public.notification_logs d
      where d.channel = entry.channel and d.recipient = entry.recipient and d.due_at <= v_now
        and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit greatest(entry."limit", 0) for no key update skip locked
    ) d
  ), total as materialized (
    select channel, leadpipe.paused_seconds(channel, v_now) as paused from (select distinct channel from entry) e
  ), chosen as (
    select id from due where channel <> all (coalesce(v_probing, '{}'))
    union
    select id from (select distinct on (channel) id from due where channel = any (v_probing) order by channel, due_at, id) probe
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = p ->> 'worker', fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', leadpipe.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', e.payload)
      || case when clock.began > e.created_at then jsonb_build_object('retryFrom', leadpipe.iso8601(clock.began)) else '{}' end
      || case when (d.outcome_class is not null or d.replay_of is not null)
             and leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
           then '{"possibleRepeat": true}'::jsonb else '{}' end
      || case when e.request_id is not null then jsonb_build_object('requestId', e.request_id) else '{}' end
      order by d.due_at, d.id)
  into v_deliveries
  from claimed d join public.lead_events e on e.id = d.lead_event_id and e.id = any (array(select lead_event_id from claimed))
  join total on total.channel = d.channel
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(total.paused - d.paused_before, 0)) as began
  ) clock;

  if v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    v_next := least(v_lapses, leadpipe.next_due_at(p -> 'channels', v_probing, v_now));
  end if;

  -- Last, so that workers with the same name block each other as briefly as possible.
  insert into public.workers as w (name, version, started_at, last_seen)
  values (coalesce(p ->> 'worker', 'worker'), p ->> 'version', v_now, v_now)
  on conflict (name) do update set last_seen = excluded.last_seen, version = excluded.version,
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then excluded.started_at else w.started_at end;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next));
end
$$;
revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

-- Lists deliveries, newest first, filtered by `conversationId`, `status` (a status or a state), `channel`, `class` and
-- `since`. `id` is the conversation whose list is requested. A filter without an index of its own, such as a channel,
-- searches only the next `within` rows (default 100,000). The page can then have fewer rows than its size, or none, and
-- its cursor continues after the searched rows.
create or replace function leadpipe.deliveries_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'notifications', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_state text := p ->> 'status';
  v_status text;
  v_channel public.notification_channel := p ->> 'channel';
  v_class text := p ->> 'class';
  v_since timestamptz := p ->> 'since';
  v_most integer := coalesce((p ->> 'within')::integer, 100000);
  v_within integer;
  v_end record;
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  v_status := case
    when v_state = 'claimed' then 'pending'
    when v_state in ('waiting', 'parked', 'given-up') then 'failed'
    else v_state end;
  -- A small range first: it is enough for frequent values.
  foreach v_within in array array[least(2000, v_most), v_most] loop
    select d.created_at, d.id into v_end from public.notification_logs d
    where v_conversation is null and coalesce(v_channel::text, v_class, v_state) is not null
      and coalesce(v_state, 'sent') in ('sent', 'delivered') and coalesce(v_class, 'delivered') in ('delivered', 'accepted')
      and (v_since is null or d.created_at >= v_since)
      and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
    order by d.created_at desc, d.id desc limit 1 offset v_within - 1;
    v_found := array(
      select d.id from public.notification_logs d
      where (v_conversation is null or d.conversation_id = v_conversation)
        and (v_status is null or d.status = v_status)
        -- Redundant, but lets the planner use the partial index on due_at.
        and (v_status is distinct from 'pending' or d.due_at is not null)
        and (v_state is distinct from 'claimed' or d.lease_until > now())
        and (v_state is distinct from 'waiting' or d.next_attempt_at is not null)
        and (coalesce(v_state, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
        and (v_state is distinct from 'parked' or d.outcome_class = 'unknown')
        and (v_state is distinct from 'given-up' or d.outcome_class is distinct from 'unknown')
        and (v_channel is null or d.channel = v_channel)
        and (v_class is null or d.outcome_class = v_class)
        and (v_since is null or d.created_at >= v_since)
        and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
        and (v_end.id is null or (d.created_at, d.id) >= (v_end.created_at, v_end.id))
      order by d.created_at desc, d.id desc limit v_page.size + 1 offset v_page.skip);
    exit when v_end.id is null or cardinality(v_found) > v_page.size;
  end loop;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null then
        (select count(*) from public.notification_logs d where d.conversation_id = v_conversation) end,
      case when cardinality(v_found) > v_page.size then
        (select leadpipe.row_cursor(v_list, d.created_at, d.id) from public.notification_logs d where d.id = v_found[v_page.size])
      else leadpipe.row_cursor(v_list, v_end.created_at, v_end.id) end)
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.delivery_document(to_jsonb(d))
        || jsonb_build_object('eventType', e.event_type, 'subject', d.subject) order by d.created_at desc, d.id desc), '[]')
      from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
      where d.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function leadpipe.deliveries_page(jsonb) from public, anon, authenticated;

-- Returns a delivery as shown to the operator. Takes the row as jsonb, because a parameter of the table's row type
-- would prevent the table from being dropped. `state` is more specific than `status`. The document contains no data of
-- the lead, but the recipient can be an email address.
create or replace function leadpipe.delivery_document(d jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
    'id', d -> 'id', 'eventId', d -> 'lead_event_id', 'conversationId', d -> 'conversation_id', 'channel', d -> 'channel',
    'recipient', d -> 'recipient', 'status', d -> 'status',
    'state', case
      when d ->> 'status' = 'pending' and (d ->> 'lease_until')::timestamptz > now() then 'claimed'
      when d ->> 'status' <> 'failed' then d ->> 'status'
      when d ->> 'next_attempt_at' is not null then 'waiting'
      when d ->> 'outcome_class' = 'unknown' then 'parked'
      else 'given-up' end,
    'class', d -> 'outcome_class', 'tries', d -> 'retry_count', 'reason', d -> 'error_message',
    'createdAt', leadpipe.iso8601((d ->> 'created_at')::timestamptz),
    'nextAttemptAt', leadpipe.iso8601((d ->> 'next_attempt_at')::timestamptz),
    'sentAt', leadpipe.iso8601((d ->> 'sent_at')::timestamptz), 'providerId', d -> 'provider_id',
    'leasedBy', d -> 'leased_by', 'leaseUntil', leadpipe.iso8601((d ->> 'lease_until')::timestamptz),
    'retriedAt', leadpipe.iso8601((d ->> 'retried_at')::timestamptz), 'replayOf', d -> 'replay_of')
$$;
revoke all on function leadpipe.delivery_document(jsonb) from public, anon, authenticated;

-- Ends a channel's pause, whatever its reason. Makes the deliveries due that waited for its end, and returns their
-- number. The paused time is kept, so that it does not count against the time limit of any delivery.
create or replace function leadpipe.end_pause(p_channel public.notification_channel) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  update public.notification_logs d set next_attempt_at = v_now
  where d.channel = p_channel and d.due_at > v_now and d.status = 'failed' and d.outcome_class in ('throttled', 'config');
  get diagnostics v_count = row_count;
  update public.notification_channels n set
    paused_seconds = leadpipe.paused_seconds(n.channel, v_now), paused_since = null, paused_until = null, pause_class = null,
    pause_reason = null, fail_streak = 0, probe = null
  where n.channel = p_channel;
  return v_count;
end
$$;
revoke all on function leadpipe.end_pause(public.notification_channel) from public, anon, authenticated;

-- Reclaims deliveries whose worker stopped while sending. Their outcome is unknown. An attempt is used up, so that a
-- delivery that crashes its worker is not sent forever. The deliveries are sent again until `p_horizon` has passed.
-- With `p_parks`, those of channels other than email are parked instead: a repeated email is recognised by its
-- Message-ID, but a repeated message of another channel is not. Returns when the next lease of a delivery that is being
-- sent expires.
create or replace function leadpipe.expire_leases(p_parks boolean, p_horizon interval, p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_earliest timestamptz;
  v_events uuid[];
begin
  select min(d.lease_until) into v_earliest from public.notification_logs d where d.status = 'sending';
  if v_earliest <= p_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= p_now)
      order by e.id for no key update skip locked
    ), lapsed as (
      update public.notification_logs d set
        status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
        -- 3 seconds, because a live worker that could not record the outcome tries that again every second.
        next_attempt_at = case when not fate.parked and not fate.over then p_now + interval '3 seconds' end,
        lease_until = null, leased_by = null,
        error_message = case
          when fate.parked then 'It is unknown whether this arrived; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while sending. It is unknown whether this arrived. The time limit for attempts has passed.'
          else 'The worker stopped while sending. It is unknown whether this arrived. It will be sent again.' end
      from mine join public.notification_logs o on o.lead_event_id = mine.id cross join lateral (
        select p_parks and o.channel <> 'email' as parked, p_now > coalesce(o.retried_at, mine.created_at) + p_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, p_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and o.status = 'sending' and d.status = 'sending' and d.lease_until <= p_now
      returning d.id, d.fence, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message
    ), attempt_closed as (
      update public.notification_attempts a set finished_at = p_now, class = 'unknown'
      from lapsed where a.delivery = lapsed.id and a.fence = lapsed.fence and a.finished_at is null
    ), evented as (
      insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
      select 'notification.failed', conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown'),
        true, p_now, p_now
      from lapsed where next_attempt_at is null
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
      select conversation_id, 'notification_sent',
        case when p_parks and channel <> 'email' then 'Notification parked: ' else 'Notification failed via ' end || channel,
        error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown')
      from lapsed where next_attempt_at is null and conversation_id is not null
    )
    select array_agg(distinct lead_event_id) into v_events from lapsed;
    if v_events is not null then
      perform leadpipe.settle_events(v_events);
    end if;
  end if;
  return case when v_earliest > p_now then v_earliest end;
end
$$;
revoke all on function leadpipe.expire_leases(boolean, interval, timestamptz) from public, anon, authenticated;

-- True if the recipient may have received this event before: an earlier attempt has outcome unknown, or another
-- delivery of the same event was sent or has outcome unknown.
create or replace function leadpipe.is_possible_repeat(p_id uuid, p_event uuid, p_channel public.notification_channel, p_recipient text)
returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from public.notification_attempts a where a.delivery = p_id and a.class = 'unknown')
    or exists (select from public.notification_logs d
               where d.lead_event_id = p_event and d.channel = p_channel and d.recipient = p_recipient and d.id <> p_id
                 and (d.status in ('sent', 'delivered') or d.outcome_class = 'unknown'))
$$;
revoke all on function leadpipe.is_possible_repeat(uuid, uuid, public.notification_channel, text) from public, anon, authenticated;

-- Lists the channels in `configured`, a list of {channel, recipient}, and every other channel that has a row, or
-- deliveries that are waiting, being sent or given up. Returns the state of each channel and the numbers of these
-- deliveries.
create or replace function public.list_channels(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  p := leadpipe.authorize(p, 'read');
  return jsonb_build_object('data', (
    select coalesce(jsonb_agg(
      jsonb_build_object(
        'name', c.channel, 'isConfigured', recipients.list <> '[]', 'recipients', recipients.list,
        'state', case when pause.is_on then 'paused' when n.fail_streak > 0 then 'probing' else 'open' end,
        'pausedUntil', leadpipe.iso8601(case when pause.is_on then n.paused_until end), 'waiting', waiting.count,
        'sending', sending.count, 'givenUp', given_up.count, 'oldestDueAt', leadpipe.iso8601(waiting.oldest),
        -- The reason is shown only while the channel is paused or probing.
        'class', case when pause.is_on or n.fail_streak > 0 then n.pause_class end,
        'reason', case when pause.is_on or n.fail_streak > 0 then n.pause_reason end)
      order by c.channel::text), '[]')
    from unnest(enum_range(null::public.notification_channel)) as c (channel)
    left join public.notification_channels n on n.channel = c.channel
    cross join lateral (select coalesce(n.paused_until > v_now, false)) as pause (is_on)
    cross join lateral (select count(*), min(d.due_at) as oldest from public.notification_logs d
                        where d.channel = c.channel and d.due_at is not null) waiting
    cross join lateral (select count(*) from public.notification_logs d where d.channel = c.channel and d.status = 'sending') sending
    cross join lateral (select count(*) from public.notification_logs d
                        where d.channel = c.channel and d.status = 'failed' and d.next_attempt_at is null) given_up
    cross join lateral (
      select coalesce(jsonb_agg(e.recipient order by e.recipient), '[]') as list
      from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text) where e.channel = c.channel::text) recipients
    where n.channel is not null or waiting.count > 0 or sending.count > 0 or given_up.count > 0 or recipients.list <> '[]'));
end
$$;
revoke all on function public.list_channels(jsonb) from public, anon, authenticated;
grant execute on function public.list_channels(jsonb) to leadpipe_admin, service_role;

-- Lists deliveries, newest first; see deliveries_page.
create or replace function public.list_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return leadpipe.deliveries_page(leadpipe.authorize(p, 'read'));
end
$$;
revoke all on function public.list_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.list_deliveries(jsonb) to leadpipe_admin, service_role;

-- Lists the deliveries of one conversation, newest first.
create or replace function public.list_conversation_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'read');
  return leadpipe.deliveries_page(p || jsonb_build_object('conversationId', (leadpipe.require_conversation(p)).id));
end
$$;
revoke all on function public.list_conversation_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversation_deliveries(jsonb) to leadpipe_admin, service_role;

-- Returns when the next delivery for an entry of `p_channels` is due. Null if none is waiting. `p_probing` lists the
-- channels whose probe this call may claim. An entry with limit 0 is ignored, because its worker has a timer for when
-- it can send again.
create or replace function leadpipe.next_due_at(
  p_channels jsonb, p_probing public.notification_channel[], p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select min(greatest(first.due_at, n.paused_until,
      -- While a probe is being sent, nothing else is due until its lease expires or another probe is chosen.
      case when n.fail_streak > 0 then coalesce(
        (select d.lease_until from public.notification_logs d where d.id = n.probe and d.lease_until > p_now),
        case when n.channel <> all (coalesce(p_probing, '{}')) then p_now + interval '1 second' end) end))
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text, "limit" integer)
    left join public.notification_channels n on n.channel = e.channel::public.notification_channel
    cross join lateral (
      select d.due_at from public.notification_logs d
      where d.channel = e.channel::public.notification_channel and d.recipient = coalesce(e.recipient, 'default')
        and d.due_at is not null and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 1
    ) first
    where coalesce(e."limit", 10) > 0);
end
$$;
revoke all on function leadpipe.next_due_at(jsonb, public.notification_channel[], timestamptz) from public, anon, authenticated;

-- Returns for how many seconds a channel had been paused in total at `p_at`, which must not be before the start of the
-- channel's latest pause.
create or replace function leadpipe.paused_seconds(p_channel public.notification_channel, p_at timestamptz) returns double precision
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce((select n.paused_seconds
      + coalesce(greatest(extract(epoch from least(p_at, n.paused_until) - n.paused_since), 0), 0)
    from public.notification_channels n where n.channel = p_channel), 0)::double precision
$$;
revoke all on function leadpipe.paused_seconds(public.notification_channel, timestamptz) from public, anon, authenticated;

-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. Returns how many events have deliveries (`planned`), and how many need none and are marked as processed
-- (`unrouted`).
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_now timestamptz, out planned integer, out unrouted integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[])
  ), fresh as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit p_most for no key update skip locked
  ), route as (
    select fresh.id, fresh.conversation_id, entry.channel, entry.recipient, entry.paused
    from fresh join entry on (entry.events is null or fresh.event_type::text = any (entry.events))
      and (fresh.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
  ), made as (
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, paused_before)
    select id, conversation_id, channel, recipient, paused from route
    on conflict (lead_event_id, channel, recipient) where replay_of is null do nothing
  ), planned_events as (
    update public.lead_events e set
      planned_at = p_now, updated_at = p_now,
      processed = e.id <> all (array(select id from route)),
      processed_at = case when e.id <> all (array(select id from route)) then p_now end
    where e.id = any (array(select id from fresh))
    returning e.processed
  )
  select count(*) filter (where not processed), count(*) filter (where processed) into planned, unrouted from planned_events;
end
$$;
revoke all on function leadpipe.plan_events(jsonb, integer, timestamptz) from public, anon, authenticated;

-- Records the outcomes of deliveries, each under the fence of its claim. `lost` lists deliveries that another worker
-- has claimed or finished since. Status pending is for a delivery that was begun but not sent: the delivery returns to
-- its former state, and the state of its channel does not change.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_pauses jsonb;  -- of the channels that these outcomes have paused
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_recorded uuid[];
  v_events uuid[];
begin
  -- Lock events first: if two calls finish the last two deliveries of an event, the second sees what the first wrote.
  perform from public.lead_events e
  where e.id = any (array(select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)))
  order by e.id for no key update;

  with outcome as (
    select distinct on (o.id, o.fence) o.*
    from jsonb_to_recordset(p -> 'outcomes') as o (
      id uuid, fence bigint, class text, status text, burned boolean, "retryInSeconds" double precision,
      "statusCode" integer, "providerCode" text, "retryAfterSeconds" double precision, reason text, excerpt text,
      "providerId" text, subject text, "finishedAt" timestamptz)
    where o.status in ('sent', 'failed', 'pending')
    order by o.id, o.fence
  ), changed as (
    update public.notification_logs d set
      status = o.status,
      outcome_class = case o.status when 'pending' then d.outcome_class else o.class end,
      -- If the lease has expired, the attempt is already counted.
      retry_count = case when d.status = 'sending' then d.retry_count + coalesce(o.burned, false)::integer
        else greatest(d.retry_count - (not coalesce(o.burned, false))::integer, 0) end,
      error_message = case o.status when 'failed' then coalesce(o.reason, o.class, 'failed') when 'pending' then d.error_message end,
      next_attempt_at = case when o.status = 'failed' then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then coalesce(o."finishedAt", v_now) else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message,
      o.fence, o.class, o.status, o."statusCode", o."providerCode", o."retryAfterSeconds", o.excerpt,
      coalesce(o."finishedAt", v_now) as finished_at
  ), attempt_closed as (
    update public.notification_attempts a set
      finished_at = c.finished_at, class = c.class, status_code = c."statusCode", provider_code = c."providerCode",
      retry_after_seconds = c."retryAfterSeconds", excerpt = c.excerpt
    from changed c where a.delivery = c.id and a.fence = c.fence and a.delivery = any (v_ids)
  ), final as (
    select * from changed where status = 'sent' or (status = 'failed' and next_attempt_at is null)
  ), evented as (
    -- Has the effect of emit_lead_event, in one statement.
    insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
    select (case status when 'sent' then 'notification.sent' else 'notification.failed' end)::public.lead_event_type,
      conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class), true, v_now, v_now
    from final
  ), logged as (
    insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
    select conversation_id, 'notification_sent',
      case status when 'sent' then 'Notification sent via ' else 'Notification failed via ' end || channel,
      error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class)
    from final where conversation_id is not null
  ), paused as (
    -- These two classes affect the whole channel: it is paused until the next attempt.
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where class in ('throttled', 'config') and next_attempt_at is not null
    group by channel order by channel
    on conflict (channel) do update set
      paused_seconds = case when n.paused_until > v_now then n.paused_seconds else leadpipe.paused_seconds(n.channel, v_now) end,
      paused_since = case when n.paused_until > v_now then coalesce(n.paused_since, v_now) else v_now end,
      paused_until = greatest(n.paused_until, excluded.paused_until),
      pause_reason = case when n.paused_until > excluded.paused_until then n.pause_reason else excluded.pause_reason end,
      pause_class = case when n.paused_until > excluded.paused_until then n.pause_class else excluded.pause_class end,
      fail_streak = case excluded.fail_streak when 0 then 0 else n.fail_streak + 1 end,
      probe = null
    returning n.channel, n.paused_until, n.pause_reason, n.pause_class, n.paused_since = v_now as is_new
  ), opened as (
    -- An outcome of any other class shows that the channel is configured correctly, so the deliveries that wait for the
    -- probe can be sent.
    update public.notification_channels n set fail_streak = 0, probe = null
    from (select distinct channel from changed where class not in ('throttled', 'config') and status <> 'pending') reached
    where n.channel = reached.channel and n.fail_streak > 0
      and n.channel not in (select channel from changed where class in ('throttled', 'config') and next_attempt_at is not null)
  )
  select array_agg(id order by id), array_agg(distinct lead_event_id),
    (select jsonb_agg(jsonb_build_object('channel', channel, 'until', leadpipe.iso8601(paused_until), 'reason', pause_reason,
       'class', pause_class) order by channel) from paused where is_new)
  into v_recorded, v_events, v_pauses from changed;

  return jsonb_build_object(
    'pauses', coalesce(v_pauses, '[]'),
    'recorded', to_jsonb(coalesce(v_recorded, '{}')),
    'lost', (select coalesce(jsonb_agg(distinct asked.id), '[]') from unnest(v_ids) as asked (id)
             where asked.id <> all (coalesce(v_recorded, '{}'))),
    'events', (select coalesce(jsonb_agg(jsonb_build_object(
                 'eventId', event_id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by event_id), '[]')
               from leadpipe.settle_events(v_events)));
end
$$;
revoke all on function public.record_outcomes(jsonb) from public, anon, authenticated;
grant execute on function public.record_outcomes(jsonb) to leadpipe_worker, service_role;

-- Releases deliveries that were claimed but not begun. They are due again immediately, and no attempt is used up.
-- Releases the deliveries of `worker`, or only those in `ids`. With `host` and `alive`, it also releases those of other
-- workers on this host (named host:pid) that are not in `alive`. If such a worker is alive after all, it cannot begin
-- the deliveries that it has lost.
create or replace function public.release_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  with mine as materialized (
    select d.id from public.notification_logs d
    where d.due_at <= v_now and d.status = 'pending' and d.lease_until > v_now
      and ((d.leased_by = p ->> 'worker' and (p -> 'ids' is null or p -> 'ids' ? d.id::text))
        or (starts_with(d.leased_by, (p ->> 'host') || ':') and not coalesce(p -> 'alive' ? d.leased_by, false)
          and d.leased_by <> p ->> 'worker'))
    order by d.id for no key update skip locked
  )
  update public.notification_logs d set lease_until = null, leased_by = null from mine where d.id = mine.id;
  get diagnostics v_count = row_count;
  return jsonb_build_object('released', v_count);
end
$$;
revoke all on function public.release_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.release_deliveries(jsonb) to leadpipe_worker, service_role;

-- Sends the finished notifications of an event once more, as new rows that are linked to the first. Raises LP404 if the
-- event does not exist, LP409 if none of its notifications is finished.
create or replace function public.replay_event(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from public.lead_events e where e.id = (p ->> 'id')::uuid) then
    raise exception using errcode = 'LP404', message = 'event_not_found';
  end if;
  v_done := public.replay_events(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done -> 'deliveries' = '[]' then
    raise exception using errcode = 'LP409', message = case
      when exists (select from public.notification_logs d where d.lead_event_id = (p ->> 'id')::uuid)
      then 'event_not_finished' else 'event_without_notifications' end;
  end if;
  return jsonb_build_object('id', p -> 'id', 'deliveries', v_done -> 'deliveries');
end
$$;
revoke all on function public.replay_event(jsonb) from public, anon, authenticated;
grant execute on function public.replay_event(jsonb) to leadpipe_admin, service_role;

-- Sends finished notifications once more. For the newest delivery of each event, channel and recipient, it creates a
-- new delivery, linked by replay_of, and reopens the event. `ids`, `from` and `to` (the time of the event), `channel`
-- and `class` select the deliveries. Deliveries that are unfinished or were created since `asOf` are skipped, so that
-- two calls do not replay the same delivery. Each call replays at most 1,000 deliveries, oldest first; the next call
-- continues at `after`. With `dryRun`, nothing is changed.
create or replace function public.replay_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_chosen uuid[];
  v_after jsonb;
  v_found jsonb;
begin
  if p -> 'ids' is null and p ->> 'from' is null and p ->> 'to' is null and p ->> 'channel' is null and p ->> 'class' is null then
    raise exception 'ids, from, to, channel or class is required' using errcode = '22023';
  end if;
  select array_agg(id order by created_at, id) into v_chosen from (
    select d.id, d.created_at from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where (d.status in ('sent', 'delivered') or (d.status = 'failed' and d.next_attempt_at is null))
      and d.created_at < v_as_of
      and (p -> 'after' is null or (d.created_at, d.id) > ((p #>> '{after,at}')::timestamptz, (p #>> '{after,id}')::uuid))
      and (p -> 'ids' is null or d.lead_event_id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      -- A delivery is never older than its event: the first condition lets the planner use the index.
      and (p ->> 'from' is null or (d.created_at >= (p ->> 'from')::timestamptz and e.created_at >= (p ->> 'from')::timestamptz))
      and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
      and not exists (select from public.notification_logs o
        where o.lead_event_id = d.lead_event_id and o.channel = d.channel and o.recipient = d.recipient
          and (o.created_at, o.id) > (d.created_at, d.id))
    order by d.created_at, d.id limit 1000) found;
  if array_length(v_chosen, 1) = 1000 then
    select jsonb_build_object('at', d.created_at::text, 'id', d.id) into v_after
    from public.notification_logs d where d.id = v_chosen[1000];
  end if;
  if not v_is_dry then
    -- Lock events first, as in all functions.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_chosen)) order by e.id for no key update;
  end if;

  with chosen as materialized (
    select d.*, gen_random_uuid() as new_id from public.notification_logs d where d.id = any (v_chosen)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, conversation_id, channel, recipient, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, conversation_id, channel, recipient, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
    from chosen where not v_is_dry
  ), logged as (
    insert into public.conversation_timeline (conversation_id, event_type, title, actor_name, metadata)
    select conversation_id, 'notification_sent', 'Notification to be sent once more via ' || channel, p ->> 'by',
      jsonb_build_object('deliveryId', new_id, 'replayOf', id, 'channel', channel, 'by', p ->> 'by')
    from chosen where conversation_id is not null and not v_is_dry
  )
  select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'id', case when not v_is_dry then new_id end, 'replayOf', id, 'eventId', lead_event_id, 'channel', channel,
      'recipient', recipient, 'wasStatus', status, 'wasClass', outcome_class)) order by created_at, id), '[]')
  into v_found from chosen;
  if not v_is_dry then
    perform leadpipe.settle_events((select array_agg(distinct (d ->> 'eventId')::uuid) from jsonb_array_elements(v_found) d));
  end if;
  return jsonb_build_object('deliveries', v_found, 'asOf', v_as_of, 'after', v_after, 'isComplete', v_after is null);
end
$$;
revoke all on function public.replay_events(jsonb) from public, anon, authenticated;
grant execute on function public.replay_events(jsonb) to leadpipe_admin, service_role;

-- Reroutes deliveries whose recipient is no longer configured. If their channel has exactly one recipient, they are
-- sent to it. Otherwise they fail with this reason until their recipient is configured again. Workers that have the
-- complete list of configured channels request this from time to time.
create or replace function leadpipe.reroute_deliveries(p_channels jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reason constant text := 'This recipient is not configured; the delivery waits until it is.';
  v_events uuid[];
begin
  with entry as (
    select distinct channel::public.notification_channel, coalesce(recipient, 'default') as recipient
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text)
  ), sole as (
    select channel, min(recipient) as recipient from entry group by channel having count(*) = 1
  ), candidate as materialized (
    select d.id, d.lead_event_id from public.notification_logs d left join sole on sole.channel = d.channel
    where d.due_at <= v_now and (d.lease_until is null or d.lease_until <= v_now)
      and not exists (select from entry where entry.channel = d.channel and entry.recipient = d.recipient)
      -- Rows that would not change must not use up the limit.
      and (d.status = 'pending' or d.outcome_class is distinct from 'config'
        or (sole.recipient is not null and not exists (
          select from public.notification_logs o where o.lead_event_id = d.lead_event_id and o.channel = d.channel
            and o.recipient = sole.recipient)))
    order by d.due_at limit 5000
  ), held as materialized (
    select e.id from public.lead_events e where e.id in (select lead_event_id from candidate)
    order by e.id for no key update skip locked
  ), stray as materialized (
    select d.id, d.lead_event_id, d.channel from public.notification_logs d
    join candidate on candidate.id = d.id join held on held.id = d.lead_event_id
    where d.due_at <= v_now and (d.lease_until is null or d.lease_until <= v_now)
    order by d.id for no key update of d skip locked
  ), moving as (
    select distinct on (stray.lead_event_id, stray.channel) stray.id, sole.recipient
    from stray join sole using (channel)
    where not exists (select from public.notification_logs o where o.lead_event_id = stray.lead_event_id
                      and o.channel = stray.channel and o.recipient = sole.recipient)
    order by stray.lead_event_id, stray.channel, stray.id
  ), moved as (
    update public.notification_logs d set
      recipient = moving.recipient,
      status = case when d.error_message = v_reason then 'pending' else d.status end,
      error_message = nullif(d.error_message, v_reason)
    from moving where d.id = moving.id
    returning d.lead_event_id
  ), stood as (
    update public.notification_logs d set
      status = 'failed', outcome_class = 'config', next_attempt_at = v_now, lease_until = null, leased_by = null,
      error_message = v_reason
    from stray where d.id = stray.id and d.id not in (select id from moving)
      and (d.status = 'pending' or d.outcome_class is distinct from 'config')
    returning d.lead_event_id
  )
  select array_agg(lead_event_id) into v_events from (select lead_event_id from moved union select lead_event_id from stood) changed;
  if v_events is not null then
    perform leadpipe.settle_events(v_events);
  end if;
end
$$;
revoke all on function leadpipe.reroute_deliveries(jsonb) from public, anon, authenticated;

-- Ends the pause of the channel `name`, even one that the provider requested. Raises LP404 if the channel is not in
-- `configured` and has no row.
create or replace function public.resume_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_was jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name')
    and not exists (select from public.notification_channels n where n.channel::text = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_found';
  end if;
  v_channel := p ->> 'name';
  select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'class', n.pause_class, 'reason', n.pause_reason)
  into v_was from public.notification_channels n
  where n.channel = v_channel and (n.paused_until > clock_timestamp() or n.fail_streak > 0);
  return jsonb_build_object('channel', v_channel, 'wasPaused', v_was is not null, 'was', v_was,
    'broughtForward', leadpipe.end_pause(v_channel));
end
$$;
revoke all on function public.resume_channel(jsonb) from public, anon, authenticated;
grant execute on function public.resume_channel(jsonb) to leadpipe_admin, service_role;

-- Makes failed deliveries due immediately, whether given up or waiting: those in `ids`, or those of a `channel` and
-- optionally a `class`. Each call retries at most 1,000 deliveries, oldest first, and skips those retried since `asOf`.
-- `isComplete` is false while more are left. With `dryRun`, nothing is changed. `by` is the name of the operator.
create or replace function public.retry_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_ids uuid[];
  v_count integer;
  v_documents jsonb;
  v_events uuid[];
begin
  if p -> 'ids' is null and p ->> 'channel' is null then
    raise exception 'ids or channel is required' using errcode = '22023';
  end if;
  select array_agg(id), count(*) into v_ids, v_count from (
    select d.id from public.notification_logs d
    where d.status = 'failed'
      and (d.next_attempt_at is null or d.next_attempt_at > v_now)
      and (d.retried_at is null or d.retried_at < v_as_of)
      and (p -> 'ids' is null or d.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
    order by d.created_at, d.id limit 1000) found;
  if not v_is_dry and v_ids is not null then
    -- Lock events first, as in all functions.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)) order by e.id for no key update;
    with changed as (
      update public.notification_logs d set
        next_attempt_at = v_now, retried_at = v_now, paused_before = leadpipe.paused_seconds(d.channel, v_now)
      where d.id = any (v_ids) and d.status = 'failed'
      returning d.id, d.lead_event_id, d.conversation_id, d.channel
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, actor_name, metadata)
      select conversation_id, 'notification_sent', 'Notification to be tried again via ' || channel, p ->> 'by',
        jsonb_build_object('deliveryId', id, 'channel', channel, 'by', p ->> 'by')
      from changed where conversation_id is not null
    )
    select array_agg(id), array_agg(distinct lead_event_id) into v_ids, v_events from changed;
    perform leadpipe.settle_events(v_events);
  end if;
  select coalesce(jsonb_agg(leadpipe.delivery_document(to_jsonb(d)) order by d.created_at, d.id), '[]') into v_documents
  from public.notification_logs d where d.id = any (v_ids);
  return jsonb_build_object(
    'deliveries', v_documents, 'asOf', v_as_of, 'isComplete', v_is_dry or v_count < 1000,
    -- The requested ids that were not retried, with their status.
    'refused', (select coalesce(jsonb_agg(jsonb_build_object('id', asked.id, 'status', coalesce(d.status, 'none'))), '[]')
      from jsonb_array_elements_text(coalesce(p -> 'ids', '[]')) as asked (id)
      left join public.notification_logs d on d.id = asked.id::uuid
      where asked.id::uuid <> all (coalesce(v_ids, '{}'))));
end
$$;
revoke all on function public.retry_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.retry_deliveries(jsonb) to leadpipe_admin, service_role;

-- Makes one failed delivery due immediately. Raises LP404 if it does not exist, LP409 if there is nothing to retry.
create or replace function public.retry_delivery(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_done jsonb;
  v_state text;
begin
  p := leadpipe.authorize(p, 'write');
  v_done := public.retry_deliveries(jsonb_build_object('ids', jsonb_build_array(p -> 'id'), 'by', p -> 'by'));
  if v_done #> '{deliveries,0}' is not null then
    return v_done #> '{deliveries,0}';
  end if;
  v_state := v_done #>> '{refused,0,status}';
  if v_state = 'none' then
    raise exception using errcode = 'LP404', message = 'notification_not_found';
  end if;
  raise exception using errcode = 'LP409', message = case
    when v_state in ('sent', 'delivered') then 'notification_sent'
    when v_state = 'sending' then 'notification_sending'
    else 'notification_due' end;
end
$$;
revoke all on function public.retry_delivery(jsonb) from public, anon, authenticated;
grant execute on function public.retry_delivery(jsonb) to leadpipe_admin, service_role;

-- Updates events from their deliveries, and returns their state. `settled`: no delivery is pending or being sent.
-- `closed`: every delivery is final.
create or replace function leadpipe.settle_events(p_events uuid[])
returns table (event_id uuid, settled boolean, closed boolean, sent text[], failed text[])
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
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
      last_error = s.last_error,
      updated_at = clock_timestamp()
    from standing s
    where e.id = s.id and e.id = any (p_events)
      and (e.processed, e.retry_count, e.last_error) is distinct from (s.closed, coalesce(s.retries, e.retry_count), s.last_error)
  )
  select s.id, s.settled, s.closed, coalesce(s.sent, '{}'), coalesce(s.failed, '{}') from standing s;
end
$$;
revoke all on function leadpipe.settle_events(uuid[]) from public, anon, authenticated;

-- Returns all data about a delivery or an event. `kind` is delivery, event or none.
create or replace function public.show_delivery(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reply jsonb;
begin
  select jsonb_build_object(
    'kind', 'delivery', 'now', leadpipe.iso8601(v_now),
    'delivery', leadpipe.delivery_document(to_jsonb(d)),
    'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed),
    'channel', (
      select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'isPaused', coalesce(n.paused_until > v_now, false),
        'class', n.pause_class, 'reason', n.pause_reason, 'failStreak', n.fail_streak, 'probe', n.probe)
      from public.notification_channels n where n.channel = d.channel),
    'attempts', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'attempt', a.attempt, 'fence', a.fence, 'startedAt', leadpipe.iso8601(a.started_at), 'finishedAt', leadpipe.iso8601(a.finished_at),
        'class', a.class, 'statusCode', a.status_code, 'providerCode', a.provider_code, 'retryAfterSeconds', a.retry_after_seconds,
        'excerpt', a.excerpt, 'worker', a.worker) order by a.fence), '[]')
      from public.notification_attempts a where a.delivery = d.id),
    'replays', (
      select coalesce(jsonb_agg(r.id order by r.created_at), '[]') from public.notification_logs r
      where r.lead_event_id = d.lead_event_id and r.replay_of = d.id),
    'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
  into v_reply
  from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
  where d.id = (p ->> 'id')::uuid;

  if v_reply is null then
    select jsonb_build_object(
      'kind', 'event', 'now', leadpipe.iso8601(v_now),
      'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed,
        'plannedAt', leadpipe.iso8601(e.planned_at), 'notifies', leadpipe.event_notifies(e.event_type, e.payload)),
      'deliveries', (select coalesce(jsonb_agg(d.id order by d.created_at, d.id), '[]')
                     from public.notification_logs d where d.lead_event_id = e.id),
      'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
    into v_reply
    from public.lead_events e where e.id = (p ->> 'id')::uuid;
  end if;
  return coalesce(v_reply, jsonb_build_object('kind', 'none'));
end
$$;
revoke all on function public.show_delivery(jsonb) from public, anon, authenticated;
grant execute on function public.show_delivery(jsonb) to leadpipe_admin, service_role;

-- Queues a test message to each configured recipient of the channel `name`: an event that is already planned, with one
-- delivery for each recipient. The deliveries are sent like all others; if the channel is paused, they wait for the end
-- of the pause. Raises LP404 if the channel is not configured.
create or replace function public.test_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_event uuid := gen_random_uuid();
  v_channel public.notification_channel;
  v_deliveries jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  if not exists (select from jsonb_to_recordset(p -> 'configured') as e (channel text) where e.channel = p ->> 'name') then
    raise exception using errcode = 'LP404', message = 'channel_not_configured';
  end if;
  v_channel := p ->> 'name';
  insert into public.lead_events (id, event_type, payload, planned_at, created_at)
  values (v_event, 'channel.test', jsonb_build_object('channel', v_channel, 'by', p -> 'by', 'askedAt', leadpipe.iso8601(v_now)), v_now, v_now);
  with made as (
    insert into public.notification_logs (lead_event_id, channel, recipient, created_at, paused_before)
    select distinct on (e.recipient) v_event, v_channel, coalesce(e.recipient, 'default'), v_now, leadpipe.paused_seconds(v_channel, v_now)
    from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text)
    where e.channel = p ->> 'name'
    returning id, recipient
  )
  select jsonb_agg(jsonb_build_object('id', id, 'recipient', recipient) order by recipient) into v_deliveries from made;
  return jsonb_build_object('channel', v_channel, 'eventId', v_event, 'deliveries', v_deliveries,
    'pausedUntil', (select leadpipe.iso8601(n.paused_until) from public.notification_channels n
                    where n.channel = v_channel and n.paused_until > v_now));
end
$$;
revoke all on function public.test_channel(jsonb) from public, anon, authenticated;
grant execute on function public.test_channel(jsonb) to leadpipe_admin, service_role;

-- Stores a fingerprint of each channel's settings, which a worker reports when it starts. A changed fingerprint ends a
-- pause that the old settings caused, but not one that a provider requested.
create or replace function leadpipe.update_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
begin
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.settings_fingerprint <> f.value and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  insert into public.notification_channels as n (channel, settings_fingerprint)
  select f.key::public.notification_channel, f.value from jsonb_each_text(p_fingerprints) f order by 1
  on conflict (channel) do update set settings_fingerprint = excluded.settings_fingerprint
  where n.settings_fingerprint is distinct from excluded.settings_fingerprint;
end
$$;
revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;
