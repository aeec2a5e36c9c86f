-- Plans new events, takes back deliveries whose worker has died, and leases what is due: for each channel and recipient
-- no more than its entry asks for, and nothing of a paused channel.
--
-- All functions of this folder take locks in one order: events by id, then deliveries, then channels; a claim skips
-- what is locked. They name the rows that they change by id (`= any`), and turn off the plans that read whole tables: a
-- long-lived session keeps a plan that was made while a table was empty, until the next analyze. jit is off because the
-- planner does not know how few rows the limits leave, and would compile for 25 ms what runs for one.
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
  -- A claim that a crash of the server loses is made again. What follows from it is flushed, and this with it.
  perform set_config('synchronous_commit', 'off', true);
  if p -> 'fingerprints' is not null then
    perform leadpipe.update_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events,
      leadpipe.paused_seconds(channel::public.notification_channel, v_now) as paused
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
    perform leadpipe.reroute_deliveries(p -> 'channels');
  end if;

  -- Whether these arrived is unknown, and an attempt is used up, so that a delivery that kills its worker is not sent for
  -- ever. They are sent again until their time is over, or parked: a recipient recognises a repeated mail by its Message-ID,
  -- but cannot recognise a repeated message.
  select min(d.lease_until) into v_lapses from public.notification_logs d where d.status = 'sending';
  if v_lapses <= v_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= v_now)
      order by e.id for no key update skip locked
    ), lapsed as (
      update public.notification_logs d set
        status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
        -- A worker that is alive but could not record the outcome repeats that every second.
        next_attempt_at = case when not fate.parked and not fate.over then v_now + interval '3 seconds' end,
        lease_until = null, leased_by = null,
        error_message = case
          when fate.parked then 'Whether this arrived is unknown; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while it was sending; whether this arrived is unknown. Its time for tries is over.'
          else 'The worker stopped while it was sending; whether this arrived is unknown. It is sent again.' end
      from mine join public.notification_logs o on o.lead_event_id = mine.id cross join lateral (
        select v_parks and o.channel <> 'email' as parked, v_now > coalesce(o.retried_at, mine.created_at) + v_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, v_now) - o.paused_before, 0)) as over
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
      perform leadpipe.settle_events(v_lapsed);
    end if;
  end if;

  -- A wrongly configured channel gets one delivery, the probe, until an outcome other than config arrives. The call that
  -- locks the channel's row may claim it; for all others the channel is closed meanwhile.
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
      || case when (d.outcome_class is not null or d.replay_of is not null) and leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient)
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
    -- An entry with limit 0 is left out: its worker knows when it may send again.
    select least(case when v_lapses > v_now then v_lapses end, min(greatest(first.due_at, n.paused_until,
        -- While a probe is being sent nothing else is due, until its lease ends or another probe is chosen.
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

  -- Last, so that workers of one name block each other as briefly as possible.
  insert into public.workers as w (name, version, started_at, last_seen)
  values (coalesce(p ->> 'worker', 'worker'), p ->> 'version', v_now, v_now)
  on conflict (name) do update set last_seen = excluded.last_seen, version = excluded.version;

  return jsonb_build_object('deliveries', coalesce(v_deliveries, '[]'), 'planned', v_planned, 'unrouted', v_unrouted,
    'nextDueAt', leadpipe.iso8601(v_next));
end
$$;
revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;
