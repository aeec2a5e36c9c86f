-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. Deliveries to agents share these limits, and receipts for visitors take what is left. The deliveries of new events are created with their lease,
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
  v_direct jsonb;
begin
  perform leadpipe.check_size(p, 262144);
  -- Without events, leads are announced directly, if the worker has DIRECT_NOTIFICATIONS=true. With events, what is left
  -- of such leads comes first.
  if to_regclass('public.lead_events') is null then
    if to_regclass('public.workers') is not null then
      perform leadpipe.note_worker(p, v_now);
    end if;
    return case when (p ->> 'direct')::boolean then leadpipe.claim_direct(p)
      else '{"deliveries": [], "planned": 0, "unrouted": 0}' end
      || jsonb_build_object('eventsAreOff', true, 'unsent', (select count(*) from leadpipe.unsent_leads u where not leadpipe.is_spam(u.conversation_id)));
  elsif (p ->> 'direct')::boolean and exists (select from leadpipe.unsent_leads) then
    -- A worker sends them with its first claim only.
    if p -> 'fingerprints' is not null then
      perform leadpipe.update_fingerprints(p -> 'fingerprints');
    end if;
    v_direct := leadpipe.claim_direct(p);
    if v_direct -> 'deliveries' <> '[]' then
      perform leadpipe.note_worker(p, v_now);
      return v_direct;
    end if;
  end if;
  -- A claim that is lost in a crash of the server is made again. The next steps of a delivery commit synchronously,
  -- which also flushes the claim.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  v_channels := leadpipe.with_visitors(leadpipe.with_agents(p -> 'channels', v_now), v_now);

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
    v_next := least(v_lapses, leadpipe.next_due_at(v_channels, v_probing, v_now), (v_direct ->> 'nextDueAt')::timestamptz);
  end if;

  perform leadpipe.note_worker(p, v_now);
  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next),
    -- The worker's clock may differ from the database's.
    'nextDueInMs', case when v_next is not null then greatest(ceil(extract(epoch from v_next - clock_timestamp()) * 1000), 0) end);
end
$$;
revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;
