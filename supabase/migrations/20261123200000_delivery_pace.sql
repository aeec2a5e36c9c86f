-- Deliveries at a pace that all workers share, an end to what kills its worker again and again, and less work for each.
-- Replaces functions of 20261123100000 and 20251219000001, which run before it; may be run again at any time.
--
-- What is touched is always named by its ids (`= any`), so that a plan which was made while a table was empty, and which a long-lived
-- session keeps until the next analyze, finds it by index all the same.

comment on column public.notification_channels.send_budget is
  '{"nextAt": …}: when the next message of a channel with a pace may begin, whichever worker has it.';

-- The functions below set the time themselves: the trigger is for everybody else.
create or replace trigger lead_events_updated_at before update on public.lead_events
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();
create or replace trigger notification_logs_updated_at before update on public.notification_logs
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();

-- Brings events into line with their deliveries, and says how they stand: settled when nothing is about to be sent, closed
-- when every delivery is final.
create or replace function public.settle_events(p_events uuid[])
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
  -- A claim that a crash of the server forgets is made again; what follows from it waits for the disk, and for this with it.
  perform set_config('synchronous_commit', 'off', true);
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
      planned_at = v_now, updated_at = v_now,
      processed = e.id <> all (array(select id from route)),
      processed_at = case when e.id <> all (array(select id from route)) then v_now end
    where e.id = any (array(select id from fresh))
    returning e.processed
  )
  select count(*) filter (where not processed), count(*) filter (where processed) into v_planned, v_unrouted from planned;

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
      status = 'pending', lease_until = v_now + v_lease, leased_by = p ->> 'worker', fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
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
  from claimed d join public.lead_events e on e.id = d.lead_event_id and e.id = any (array(select lead_event_id from claimed))
  join total on total.channel = d.channel
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
    -- A turn that lies further ahead is no turn of this pace: the pace has changed, or the clock.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set lease_until = null, leased_by = null, updated_at = v_now, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
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
    -- Claimed before its channel was paused, or before another became the probe.
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
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;

-- Writes down what happened, under the fence that was claimed. What is lost was decided by somebody else in the meantime. With
-- status pending a delivery that was begun and not sent goes back as it was: nothing has happened to it, nor to its channel.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_ids constant uuid[] := array(select o.id from jsonb_to_recordset(p -> 'outcomes') as o (id uuid));
  v_recorded uuid[];
  v_events uuid[];
begin
  -- The events first: of two calls that finish an event's last two deliveries, the second then sees what the first wrote.
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
      -- A word that comes after the lease had run out finds the try counted already.
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
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where class in ('throttled', 'config') and next_attempt_at is not null
    group by channel order by channel
    on conflict (channel) do update set
      paused_seconds = case when n.paused_until > v_now then n.paused_seconds else public.paused_total(n.channel, v_now) end,
      paused_since = case when n.paused_until > v_now then coalesce(n.paused_since, v_now) else v_now end,
      paused_until = greatest(n.paused_until, excluded.paused_until),
      pause_reason = case when n.paused_until > excluded.paused_until then n.pause_reason else excluded.pause_reason end,
      pause_class = case when n.paused_until > excluded.paused_until then n.pause_class else excluded.pause_class end,
      fail_streak = case excluded.fail_streak when 0 then 0 else n.fail_streak + 1 end,
      probe = null
    returning n.channel
  ), opened as (
    -- Anything else than config says that the channel is set up well: what waits behind a probe may go.
    update public.notification_channels n set fail_streak = 0, probe = null
    from (select distinct channel from changed where class not in ('throttled', 'config') and status <> 'pending') heard
    where n.channel = heard.channel and n.fail_streak > 0
      and n.channel not in (select channel from changed where class in ('throttled', 'config') and next_attempt_at is not null)
  )
  select array_agg(id order by id), array_agg(distinct lead_event_id) into v_recorded, v_events from changed;

  return jsonb_build_object(
    'recorded', to_jsonb(coalesce(v_recorded, '{}')),
    'lost', (select coalesce(jsonb_agg(distinct asked.id), '[]') from unnest(v_ids) as asked (id)
             where asked.id <> all (coalesce(v_recorded, '{}'))),
    'events', (select coalesce(jsonb_agg(jsonb_build_object(
                 'eventId', event_id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by event_id), '[]')
               from public.settle_events(v_events)));
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.settle_events(uuid[])');
  perform public.protect_function('public.claim_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.begin_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.record_outcomes(jsonb)', 'leadpipe_worker');
end
$$;
