-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the locks in short tries, so that claims and changes of follow-ups do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.notification_logs, public.follow_up_tasks in access exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

-- How many reminders each agent may still get now, and those that the next summary reports. The recipient is
-- agents.id, or zero for the office. There is no foreign key: the sweep sums up for the office what a deleted agent was
-- to be reminded of.
create table if not exists leadpipe.follow_up_reminders (
  recipient uuid constraint follow_up_reminders_pkey primary key,
  own_left double precision not null,
  own_at timestamptz not null,
  summed integer not null default 0,
  oldest timestamptz,
  summed_at timestamptz not null default '-infinity'
);

revoke all on table leadpipe.follow_up_reminders from public, anon, authenticated, service_role;

comment on column leadpipe.follow_up_reminders.own_left is 'How many reminders could have a message of their own at own_at.';

comment on column leadpipe.follow_up_reminders.summed is 'How many reminders the next summary reports.';

comment on column leadpipe.follow_up_reminders.oldest is 'The earliest time of these follow-ups.';

comment on column leadpipe.follow_up_reminders.summed_at is 'When the last summary was emitted.';

-- The state of the follow-up sweep (docs/how-to/follow-up-reminders.md): one row, whose lock lets one sweep run at a
-- time. Only functions read it and the next table.
create table if not exists leadpipe.follow_up_sweep (
  is_only boolean constraint follow_up_sweep_pkey primary key default true
    constraint follow_up_sweep_is_only_check check (is_only),
  digested_on date
);

revoke all on table leadpipe.follow_up_sweep from public, anon, authenticated, service_role;

comment on column leadpipe.follow_up_sweep.digested_on is 'The latest day, in the agency''s time zone, whose digests have been made.';

alter table public.follow_up_tasks add column if not exists notify_customer boolean default false not null;

alter table public.follow_up_tasks add column if not exists reminded_for timestamp with time zone;

alter table public.notification_logs add column if not exists to_agent boolean default false not null;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. Deliveries to agents share these limits. The deliveries of new events are created with their lease,
-- after older ones have taken their part of the limit: a lease that is added later costs another version of the row.
-- So no more events are planned than an open channel can take, or a hundred if no open channel is asked for.
--
-- All functions in this folder that wait for locks take them in one order: events by id, then deliveries, then
-- channels. A claim waits for no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select
-- the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived session keeps a plan that
-- was made while a table was empty until the next analyze. jit is off because the planner cannot estimate how few rows
-- the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms. A bitmap scan reads the entries of
-- finished deliveries in the small partial indexes again and again until the next vacuum; an index scan marks them.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_batch integer;
  v_channels jsonb;
  v_entries jsonb;
  v_fresh uuid[];
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
  v_worker constant text := coalesce(left(p ->> 'worker', 200), 'worker');
begin
  perform leadpipe.check_size(p, 262144);
  -- A claim that is lost in a crash of the server is made again. The next steps of a delivery commit synchronously,
  -- which also flushes the claim.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  v_channels := leadpipe.with_agents(p -> 'channels', v_now);

  -- An entry without `limit` plans and claims ten. `room` is what older deliveries leave of the limit of an open channel.
  select coalesce(jsonb_agg(case when entry.room > 0 then entry.e || jsonb_build_object('room', entry.room) else entry.e end), '[]'),
    case when max(entry.room) is null then 100 else greatest(least(max(entry.room), 100), 0) end
  into v_entries, v_batch
  from (
    select e, case when coalesce((e ->> 'limit')::integer, 10) > 0 and not exists (
        select from public.notification_channels n
        where n.channel::text = e ->> 'channel' and (n.paused_until > v_now or n.fail_streak > 0))
      then coalesce((e ->> 'limit')::integer, 10) - (
        select count(*) from (
          select from public.notification_logs d
          where d.channel = (e ->> 'channel')::public.notification_channel and d.recipient = coalesce(e ->> 'recipient', 'default')
            and d.due_at <= v_now and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= v_now)
          order by d.due_at limit coalesce((e ->> 'limit')::integer, 10) for no key update skip locked) older) end as room
    from jsonb_array_elements(v_channels) as e
  ) entry;
  select planned, unrouted, leased into v_planned, v_unrouted, v_fresh
  from leadpipe.plan_events(v_entries, v_batch, v_worker, v_lease, v_now);
  if (p ->> 'isComplete')::boolean then
    perform leadpipe.reroute_deliveries(p -> 'channels');
  end if;

  v_lapses := leadpipe.expire_leases(v_parks, v_horizon, v_now);

  -- A misconfigured channel gets one delivery at a time, the probe, until an outcome of a class other than config is
  -- recorded. Only the call that locks the channel's row can claim the probe; for all other calls the channel is
  -- closed.
  select array_agg(n.channel) into v_probing from (
    select channel from public.notification_channels
    where fail_streak > 0 and (paused_until is null or paused_until <= v_now)
    order by channel for no key update skip locked) n;
  if v_probing is not null then
    -- In a second statement, which sees the lease of a probe that was claimed before the lock was taken.
    select array_agg(n.channel) into v_probing from public.notification_channels n
    where n.channel = any (v_probing)
      and not exists (select from public.notification_logs d where d.id = n.probe and d.lease_until > v_now);
  end if;

  with entry as (
    select e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient,
      -- The deliveries of new events have taken the room, or it stays free until the next claim.
      coalesce(e."limit", 10) - coalesce(e.room, 0) as "limit"
    from jsonb_to_recordset(v_entries) as e (channel text, recipient text, "limit" integer, room integer)
    where not exists (
      select from public.notification_channels n where n.channel = e.channel::public.notification_channel
        and (n.paused_until > v_now or (n.fail_streak > 0 and n.channel <> all (coalesce(v_probing, '{}')))))
  ), due as materialized (
    select d.id, entry.channel, d.due_at from entry cross join lateral (
      select d.id, d.due_at from public.notification_logs d
      where d.channel = entry.channel and d.recipient = entry.recipient and d.due_at <= v_now and d.status <> 'sending'
        and (d.lease_until is null or d.lease_until <= v_now)
      order by d.due_at limit greatest(entry."limit", 0) for no key update skip locked
    ) d
  ), chosen as (
    select id from due where channel <> all (coalesce(v_probing, '{}'))
    union
    select id from (select distinct on (channel) id from due where channel = any (v_probing) order by channel, due_at, id) probe
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = v_worker, fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  ), held as (
    select * from claimed union all select * from public.notification_logs d where d.id = any (v_fresh)
  ), total as materialized (
    select channel, leadpipe.paused_seconds(channel, v_now) as paused from (select distinct channel from held) h
  )
  -- Each step that builds jsonb copies the payload, so the rare members are added only where there are any.
  select jsonb_agg(case when more.members = '{}' then line.basic else line.basic || more.members end order by d.due_at, d.id)
  into v_deliveries
  from held d cross join lateral (select * from public.lead_events e where e.id = d.lead_event_id offset 0) e
  join total on total.channel = d.channel
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(total.paused - d.paused_before, 0)) as began
  ) clock
  cross join lateral (
    select case when clock.began > e.created_at then jsonb_build_object('retryFrom', leadpipe.iso8601(clock.began)) else '{}' end
      || case when (d.outcome_class is not null or d.replay_of is not null)
             and leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
           then '{"possibleRepeat": true}'::jsonb else '{}' end
      || case when e.request_id is not null then jsonb_build_object('requestId', e.request_id) else '{}' end as members
    offset 0
  ) more
  cross join lateral (
    select jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', leadpipe.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', leadpipe.shown(e.payload)) as basic
    offset 0
  ) line;

  -- There may be more, so a call that returns deliveries is followed by another, and need not look for what is due next.
  if v_deliveries is not null or v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    v_next := least(v_lapses, leadpipe.next_due_at(v_channels, v_probing, v_now));
  end if;

  -- Workers with the same name do not wait for each other.
  update public.workers w set last_seen = v_now, version = left(p ->> 'version', 100),
    -- A worker sends the fingerprints with its first claim. In a container, a new worker can have the name of the old one.
    started_at = case when jsonb_typeof(p -> 'fingerprints') = 'object' then v_now else w.started_at end
  where w.name = (select o.name from public.workers o where o.name = v_worker for no key update skip locked);
  if not found then
    insert into public.workers (name, version, started_at, last_seen) select v_worker, left(p ->> 'version', 100), v_now, v_now
    where not exists (select from public.workers o where o.name = v_worker) on conflict do nothing;
  end if;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next),
    -- The worker's clock may differ from the database's.
    'nextDueInMs', case when v_next is not null then greatest(ceil(extract(epoch from v_next - clock_timestamp()) * 1000), 0) end);
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

