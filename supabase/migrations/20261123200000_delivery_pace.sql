-- Deliveries at a pace that all workers share, an end to what kills its worker again and again, and less work in a claim.
-- Replaces two functions of 20261123100000, which runs before it; may be run again at any time.

comment on column public.notification_channels.send_budget is
  '{"nextAt": …}: when the next message of a channel with a pace may begin, whichever worker has it.';

-- Plans what is new, takes back what a dead worker held, and leases what is due: no more of a channel and recipient than its
-- entry asks for, and nothing of a channel that is paused.
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
  v_lapsed uuid[];
  v_deliveries jsonb;
  v_next timestamptz;
  v_horizon constant interval := make_interval(secs => coalesce((p ->> 'horizonSeconds')::double precision, 72 * 3600));
  v_parks constant boolean := coalesce(p ->> 'unknownOutcome' = 'park', false);
  v_probing public.notification_channel[];
begin
  if p -> 'fingerprints' is not null then
    perform public.note_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      public.paused_total(channel::public.notification_channel, v_now) as paused
    from jsonb_to_recordset(p -> 'channels') as entry (channel text, recipient text, events text[])
  ), fresh as materialized (
    select e.id, e.event_type, e.conversation_id from public.lead_events e
    where e.planned_at is null order by e.created_at, e.id limit v_batch for no key update skip locked
  ), route as (
    select fresh.id, fresh.conversation_id, entry.channel, entry.recipient, entry.paused
    from fresh join entry on (entry.events is null or fresh.event_type::text = any (entry.events))
      and (fresh.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
  ), made as (
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, paused_before)
    select id, conversation_id, channel, recipient, paused from route
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

  -- Whether these arrived is unknown, and a try is used up: one that kills its worker must not go on for ever. They are sent
  -- again until their time for tries is over, or parked: a repeated mail is known by its Message-ID, a repeated message is not
  -- known by anything.
  select min(d.lease_until) into v_lapses from public.notification_logs d where d.status = 'sending';
  if v_lapses <= v_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= v_now)
      order by e.id for no key update skip locked
    ), lapsed as (
      update public.notification_logs d set
        status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
        -- A worker that is alive and could only not write down what happened tries that every second.
        next_attempt_at = case when not fate.parked and not fate.over then v_now + interval '3 seconds' end,
        lease_until = null, leased_by = null,
        error_message = case
          when fate.parked then 'Whether this arrived is unknown; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while it was sending; whether this arrived is unknown. Its time for tries is over.'
          else 'The worker stopped while it was sending; whether this arrived is unknown. It is sent again.' end
      from mine join public.notification_logs o on o.lead_event_id = mine.id cross join lateral (
        select v_parks and o.channel <> 'email' as parked, v_now > coalesce(o.retried_at, mine.created_at) + v_horizon
          + make_interval(secs => greatest(public.paused_total(o.channel, v_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and o.status = 'sending' and d.status = 'sending' and d.lease_until <= v_now
      returning d.id, d.fence, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message
    ), attempt_closed as (
      update public.notification_attempts a set finished_at = v_now, class = 'unknown'
      from lapsed where a.delivery = lapsed.id and a.fence = lapsed.fence and a.finished_at is null
    ), evented as (
      insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
      select 'notification.failed', conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown'),
        true, v_now, v_now
      from lapsed where next_attempt_at is null
    ), told as (
      insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
      select conversation_id, 'notification_sent', case when v_parks and channel <> 'email' then 'Notification parked: ' else 'Notification failed via ' end || channel, error_message,
        jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown')
      from lapsed where next_attempt_at is null and conversation_id is not null
    )
    select array_agg(distinct lead_event_id) into v_lapsed from lapsed;
    if v_lapsed is not null then
      perform public.settle_events(v_lapsed);
    end if;
  end if;

  -- A channel that was set up wrongly gets one delivery, the probe, until something else than config is heard of it. Who holds
  -- the channel's row may claim that one; for everybody else the channel is closed meanwhile.
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
    select channel, public.paused_total(channel, v_now) as paused from (select distinct channel from entry) e
  ), chosen as (
    select id from due where channel <> all (coalesce(v_probing, '{}'))
    union
    select id from (select distinct on (channel) id from due where channel = any (v_probing) order by channel, due_at, id) probe
  ), claimed as (
    update public.notification_logs d set
      status = 'pending', lease_until = v_now + v_lease, leased_by = p ->> 'worker', fence = d.fence + 1
    from chosen where d.id = chosen.id
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', public.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', e.payload)
      || case when clock.began > e.created_at then jsonb_build_object('retryFrom', public.iso8601(clock.began)) else '{}' end
      || case when (d.outcome_class is not null or d.replay_of is not null) and public.may_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
           then '{"possibleRepeat": true}'::jsonb else '{}' end
      order by d.due_at, d.id)
  into v_deliveries
  from claimed d join public.lead_events e on e.id = d.lead_event_id join total on total.channel = d.channel
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(total.paused - d.paused_before, 0)) as began
  ) clock;

  if v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    -- What an entry with limit 0 may not send now, its worker knows better.
    select least(case when v_lapses > v_now then v_lapses end, min(greatest(first.due_at, n.paused_until,
        -- While a probe is under way nothing else is due: until its lease ends, or somebody else has chosen one.
        case when n.fail_streak > 0 then coalesce(
          (select d.lease_until from public.notification_logs d where d.id = n.probe and d.lease_until > v_now),
          case when n.channel <> all (coalesce(v_probing, '{}')) then v_now + interval '1 second' end) end))) into v_next
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

