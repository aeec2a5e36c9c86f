-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel.
--
-- All functions in this folder take locks in one order: events by id, then deliveries, then channels. A claim waits for
-- no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived
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
  v_worker constant text := coalesce(p ->> 'worker', 'worker');
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

  -- Workers with the same name do not wait for each other.
  update public.workers w set last_seen = v_now, version = p ->> 'version',
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then v_now else w.started_at end
  where w.name = (select o.name from public.workers o where o.name = v_worker for no key update skip locked);
  if not found then
    insert into public.workers (name, version, started_at, last_seen) select v_worker, p ->> 'version', v_now, v_now
    where not exists (select from public.workers o where o.name = v_worker) on conflict do nothing;
  end if;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next),
    -- The worker's clock may differ from the database's.
    'nextDueInMs', ceil(extract(epoch from v_next - clock_timestamp()) * 1000));
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

-- Ends a channel's pause, whatever its reason. Makes the deliveries due that waited for its end, and returns their
-- number; those that another session has locked keep their time. The paused time is kept, so that it does not count against the time limit of any delivery.
create or replace function leadpipe.end_pause(p_channel public.notification_channel) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  update public.notification_logs d set next_attempt_at = v_now
  where d.id = any (array(
    select w.id from public.notification_logs w
    where w.channel = p_channel and w.due_at > v_now and w.status = 'failed' and w.outcome_class in ('throttled', 'config')
    order by w.id for no key update skip locked));
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
-- Message-ID, but a repeated message of another channel is not. Rows that another session has locked are left for a
-- later call. Returns when the next lease of a delivery that is being sent expires.
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
    ), free as materialized (
      select unnest(leadpipe.hold_conversations(array(
        select o.conversation_id from mine join public.notification_logs o on o.lead_event_id = mine.id))) as id
    ), held as materialized (
      select o.id, o.channel, o.paused_before, o.retried_at, mine.created_at
      from mine join public.notification_logs o on o.lead_event_id = mine.id
      where o.status = 'sending' and o.lease_until <= p_now
        and (o.conversation_id is null or o.conversation_id in (select id from free))
      order by o.id for no key update of o skip locked
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
      from held o cross join lateral (
        select p_parks and o.channel <> 'email' as parked, p_now > coalesce(o.retried_at, o.created_at) + p_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, p_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and d.status = 'sending' and d.lease_until <= p_now
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

-- Returns those of the conversations that still exist and that no other session has locked against new rows that
-- reference them. They are locked so until the transaction ends, as the foreign keys would, but without waiting.
create or replace function leadpipe.hold_conversations(p_ids uuid[]) returns uuid[]
language sql set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(id), '{}') from (
    select c.id from public.conversations c where c.id = any (p_ids) order by c.id for key share skip locked) held
$$;

revoke all on function leadpipe.hold_conversations(uuid[]) from public, anon, authenticated;

-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. Returns how many events have deliveries (`planned`), and how many need none and are marked as processed
-- (`unrouted`). Events and conversations that another session has locked are left for a later call.
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_now timestamptz, out planned integer, out unrouted integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[])
  ), oldest as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit p_most for no key update skip locked
  ), free as materialized (
    select unnest(leadpipe.hold_conversations(array(select conversation_id from oldest))) as id
  ), fresh as materialized (
    select * from oldest where conversation_id is null or conversation_id in (select id from free)
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

-- Stores a fingerprint of each channel's settings, which a worker reports when it starts. A changed fingerprint ends a
-- pause that the old settings caused, but not one that a provider requested. A channel that another session has locked
-- keeps its old fingerprint, and its pause, until the next worker starts.
create or replace function leadpipe.update_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_held public.notification_channel[];
begin
  select coalesce(array_agg(channel), '{}') into v_held from (
    select n.channel from public.notification_channels n where p_fingerprints ? n.channel::text
    order by n.channel for no key update skip locked) n;
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.channel = any (v_held) and n.settings_fingerprint <> f.value and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  update public.notification_channels n set settings_fingerprint = f.value from jsonb_each_text(p_fingerprints) f
  where n.channel = any (v_held) and f.key = n.channel::text and n.settings_fingerprint is distinct from f.value;
  insert into public.notification_channels (channel, settings_fingerprint)
  select f.key::public.notification_channel, f.value from jsonb_each_text(p_fingerprints) f
  where not exists (select from public.notification_channels n where n.channel::text = f.key)
  order by 1 on conflict do nothing;
end
$$;

revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;

-- Returns false if the database's disk is full: a set that does not fit into work_mem is written to a temporary file.
create or replace function leadpipe.disk_has_room() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '64kB' as $$
begin
  perform count(*) from generate_series(1, 4000);
  return true;
exception when disk_full then
  return false;
end
$$;

revoke all on function leadpipe.disk_has_room() from public, anon, authenticated;

-- Returns the data for /health. A value is null if its table does not exist. Reads partial indexes only, and writes a
-- temporary file of 100 kB to see whether the disk is full. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own requests.
-- A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_claimed timestamptz;
  v_seen timestamptz;
  v_has_workers boolean := to_regclass('public.workers') is not null;
  v_paused jsonb := '[]';
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if v_has_workers then
    select max(last_seen), max(case when v_old > 0 then greatest(date_bin(make_interval(secs => v_old), last_seen, 'epoch'), started_at)
                               else last_seen end)
    into v_claimed, v_seen from public.workers;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  if to_regclass('public.notification_channels') is not null then
    select coalesce(jsonb_agg(channel order by channel), '[]') into v_paused from public.notification_channels
    where paused_until > clock_timestamp() and coalesce(paused_since, updated_at) <= v_before;
  end if;
  return jsonb_build_object(
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'hasRoom', leadpipe.disk_has_room(),
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

revoke all on function public.health_report(jsonb) from public, anon, authenticated;

grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, and workers that have stopped. Also deletes idempotency keys older than 7 days, and those made from
-- the content after an hour: they no longer have any effect. Without `days`, deletes only these keys. Unfinished rows are kept, however old. Deletes at most
-- about `batch` rows per call (default and maximum 1,000), in statements that take milliseconds. `isComplete` is true
-- when nothing is left. Locked rows are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_old uuid[];
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_keys integer;
begin
  with old as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys where created_at < clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1),
  repeats as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys
      where starts_with(key, 'repeat ') and created_at < clock_timestamp() - interval '1 hour'
        and created_at >= clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1)
  select (select count(*) from old) + (select count(*) from repeats) into v_keys;

  if v_before is not null then
    -- An event has about three deliveries with their attempts.
    select array_agg(id) into v_old from (
      select e.id from public.lead_events e
      where e.processed and e.processed_at < v_before
        and not exists (select from public.notification_logs d
                        where d.lead_event_id = e.id and (d.due_at is not null or d.status = 'sending'))
      order by e.processed_at limit v_batch / 10 for update of e skip locked) old;
    if v_old is not null then
      -- By ids: with a join, the planner might scan all attempts.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Attempts whose deliveries were deleted with their conversation.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;