-- Records the outcomes of deliveries, each under the fence of its claim. `lost` lists deliveries that another worker
-- has claimed or finished since. Status pending is for a delivery that was begun but not sent: the delivery returns to
-- its former state, and the state of its channel does not change.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_pauses jsonb;  -- of the channels that these outcomes have paused
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_recorded uuid[];
  v_events uuid[];
  v_workers jsonb;
  v_known uuid[];
begin
  -- Lock events first: if two calls finish the last two deliveries of an event, the second sees what the first wrote.
  perform from public.lead_events e
  where e.id = any (array(select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)))
  order by e.id for no key update;
  -- An attempt may already have a row if its lease has expired, or if an earlier version of this schema began it.
  select jsonb_object_agg(d.id, d.leased_by), coalesce(array_agg(d.id) filter (where d.status <> 'sending' or d.begun_at is null), '{}')
  into v_workers, v_known from public.notification_logs d where d.id = any (v_ids);

  with outcome as (
    -- Texts are cut to what lists can show, so that no outcome is refused for its size.
    select distinct on (o.id, o.fence) o.id, o.fence, left(o.class, 50) as class, o.status, coalesce(o.burned, false)::integer as burned, o."retryInSeconds",
      o."statusCode", left(o."providerCode", 200) as "providerCode", o."retryAfterSeconds", left(o.reason, 500) as reason,
      left(o.excerpt, 2000) as excerpt, left(o."providerId", 500) as "providerId", left(o.subject, 500) as subject,
      least(greatest(coalesce(o."finishedAt", v_now), '1970-01-01 00:00Z'), v_now + interval '1 day') as "finishedAt"
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
      retry_count = case when d.status = 'sending' then d.retry_count + o.burned
        else greatest(d.retry_count - 1 + o.burned, 0) end,
      error_message = case o.status when 'failed' then coalesce(o.reason, o.class, 'failed') when 'pending' then d.error_message end,
      -- The class config has no limit of time, because somebody corrects the settings. An agent's address may stay wrong.
      next_attempt_at = case when o.status = 'failed'
          and not (d.to_agent and o.class = 'config' and coalesce(d.retried_at, d.created_at) < v_now - interval '72 hours')
        then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then o."finishedAt" else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.retry_count + 1 - o.burned as attempt, d.begun_at, d.lead_event_id, d.conversation_id, d.channel, d.to_agent, d.next_attempt_at, d.error_message,
      o.fence, o.class, o.status, o."statusCode", o."providerCode", o."retryAfterSeconds", o.excerpt,
      o."finishedAt" as finished_at
  ), attempted as (
    insert into public.notification_attempts (
      delivery, fence, attempt, started_at, finished_at, class, status_code, provider_code, retry_after_seconds, excerpt, worker)
    select id, fence, attempt, begun_at, finished_at, class, "statusCode", "providerCode", "retryAfterSeconds", excerpt,
      v_workers ->> id::text
    from changed where id <> all (v_known)
  ), completed as (
    insert into public.notification_attempts (
      delivery, fence, attempt, started_at, finished_at, class, status_code, provider_code, retry_after_seconds, excerpt, worker)
    select id, fence, attempt, coalesce(begun_at, finished_at), finished_at, class, "statusCode", "providerCode", "retryAfterSeconds",
      excerpt, v_workers ->> id::text
    from changed where id = any (v_known)
    on conflict (delivery, fence) do update set
      finished_at = excluded.finished_at, class = excluded.class, status_code = excluded.status_code,
      provider_code = excluded.provider_code, retry_after_seconds = excluded.retry_after_seconds, excerpt = excluded.excerpt
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
    -- These two classes affect the whole channel: it is paused until the next attempt. The refusal of an agent's
    -- address, which no setting names, must not stop the messages about new leads.
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where (class = 'throttled' or class = 'config' and not to_agent) and next_attempt_at is not null
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

-- Sends finished notifications once more. For the newest delivery of each event, channel and recipient, it creates a
-- new delivery, linked by replay_of, and reopens the event. `ids`, `from` and `to` (the time of the event), `channel`
-- and `class` select the deliveries. Deliveries that are unfinished or were created since `asOf` are skipped, so that
-- two calls do not replay the same delivery. Events that were planned while no channel was configured for them are
-- planned again, unless a channel or class is given; their ids are in `events`. Each call replays at most 1,000
-- deliveries, oldest first; the next call continues at `after`. With `dryRun`, nothing is changed.
create or replace function public.replay_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_chosen uuid[];
  v_after jsonb;
  v_unrouted uuid[];
  v_found jsonb;
begin
  if p -> 'ids' is null and p ->> 'from' is null and p ->> 'to' is null and p ->> 'channel' is null and p ->> 'class' is null then
    raise exception 'ids, from, to, channel or class is required' using errcode = '22023';
  end if;
  select array_agg(id order by created_at, id) into v_chosen from (
    select d.id, d.created_at from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where (d.status in ('sent', 'delivered') or (d.status = 'failed' and d.next_attempt_at is null))
      and d.created_at < v_as_of and not e.payload ? 'erased'
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

  if p -> 'after' is null and p ->> 'channel' is null and p ->> 'class' is null then
    v_unrouted := array(
      select e.id from public.lead_events e
      where e.planned_at is not null and e.created_at < v_as_of and leadpipe.event_notifies(e.event_type, e.payload)
        and not e.payload ? 'erased'
        and (p -> 'ids' is null or e.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
        and (p ->> 'from' is null or e.created_at >= (p ->> 'from')::timestamptz)
        and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
        and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
      order by e.id limit 10000 for no key update);
    update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = v_now
    where e.id = any (v_unrouted) and not v_is_dry;
  end if;

  with chosen as materialized (
    select d.*, leadpipe.uuid_v7() as new_id from public.notification_logs d
    where d.id = any (v_chosen) and not leadpipe.is_erased(d.lead_event_id)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
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
  return jsonb_build_object('deliveries', v_found, 'events', coalesce(to_jsonb(v_unrouted), '[]'), 'asOf', v_as_of, 'after', v_after, 'isComplete', v_after is null);
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
    where d.due_at <= v_now and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= v_now)
      -- No setting names an agent's address.
      and not exists (select from entry where entry.channel = d.channel and (d.to_agent or entry.recipient = d.recipient))
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
    where d.due_at <= v_now and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= v_now)
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

-- Returns the entries of a claim's `channels` and one for each agent who has an unfinished delivery, at an address that
-- no entry has: those that are due first. They share the limit of their channel with its other entries, half and half.
-- Their list of events is empty, because the deliveries of agents are created with their events.
create or replace function leadpipe.with_agents(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_entries jsonb := p_channels;
  v record;
  v_agents text[];
  v_due integer;
begin
  if not exists (select from public.notification_logs d where d.to_agent and d.due_at is not null) then
    return p_channels;
  end if;
  for v in
    select e.channel, count(*) as entries, sum(greatest(coalesce(e."limit", 10), 0)) as total
    from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) group by e.channel
  loop
    select coalesce(array_agg(first.recipient order by first.at), '{}'), count(*) filter (where first.at <= p_now)
    into v_agents, v_due
    from (
      select waiting.recipient, min(waiting.due_at) as at
      from (
        select d.recipient, d.due_at from public.notification_logs d
        where d.to_agent and d.due_at is not null and d.channel = v.channel::public.notification_channel
          and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
        order by d.due_at limit 1000) waiting
      where waiting.recipient not in (
        select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
        where e.channel = v.channel)
      group by waiting.recipient
      -- A random half of an odd number, so that a limit of 1 is for either.
      order by 2 limit (v.total + (random() < 0.5)::integer) / 2
    ) first;
    continue when v_agents = '{}';
    select jsonb_agg(case when e.value ->> 'channel' = v.channel then e.value || jsonb_build_object(
        'limit', greatest(coalesce((e.value ->> 'limit')::integer, 10) - ceil(v_due::numeric / v.entries)::integer, 0)) else e.value end)
    into v_entries from jsonb_array_elements(v_entries) as e;
    v_entries := v_entries || (
      select jsonb_agg(jsonb_build_object('channel', v.channel, 'recipient', agent, 'limit', 1, 'events', '[]'::jsonb))
      from unnest(v_agents) as agent);
  end loop;
  return v_entries;
end
$$;

revoke all on function leadpipe.with_agents(jsonb, timestamptz) from public, anon, authenticated;

-- Returns an agent's email address if it can be used in a header; otherwise null.
create or replace function leadpipe.agent_address(p_email text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select p_email where octet_length(p_email) <= 254
    and p_email ~ '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]+$'
$$;

revoke all on function leadpipe.agent_address(text) from public, anon, authenticated;

-- Returns where a message for an agent goes, given the configured channels: to the agent's address, or without one to
-- the office's recipients of email. If email is not configured, all other recipients get it, and an entry with a
-- `reason` says so: its delivery fails at once.
create or replace function leadpipe.agent_routes(p_address text, p_channels jsonb)
returns table (channel public.notification_channel, recipient text, to_agent boolean, reason text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with office as materialized (
    select distinct e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where octet_length(coalesce(e.recipient, '')) <= 1000
  ), mail as materialized (
    select exists (select from office where office.channel = 'email') as is_configured
  )
  select 'email'::public.notification_channel, p_address, true, null::text from mail where is_configured and p_address is not null
  union all
  select office.channel, office.recipient, false, null from office, mail
  where not is_configured or p_address is null and office.channel = 'email'
  union all
  select 'email', coalesce(p_address, 'default'), p_address is not null,
    'email is not configured: set EMAIL_HOST or RESEND_API_KEY; the configured channels have got the message instead'
  from mail where not is_configured
$$;

revoke all on function leadpipe.agent_routes(text, jsonb) from public, anon, authenticated;

-- Creates the deliveries of an event without a conversation that is for one agent. See agent_routes.
create or replace function leadpipe.plan_for_agent(p_event uuid, p_address text, p_channels jsonb, p_now timestamptz) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into public.notification_logs (lead_event_id, event_at, channel, recipient, to_agent, status, outcome_class, error_message,
    paused_before, created_at, updated_at)
  select p_event, p_now, channel, recipient, to_agent, case when reason is null then 'pending' else 'failed' end,
    case when reason is not null then 'permanent' end, reason, leadpipe.paused_seconds(channel, p_now), p_now, p_now
  from leadpipe.agent_routes(p_address, p_channels)
$$;

revoke all on function leadpipe.plan_for_agent(uuid, text, jsonb, timestamptz) from public, anon, authenticated;

-- Cancels the reminders of a follow-up that have not been sent, for the reason given. Those that another session has
-- locked are being sent or planned, and are left: waiting for them would break the order of locks.
create or replace function leadpipe.cancel_reminders(p_conversation uuid, p_follow_up uuid, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_events uuid[];
  v_deliveries uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  v_events := array(
    select e.id from public.lead_events e
    where e.conversation_id = p_conversation and e.event_type = 'lead.follow_up_due' and not e.processed
      and e.payload ->> 'followUpId' = p_follow_up::text
    order by e.id for no key update skip locked);
  if v_events = '{}' then
    return;
  end if;
  v_deliveries := array(
    select d.id from public.notification_logs d
    where d.lead_event_id = any (v_events) and d.due_at is not null and d.status <> 'sending'
    order by d.id for no key update skip locked);
  update public.notification_logs d set
    status = 'failed', outcome_class = 'permanent', error_message = p_reason, next_attempt_at = null, lease_until = null,
    leased_by = null, fence = d.fence + 1, updated_at = v_now
  where d.id = any (v_deliveries);
  perform leadpipe.settle_events(v_events);
end
$$;

revoke all on function leadpipe.cancel_reminders(uuid, uuid, text) from public, anon, authenticated;

-- Schedules a follow-up. Without `assignedAgentId`, it is assigned to the conversation's agent. A trigger keeps the
-- conversation's follow_up_date true.
--
-- All functions that work with leads take locks in one order: the agent, then conversations by id, then follow-ups by
-- id. Writing a row that references an agent also locks the agent's row.
create or replace function public.create_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_agent uuid;
  c public.conversations;
  f record;
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    v_agent := (leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid)).id;
  else
    -- The conversation's current agent; null if the agent is deleted at the same time.
    select a.id into v_agent from public.agents a
    where a.id = (select s.assigned_agent_id from public.conversations s where s.id = (p ->> 'id')::uuid) for key share;
  end if;
  c := leadpipe.lock_conversation(p);
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority, notify_customer)
  values (c.id, v_agent, (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', leadpipe.to_nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'), coalesce((p ->> 'notifyCustomer')::boolean, false))
  returning * into f;
  perform leadpipe.record_activity(c.id, p ->> 'by', 'follow_up_scheduled', leadpipe.follow_up_title(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', leadpipe.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return leadpipe.follow_up_document(to_jsonb(f));
end
$$;

revoke all on function public.create_follow_up(jsonb) from public, anon, authenticated;

grant execute on function public.create_follow_up(jsonb) to leadpipe_admin, service_role;

-- Returns what the digests of a day are about: open follow-ups before `p_until`, and open leads without a first response
-- that have a deadline. `recipient` is the agent if it is one of `p_agents`, and otherwise null, for the office. `place`
-- is the order within a digest.
create or replace function leadpipe.digest_items(p_agents uuid[], p_now timestamptz, p_until timestamptz)
returns table (recipient uuid, kind text, follow_up uuid, conversation uuid, place bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when item.agent = any (p_agents) then item.agent end, item.kind, item.follow_up, item.conversation,
    row_number() over (partition by case when item.agent = any (p_agents) then item.agent end
      order by array_position('{overdue,today,waiting}', item.kind), item.at, item.conversation, item.follow_up)
  from (
    select coalesce(f.assigned_agent_id, c.assigned_agent_id) as agent, case when f.follow_up_date <= p_now then 'overdue' else 'today' end as kind,
      f.follow_up_date as at, f.id as follow_up, c.id as conversation
    from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.follow_up_date < p_until
      and c.status not in ('completed', 'lost', 'converted') and c.erased_at is null
    union all
    select c.assigned_agent_id, 'waiting', c.sla_response_deadline, null, c.id
    from public.conversations c
    where c.first_response_at is null and c.sla_response_deadline is not null
      and c.status not in ('completed', 'lost', 'converted') and c.erased_at is null
  ) item
$$;

revoke all on function leadpipe.digest_items(uuid[], timestamptz, timestamptz) from public, anon, authenticated;

-- Emits the digests of a day: one event agent.digest for each agent who is not offline and has an address, and one for
-- the office about everything else. Each lists at most `most` (default 50) follow-ups and leads, and counts all; without
-- any, there is no digest. `day` is the day in the agency's time zone, `until` its end. Once for each day: `digests` is 0
-- after the first call. `isMuted`: email is not configured, so there is no digest of this day.
create or replace function public.digest_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_office constant text := 'office';
  v_day constant date := (p ->> 'day')::date;
  v_most constant integer := least(greatest(coalesce((p ->> 'most')::integer, 50), 1), 50);
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz;
  s leadpipe.follow_up_sweep;
  v_agents uuid[];
  r record;
  v_held uuid[];
  v_lines jsonb;
  v_event uuid;
  v_count integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  if not found then
    return jsonb_build_object('digests', 0, 'isBusy', true, 'isMuted', false);
  end if;
  if s.digested_on >= v_day then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', false);
  end if;
  v_now := clock_timestamp();
  update leadpipe.follow_up_sweep w set digested_on = v_day where w.is_only;
  if not v_channels @> '[{"channel": "email"}]' then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', true);
  end if;

  v_agents := array(select a.id from public.agents a where a.status <> 'offline' and leadpipe.agent_address(a.email) is not null);
  for r in
    select found.*, a.name, leadpipe.agent_address(a.email) as address
    from (
      select i.recipient, count(*) as total, count(*) filter (where i.kind = 'overdue') as overdue,
        count(*) filter (where i.kind = 'today') as today, count(*) filter (where i.kind = 'waiting') as waiting,
        jsonb_agg(jsonb_build_object('kind', i.kind, 'follow_up', i.follow_up, 'conversation', i.conversation, 'place', i.place))
          filter (where i.place <= v_most) as items
      from leadpipe.digest_items(v_agents, v_now, (p ->> 'until')::timestamptz) i group by i.recipient
    ) found
    left join public.agents a on a.id = found.recipient
    order by found.recipient
  loop
    -- Erasing a person waits for this lock, and then finds the lines. A conversation that is being changed is left out.
    v_held := array(
      select c.id from public.conversations c
      where c.id in (select (item ->> 'conversation')::uuid from jsonb_array_elements(r.items) as item)
      order by c.id for share skip locked);
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', i.kind, 'at', leadpipe.iso8601(case when i.kind = 'waiting' then c.sla_response_deadline else f.follow_up_date end),
        'conversationId', c.id, 'customerName', left(c.customer_name, 100), 'customerPhone', c.customer_phone,
        'customerEmail', case when c.customer_phone is null then c.customer_email end,
        'reminderType', f.reminder_type, 'reminderText', left(f.reminder_text, 200),
        'leadQuality', case when i.kind = 'waiting' then c.lead_quality end,
        'agentName', case when r.recipient is null then a.name end)) order by i.place), '[]')
    into v_lines
    from jsonb_to_recordset(r.items) as i (kind text, follow_up uuid, conversation uuid, place bigint)
    join public.conversations c on c.id = i.conversation and c.id = any (v_held) and c.erased_at is null
    left join public.follow_up_tasks f on f.id = i.follow_up
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id);
    insert into public.lead_events (event_type, payload, idempotency_key, planned_at, created_at, updated_at)
    values ('agent.digest', jsonb_strip_nulls(jsonb_build_object('day', p ->> 'day', 'assignedAgentId', r.recipient, 'assignedAgentName', r.name,
        'overdue', r.overdue, 'today', r.today, 'waiting', r.waiting, 'lines', v_lines, 'more', r.total - jsonb_array_length(v_lines))),
      'agent.digest:' || coalesce(r.recipient::text, c_office) || ':' || v_day, v_now, v_now, v_now)
    on conflict (idempotency_key) do nothing
    returning id into v_event;
    if found then
      perform leadpipe.plan_for_agent(v_event, r.address, v_channels, v_now);
      v_count := v_count + 1;
    end if;
  end loop;
  return jsonb_build_object('digests', v_count, 'isBusy', false, 'isMuted', false);
end
$$;

revoke all on function public.digest_follow_ups(jsonb) from public, anon, authenticated;

grant execute on function public.digest_follow_ups(jsonb) to leadpipe_worker, service_role;

-- Returns a follow-up as shown in the admin interface. Takes the row as jsonb; see delivery_document. An open follow-up
-- whose time has passed is shown as overdue, whatever the status in its row.
create or replace function leadpipe.follow_up_document(f jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', leadpipe.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority', 'notifyCustomer', f -> 'notify_customer',
    'remindedAt', leadpipe.iso8601((f ->> 'reminded_for')::timestamptz),
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', leadpipe.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', leadpipe.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', leadpipe.iso8601((f ->> 'updated_at')::timestamptz))
$$;

revoke all on function leadpipe.follow_up_document(jsonb) from public, anon, authenticated;

-- Emits the event lead.follow_up_due for each of the locked follow-ups, once for each follow-up and time, with its
-- deliveries, and writes the timelines. A follow-up of a closed conversation or of an erased person is passed over.
--
-- Not every event has a message of its own: an agent can have `p_most` at once and as many a minute, and only for
-- follow-ups after `p_own_after`. The others are counted for a summary (`summed`).
create or replace function leadpipe.remind_of_follow_ups(
  p_ids uuid[], p_channels jsonb, p_most integer, p_own_after timestamptz, p_now timestamptz, out own integer, out summed integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_office constant uuid := '00000000-0000-0000-0000-000000000000';
  v_has_channels constant boolean := jsonb_array_length(p_channels) > 0;
begin
  with due as materialized (
    select f.id, f.follow_up_date, f.reminder_type, f.notify_customer, f.conversation_id, mail.address,
      case when mail.address is null then c_office else a.id end as recipient,
      jsonb_strip_nulls(jsonb_build_object(
        'followUpId', f.id, 'dueAt', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type,
        'reminderText', f.reminder_text, 'priority', f.priority,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'assignedAgentId', a.id, 'assignedAgentName', a.name,
        'agentHasNoAddress', case when a.id is not null and mail.address is null then true end,
        'notifyCustomer', case when f.notify_customer then true end)) as facts
    from public.follow_up_tasks f
    join public.conversations c on c.id = f.conversation_id
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id)
    cross join lateral (select leadpipe.agent_address(a.email)) as mail (address)
    where f.id = any (p_ids) and c.status not in ('completed', 'lost', 'converted') and c.erased_at is null
  ), allowed as materialized (
    -- A minute gives back all. If the clock was set back, the difference is negative.
    select who.recipient, case when r.own_at is null or r.own_at > p_now then p_most
      else least(r.own_left + p_most * extract(epoch from p_now - r.own_at)::double precision / 60, p_most) end as most
    from (select distinct recipient from due) who left join leadpipe.follow_up_reminders r on r.recipient = who.recipient
  ), ranked as materialized (
    select due.*, follow_up_date > p_own_after and row_number() over (
        partition by recipient order by follow_up_date > p_own_after desc, follow_up_date, id) <= floor(most) as is_own
    from due join allowed using (recipient)
  ), emitted as materialized (
    insert into public.lead_events (
      event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', conversation_id, case when is_own then facts else facts || '{"isSummedUp": true}' end,
      'lead.follow_up_due:' || id || ':' || leadpipe.iso8601(follow_up_date),
      not (is_own and v_has_channels), case when not (is_own and v_has_channels) then p_now end, p_now, p_now, p_now
    from ranked
    on conflict (idempotency_key) do nothing
    returning id, (payload ->> 'followUpId')::uuid as follow_up_id
  ), planned as (
    insert into public.notification_logs (
      lead_event_id, event_at, conversation_id, channel, recipient, to_agent, status, outcome_class, error_message,
      paused_before, created_at, updated_at)
    select emitted.id, p_now, r.conversation_id, route.channel, route.recipient, route.to_agent,
      case when reason is null then 'pending' else 'failed' end, case when reason is not null then 'permanent' end, reason,
      leadpipe.paused_seconds(route.channel, p_now), p_now, p_now
    from emitted join ranked r on r.id = emitted.follow_up_id and r.is_own
    cross join lateral (
      select * from leadpipe.agent_routes(r.address, p_channels)
      union all
      select r.reminder_type::public.notification_channel, 'agent', false, format(
        'waits for its provider: %s is not available yet; the reminder went out by another channel instead',
        case r.reminder_type when 'sms' then 'SMS' else 'WhatsApp' end)
      where r.reminder_type in ('sms', 'whatsapp')
      union all
      select case when r.reminder_type = 'call' then 'sms' else r.reminder_type end::public.notification_channel, 'customer', false,
        'waits for its provider: this version sends no messages to customers'
      where r.notify_customer
    ) route
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, metadata)
    select r.conversation_id, 'note_added', leadpipe.follow_up_title(r.reminder_type, null) || ' is due',
      jsonb_build_object('followUpId', r.id, 'followUpDate', leadpipe.iso8601(r.follow_up_date))
    from ranked r join emitted on emitted.follow_up_id = r.id
  ), counted as (
    insert into leadpipe.follow_up_reminders as old (recipient, own_left, own_at, summed, oldest)
    select r.recipient, max(allowed.most) - count(*) filter (where r.is_own), p_now, count(*) filter (where not r.is_own),
      min(r.follow_up_date) filter (where not r.is_own)
    from ranked r join emitted on emitted.follow_up_id = r.id join allowed on allowed.recipient = r.recipient
    group by r.recipient
    on conflict (recipient) do update set own_left = excluded.own_left, own_at = excluded.own_at,
      summed = old.summed + excluded.summed, oldest = least(old.oldest, excluded.oldest)
  )
  select count(*) filter (where r.is_own), count(*) filter (where not r.is_own) into own, summed
  from emitted join ranked r on r.id = emitted.follow_up_id;
end
$$;

revoke all on function leadpipe.remind_of_follow_ups(uuid[], jsonb, integer, timestamptz, timestamptz) from public, anon, authenticated;

-- Emits one event for each agent whose summary is due: how many follow-ups were due that had no message of their own, and
-- since when. At most one a minute for each agent. Returns how many it has emitted.
create or replace function leadpipe.sum_up_follow_ups(p_channels jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  r record;
  v_event uuid;
  v_count integer := 0;
begin
  for r in
    select m.recipient, m.summed, m.oldest, a.id, a.name, leadpipe.agent_address(a.email) as address
    from leadpipe.follow_up_reminders m left join public.agents a on a.id = m.recipient
    where m.summed > 0 and (m.summed_at <= p_now - interval '1 minute' or m.summed_at > p_now)
    order by m.recipient
  loop
    insert into public.lead_events (event_type, payload, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', jsonb_strip_nulls(jsonb_build_object('sumsUp', r.summed, 'oldestDue', leadpipe.iso8601(r.oldest),
      'assignedAgentId', r.id, 'assignedAgentName', r.name)), is_mute, case when is_mute then p_now end, p_now, p_now, p_now
    from (select jsonb_array_length(p_channels) = 0) as told (is_mute)
    returning id into v_event;
    perform leadpipe.plan_for_agent(v_event, r.address, p_channels, p_now);
    update leadpipe.follow_up_reminders m set summed = 0, oldest = null, summed_at = p_now where m.recipient = r.recipient;
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

revoke all on function leadpipe.sum_up_follow_ups(jsonb, timestamptz) from public, anon, authenticated;

-- Reminds agents of the follow-ups that are due, in one small batch: at most `batch` (default 100, at most 500). Each
-- follow-up is reminded of once for each time that it has been set to, and becomes overdue. `channels` has the configured
-- channels and recipients. `ownPerMinute` (default 20) reminders of an agent have a message of their own, if they are no
-- older than `ownForSeconds` (default 3600); one event for each agent sums up the others when nothing is left.
--
-- Returns the time of the database (`now`), how many reminders have a message (`reminded`) and how many are summed up
-- (`summedUp`), how many summaries were emitted (`summaries`), whether nothing is left (`isComplete`), when the next
-- follow-up or summary is due (`nextAt`), and the day of the last digests (`digestedOn`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row: what another session has locked is left for a later call.
create or replace function public.sweep_follow_ups(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 100), 1), 500);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_own_for constant interval := make_interval(secs => greatest(coalesce((p ->> 'ownForSeconds')::integer, 3600), 0));
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz := clock_timestamp();
  v_due uuid[];
  s leadpipe.follow_up_sweep;
  v_own integer := 0;
  v_summed integer := 0;
  v_summaries integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.follow_up_tasks') is null or to_regclass('public.lead_events') is null
    or to_regclass('public.conversation_timeline') is null or to_regclass('public.notification_logs') is null
  then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', false,
      'isComplete', true, 'nextAt', null, 'digestedOn', 'infinity');
  end if;
  insert into leadpipe.follow_up_sweep (is_only) select true where not exists (select from leadpipe.follow_up_sweep) on conflict do nothing;
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  v_now := clock_timestamp();
  if not found then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', true,
      'isComplete', false, 'nextAt', null, 'digestedOn', null);
  end if;

  -- The conditions match the index follow_up_tasks_due_idx. The latest come first, so that a backlog delays none of them.
  v_due := array(
    select f.id from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
      and f.follow_up_date <= v_now
    order by f.follow_up_date desc limit v_batch for no key update of c, f skip locked);
  if cardinality(v_due) > 0 then
    select own, summed into v_own, v_summed
    from leadpipe.remind_of_follow_ups(v_due, v_channels, v_most, v_now - v_own_for, v_now);
    update public.follow_up_tasks f set
      reminded_for = f.follow_up_date, status = case when f.status in ('scheduled', 'in_progress') then 'overdue' else f.status end
    where f.id = any (v_due);
  end if;
  if cardinality(v_due) < v_batch then
    v_summaries := leadpipe.sum_up_follow_ups(v_channels, v_now);
  end if;

  return jsonb_build_object(
    'now', leadpipe.iso8601(v_now), 'reminded', v_own, 'summedUp', v_summed, 'summaries', v_summaries, 'isBusy', false,
    'isComplete', cardinality(v_due) < v_batch,
    'nextAt', leadpipe.iso8601(least(
      (select f.follow_up_date from public.follow_up_tasks f
       where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
       order by f.follow_up_date limit 1),
      (select min(greatest(m.summed_at + interval '1 minute', v_now)) from leadpipe.follow_up_reminders m where m.summed > 0))),
    'digestedOn', s.digested_on);