-- Says that sending starts now. What is lost (the lease ran out, or another worker has claimed it since) must not be sent; what
-- was claimed before its channel was paused goes back, and must not be sent either. `paces` gives a channel the least time between
-- two messages, in milliseconds: of those that are asked for at once the oldest begins, when its turn has come; the others go back
-- and are due when theirs comes.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_lease interval := make_interval(secs => coalesce((p ->> 'leaseSeconds')::double precision, 30));
  v_early uuid[] := '{}';
  v_pace record;
  v_next timestamptz;
  v_reply jsonb;
begin
  perform from public.notification_logs d join jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint) on asked.id = d.id
  where p -> 'paces' is not null order by d.id for no key update of d;
  for v_pace in
    select pace.key::public.notification_channel as channel, make_interval(secs => pace.value::double precision / 1000) as gap,
      (select array_agg(d.id order by d.due_at, d.id) from public.notification_logs d
        where d.channel = pace.key::public.notification_channel and d.status = 'pending' and d.lease_until > v_now
          and (d.id, d.fence) in (select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint))) as ids
    from jsonb_each_text(coalesce(p -> 'paces', '{}')) pace order by 1
  loop
    continue when v_pace.ids is null;
    insert into public.notification_channels (channel) values (v_pace.channel) on conflict do nothing;
    select (n.send_budget ->> 'nextAt')::timestamptz into v_next from public.notification_channels n
    where n.channel = v_pace.channel for no key update;
    v_now := clock_timestamp();
    -- A turn that lies further ahead is no turn of this pace: the pace has changed, or the clock.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set lease_until = null, leased_by = null, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
    from unnest(v_pace.ids) with ordinality as turn (id, number) where d.id = turn.id;
    v_early := v_early || v_pace.ids;
  end loop;

  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.status = 'pending' and d.lease_until > v_now and d.id <> all (v_early)
    order by d.id for no key update of d
  ), shut as (
    -- Claimed before its channel was paused, or before another became the probe.
    select d.id from public.notification_logs d join held on held.id = d.id
    join public.notification_channels n on n.channel = d.channel
    where n.paused_until > v_now or (n.fail_streak > 0 and n.probe is distinct from d.id)
  ), given_back as (
    update public.notification_logs d set lease_until = null, leased_by = null from shut where d.id = shut.id
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease
    from (select distinct id from held where id not in (select id from shut)) held where d.id = held.id
    returning d.id, d.fence, d.retry_count + 1 as attempt, d.leased_by
  ), noted as (
    insert into public.notification_attempts (delivery, fence, attempt, started_at, worker)
    select id, fence, attempt, v_now, leased_by from begun
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', coalesce((select jsonb_agg(distinct id) from shut), '[]'),
    'early', to_jsonb(v_early),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.claim_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.begin_deliveries(jsonb)', 'leadpipe_worker');
end
$$;