end
$$;

revoke all on function public.sweep_follow_ups(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_follow_ups(jsonb) to leadpipe_worker, service_role;

-- Updates, completes or cancels a follow-up. Raises LP404 if it does not exist, LP409 if it is already completed or
-- cancelled.
create or replace function public.update_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_conversation uuid;
  f record;  -- before
  n record;  -- after
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    perform leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid);
  end if;
  select conversation_id into v_conversation from public.follow_up_tasks where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'follow_up_not_found';
  end if;
  perform leadpipe.lock_conversation(jsonb_build_object('id', v_conversation));
  select * into f from public.follow_up_tasks where id = (p ->> 'id')::uuid for no key update;
  if f.status in ('completed', 'cancelled') then
    raise exception using errcode = 'LP409', message = 'follow_up_closed', detail = jsonb_build_object('status', f.status);
  end if;
  update public.follow_up_tasks t set
    status = case
      when p ? 'status' then (p ->> 'status')::public.follow_up_status
      when t.status = 'overdue' and p ? 'followUpDate' then 'scheduled' else t.status end,
    completed_at = case when p ->> 'status' = 'completed' then clock_timestamp() end,
    follow_up_date = coalesce((p ->> 'followUpDate')::timestamptz, t.follow_up_date),
    reminder_type = coalesce(p ->> 'reminderType', t.reminder_type),
    reminder_text = coalesce(leadpipe.to_nfc(p ->> 'reminderText'), t.reminder_text),
    priority = coalesce(p ->> 'priority', t.priority),
    notify_customer = coalesce((p ->> 'notifyCustomer')::boolean, t.notify_customer),
    assigned_agent_id = coalesce((p ->> 'assignedAgentId')::uuid, t.assigned_agent_id),
    notes = coalesce(leadpipe.to_nfc(p ->> 'notes'), t.notes)
  where t.id = f.id returning * into n;
  -- A reminder that still waits would be false.
  if n.status in ('completed', 'cancelled') or n.follow_up_date <> f.follow_up_date then
    perform leadpipe.cancel_reminders(v_conversation, n.id, case when n.status in ('completed', 'cancelled')
      then 'cancelled: the follow-up was ' || n.status else 'cancelled: the follow-up was moved' end);
  end if;
  if n.status = 'completed' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_completed',
      leadpipe.follow_up_title(n.reminder_type, null) || ' completed', n.notes,
      'lead.follow_up_completed', jsonb_build_object('followUpId', n.id));
  elsif n.status = 'cancelled' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, null) || ' cancelled', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id));
  elsif n.follow_up_date <> f.follow_up_date then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_scheduled', 'Rescheduled: ' || leadpipe.follow_up_title(n.reminder_type, n.follow_up_date),
      n.notes, 'lead.follow_up_scheduled', jsonb_build_object('followUpId', n.id, 'followUpDate', leadpipe.iso8601(n.follow_up_date),
        'before', leadpipe.iso8601(f.follow_up_date)));
  elsif (n.status, n.reminder_type, n.reminder_text, n.priority, n.assigned_agent_id, n.notes)
    is distinct from (f.status, f.reminder_type, f.reminder_text, f.priority, f.assigned_agent_id, f.notes) then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, n.follow_up_date) || ' changed', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id, 'status', n.status, 'priority', n.priority, 'assignedAgentId', n.assigned_agent_id));
  end if;
  return leadpipe.follow_up_document(to_jsonb(n));
end
$$;

revoke all on function public.update_follow_up(jsonb) from public, anon, authenticated;

grant execute on function public.update_follow_up(jsonb) to leadpipe_admin, service_role;

-- Sets a conversation's follow_up_date to the time of its earliest open follow-up, or to null. Locks the conversation
-- first: of two changes at once, the second sees the follow-ups of the first.
create or replace function leadpipe.update_next_follow_up(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from public.conversations c where c.id = p_conversation for no key update;
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date;
end
$$;

revoke all on function leadpipe.update_next_follow_up(uuid) from public, anon, authenticated;

-- Keeps the follow_up_date of conversations true, whoever changes their follow-ups. Has its owner's privileges, because
-- a client of the REST interface may write follow-ups and may not call functions of schema leadpipe.
create or replace function leadpipe.follow_up_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'DELETE' then
    perform leadpipe.update_next_follow_up(new.conversation_id);
  end if;
  if tg_op = 'DELETE' or tg_op = 'UPDATE' and old.conversation_id <> new.conversation_id then
    perform leadpipe.update_next_follow_up(old.conversation_id);
  end if;
  return null;
end
$$;

revoke all on function leadpipe.follow_up_changed() from public, anon, authenticated;

-- Removes the personal data of conversations: names, numbers, addresses, all text that people wrote, and what was made
-- from it. Rows, times, scores and amounts stay, so that counts do not change. Open conversations become lost, open
-- follow-ups are cancelled, and deliveries that have not been sent never are. Returns how many deliveries these were.
-- Raises LPTRY if an event was added meanwhile.
create or replace function leadpipe.erase_conversations(p_ids uuid[], p_by text) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_reason constant text := 'cancelled: the person''s data was erased';
  v_now timestamptz;
  v_events uuid[];
  v_cancelled integer := 0;
  v_words text[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (p_ids) order by e.id for update);
  end if;
  perform from public.conversations c where c.id = any (p_ids) order by c.id for no key update;
  v_now := clock_timestamp();
  if to_regclass('public.lead_events') is not null then
    -- A capture that held the lock on a conversation has added an event, which is not locked.
    if exists (select from public.lead_events e where e.conversation_id = any (p_ids) and e.id <> all (v_events)) then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    select count(*) into v_cancelled from public.notification_logs d where d.lead_event_id = any (v_events) and d.due_at is not null;
    update public.notification_logs d set
      subject = null, payload = null, updated_at = v_now,
      -- The team's address, unless another program has written to the customer.
      recipient = case when exists (
        select from public.conversations c where c.id = d.conversation_id
          and (lower(d.recipient) = lower(c.customer_email)
            or leadpipe.phone_digits(d.recipient) = nullif(leadpipe.phone_digits(c.customer_phone), ''))) then 'erased ' || d.id else d.recipient end,
      -- A worker that is sending it cannot be stopped, and its outcome is not recorded any more.
      error_message = case when d.status = 'sending' then 'the person''s data was erased while it was being sent'
        when d.due_at is not null then c_reason when d.status = 'failed' then 'failed; the reason was erased' end,
      outcome_class = case when d.status = 'sending' then 'unknown' when d.due_at is not null then 'permanent' else d.outcome_class end,
      status = case when d.due_at is not null then 'failed' else d.status end,
      fence = case when d.due_at is not null then d.fence + 1 else d.fence end,
      next_attempt_at = null, lease_until = null, leased_by = null
    where d.lead_event_id = any (v_events);
    update public.lead_events e set
      payload = '{"erased": true}', idempotency_key = null, planned_at = coalesce(e.planned_at, v_now), processed = true,
      processed_at = coalesce(e.processed_at, v_now), last_error = case when not e.processed then c_reason end, updated_at = v_now
    where e.id = any (v_events);
    perform leadpipe.erase_digests(p_ids, v_now);
  end if;
  if to_regclass('public.conversation_timeline') is not null then
    update public.conversation_timeline t set
      title = case t.event_type when 'created' then 'New lead' else t.title end, description = null, metadata = '{}',
      actor_name = case when t.actor_type = 'customer' then null else t.actor_name end
    where t.conversation_id = any (p_ids);
    perform public.add_timeline_entry(id, 'note_added', 'Personal data erased', null, 'system', null, p_by, '{}') from unnest(p_ids) as id;
  end if;
  if to_regclass('public.follow_up_tasks') is not null then
    update public.follow_up_tasks f set
      reminder_text = null, notes = null, status = case when f.status in ('completed', 'cancelled') then f.status else 'cancelled' end
    where f.conversation_id = any (p_ids);
  end if;
  delete from public.lead_tags where conversation_id = any (p_ids);
  update public.conversation_summaries set summary = null where conversation_id = any (p_ids);
  update public.chat_messages set message_text = '', metadata = null, client_id = null where conversation_id = any (p_ids);
  delete from public.idempotency_keys where conversation_id = any (p_ids);
  delete from leadpipe.assignment_turns where conversation_id = any (p_ids);
  delete from leadpipe.assignment_decisions where conversation_id = any (p_ids);
  perform leadpipe.erase_set_aside(p_ids);
  update public.conversations c set
    customer_id = null, customer_name = null, customer_phone = null, customer_email = null, budget = null, property_type = null,
    preferred_area = null, tags = '{}', notes = null, conversation_summary = null, outcome = null, lead_score_breakdown = null,
    metadata = null, device_info = null, idempotency_key = null, follow_up_date = null, erased_at = v_now,
    intent = case when c.intent in ('buy', 'rent', 'sell', 'invest', 'browse') then c.intent end,
    status = case when c.status in ('new', 'in-progress') then 'lost' else c.status end,
    -- Closing must not hide that nobody answered in time.
    sla_breached = c.sla_breached or c.status in ('new', 'in-progress') and c.first_response_at is null
      and coalesce(c.sla_response_deadline <= v_now, false)
  where c.id = any (p_ids);

  -- The word index: words that no other conversation contains.
  insert into leadpipe.index_lock default values on conflict do nothing;
  perform from leadpipe.index_lock for update;
  v_words := array(
    select distinct lexeme from public.conversation_words w, unnest(w.words)
    where w.conversation_id = any (p_ids) and lexeme !~ '=|^[0-9]+$');
  delete from public.conversation_words where conversation_id = any (p_ids);
  perform leadpipe.forget_words(v_words);
  -- For the listeners of the live feed.
  if to_regclass('public.lead_events') is not null then
    perform public.emit_lead_event('lead.updated', id, '{"erased": true}') from unnest(p_ids) as id;
  end if;
  return v_cancelled;
end
$$;

revoke all on function leadpipe.erase_conversations(uuid[], text) from public, anon, authenticated;

-- Removes the lines about conversations from the digests of agents. The caller has locked the conversations, so that no
-- digest about them can be added meanwhile.
create or replace function leadpipe.erase_digests(p_ids uuid[], p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  update public.lead_events e set updated_at = p_now, payload = jsonb_set(e.payload, '{lines}', (
    select coalesce(jsonb_agg(line.value order by line.ordinality), '[]')
    from jsonb_array_elements(e.payload -> 'lines') with ordinality as line
    where (line.value ->> 'conversationId')::uuid <> all (p_ids)))
  where e.event_type = 'agent.digest' and exists (
    select from jsonb_array_elements(e.payload -> 'lines') as line where (line.value ->> 'conversationId')::uuid = any (p_ids));
end
$$;

revoke all on function leadpipe.erase_digests(uuid[], timestamptz) from public, anon, authenticated;

CREATE INDEX IF NOT EXISTS follow_up_tasks_due_idx ON public.follow_up_tasks USING btree (follow_up_date) WHERE ((status = ANY (ARRAY['scheduled'::public.follow_up_status, 'in_progress'::public.follow_up_status, 'overdue'::public.follow_up_status])) AND (reminded_for IS DISTINCT FROM follow_up_date));

CREATE INDEX IF NOT EXISTS notification_logs_agents_idx ON public.notification_logs USING btree (due_at) WHERE (to_agent AND (due_at IS NOT NULL));

create or replace trigger follow_up_tasks_next AFTER INSERT OR DELETE ON public.follow_up_tasks FOR EACH ROW EXECUTE FUNCTION leadpipe.follow_up_changed();

create or replace trigger follow_up_tasks_next_changed AFTER UPDATE ON public.follow_up_tasks FOR EACH ROW WHEN (((old.conversation_id IS DISTINCT FROM new.conversation_id) OR (old.follow_up_date IS DISTINCT FROM new.follow_up_date) OR ((old.status = ANY (ARRAY['completed'::public.follow_up_status, 'cancelled'::public.follow_up_status])) IS DISTINCT FROM (new.status = ANY (ARRAY['completed'::public.follow_up_status, 'cancelled'::public.follow_up_status]))))) EXECUTE FUNCTION leadpipe.follow_up_changed();

comment on column public.follow_up_tasks.notify_customer is 'True if the customer was to be notified too, for which this version has no provider.';

comment on column public.follow_up_tasks.reminded_for is 'The follow_up_date that the agent has been reminded of.';

comment on column public.follow_up_tasks.status is 'Open: scheduled, in_progress, and overdue, which the sweep sets when the time has passed.';

comment on column public.notification_logs.to_agent is 'True if the recipient is the address of an agent, which no setting names.';
