-- Delivery that an operator can steer: unknown outcomes resent or parked, pauses that end with one probe, leases given back,
-- retries and replays on an operator's word, and the pruning of what is finished. Additive, and may be run again as a whole at
-- any time, also after the rollback and after the checklist's four DROP TABLEs; then 20251219000001 runs before it.

do $$
begin
  if to_regclass('public.notification_channels') is null or to_regclass('public.notification_logs') is null then
    raise exception 'run 20251219000001_event_driven_lead_architecture.sql first';
  end if;
end
$$;

-- ── Columns ───────────────────────────────────────────────────────────────────────────────────────────────────────────

alter table public.notification_channels
  add column if not exists pause_class text,
  add column if not exists paused_since timestamptz,
  add column if not exists paused_seconds double precision not null default 0,
  add column if not exists probe uuid;
comment on column public.notification_channels.pause_class is 'throttled or config: what the latest pause is for.';
comment on column public.notification_channels.paused_since is 'When the latest pause began, however often it was made longer.';
comment on column public.notification_channels.paused_seconds is 'How long all earlier pauses took, together.';
comment on column public.notification_channels.fail_streak is 'Outcomes of class config since the last other one. Above 0, one delivery at a time is claimed.';
comment on column public.notification_channels.probe is 'The delivery that tries the channel out while fail_streak is above 0.';

alter table public.notification_logs
  add column if not exists retried_at timestamptz,
  add column if not exists paused_before double precision not null default 0;
comment on column public.notification_logs.retried_at is 'When an operator last asked for it; the time for tries counts from then.';
comment on column public.notification_logs.paused_before is 'How long its channel had been paused in all when its time for tries began.';

-- ── Small parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- How long a channel has been paused in all, in seconds, at a moment that is not before the beginning of its latest pause.
create or replace function public.paused_total(p_channel public.notification_channel, p_at timestamptz) returns double precision
language sql stable as $$
  select coalesce((select n.paused_seconds
      + coalesce(greatest(extract(epoch from least(p_at, n.paused_until) - n.paused_since), 0), 0)
    from public.notification_channels n where n.channel = p_channel), 0)::double precision
$$;

-- Whether the recipient may have had this event before: an earlier try ended unknown, or another delivery of the same was sent.
create or replace function public.may_repeat(p_id uuid, p_event uuid, p_channel public.notification_channel, p_recipient text)
returns boolean language sql stable as $$
  select exists (select from public.notification_attempts a where a.delivery = p_id and a.class = 'unknown')
    or exists (select from public.notification_logs d
               where d.lead_event_id = p_event and d.channel = p_channel and d.recipient = p_recipient and d.id <> p_id
                 and (d.status in ('sent', 'delivered') or d.outcome_class = 'unknown'))
$$;

-- Ends a channel's pause, whatever it is for, and brings forward what was to wait for its end; how many these are. The paused
-- time is kept: it does not count against any delivery.
create or replace function public.open_channel(p_channel public.notification_channel) returns integer
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
    paused_seconds = public.paused_total(n.channel, v_now), paused_since = null, paused_until = null, pause_class = null,
    pause_reason = null, fail_streak = 0, probe = null
  where n.channel = p_channel;
  return v_count;
end
$$;

-- What a worker says at its start of the settings of its channels: a text for each, that changes when they do. New settings
-- end a pause that the old ones had earned; what a provider asked for is waited for all the same.
create or replace function public.note_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
begin
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.settings_fingerprint <> f.value and n.fail_streak > 0 order by n.channel
  loop
    perform public.open_channel(v_channel);
  end loop;
  insert into public.notification_channels as n (channel, settings_fingerprint)
  select f.key::public.notification_channel, f.value from jsonb_each_text(p_fingerprints) f order by 1
  on conflict (channel) do update set settings_fingerprint = excluded.settings_fingerprint
  where n.settings_fingerprint is distinct from excluded.settings_fingerprint;
end
$$;

-- ── Delivery ──────────────────────────────────────────────────────────────────────────────────────────────────────────
-- Locks are taken in one order: events by id, then deliveries, then channels. What a claim finds locked it leaves alone.
-- jit is off: the planner does not know how few rows the limits leave, and would compile for 25 ms what runs for one.

-- For a worker, which knows all channels that are configured; it asks now and then. What waits for a recipient that is no longer
-- configured goes to the only one that its channel has now; else it stands as failed with that reason until it is configured.
create or replace function public.rehome_deliveries(p_channels jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reason constant text := 'This recipient is not configured; it waits until it is.';
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
      -- Those that would stay as they are would be in the way of the others.
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
    perform public.settle_events(v_events);
  end if;
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
  v_lapsed uuid[];
  v_deliveries jsonb;
  v_next timestamptz;
  v_parks constant boolean := coalesce(p ->> 'unknownOutcome' = 'park', false);
  v_probing public.notification_channel[];
begin
  if p -> 'fingerprints' is not null then
    perform public.note_fingerprints(p -> 'fingerprints');
    v_now := clock_timestamp();
  end if;

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
    insert into public.notification_logs (lead_event_id, conversation_id, channel, recipient, paused_before)
    select id, conversation_id, channel, recipient, public.paused_total(channel, v_now) from route
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
  -- again, or parked: a repeated mail is known by its Message-ID, a repeated message is not known by anything.
  with mine as materialized (
    select e.id from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.status = 'sending' and d.lease_until <= v_now)
    order by e.id for no key update skip locked
  ), lapsed as (
    update public.notification_logs d set
      status = 'failed', outcome_class = 'unknown', retry_count = d.retry_count + 1,
      -- A worker that is alive and could only not write down what happened still can, before it is sent again; one try of
      -- that takes it up to 13 s.
      next_attempt_at = case when v_parks and d.channel <> 'email' then null else v_now + interval '15 seconds' end,
      lease_until = null, leased_by = null,
      error_message = case when v_parks and d.channel <> 'email'
        then 'Whether this arrived is unknown; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
        else 'The worker stopped while it was sending; whether this arrived is unknown. It is sent again.' end
    from mine
    where d.lead_event_id = mine.id and d.status = 'sending' and d.lease_until <= v_now
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
    select conversation_id, 'notification_sent', 'Notification parked: ' || channel, error_message,
      jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown')
    from lapsed where next_attempt_at is null and conversation_id is not null
  )
  select array_agg(distinct lead_event_id) into v_lapsed from lapsed;
  if v_lapsed is not null then
    perform public.settle_events(v_lapsed);
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
  from claimed d join public.lead_events e on e.id = d.lead_event_id
  cross join lateral (
    select coalesce(d.retried_at, e.created_at)
      + make_interval(secs => greatest(public.paused_total(d.channel, v_now) - d.paused_before, 0)) as began
  ) clock;

  if v_planned + v_unrouted = v_batch then
    v_next := v_now;
  else
    -- What an entry with limit 0 may not send now, its worker knows better. Leases that run out are found by polling.
    select min(greatest(first.due_at, n.paused_until,
        -- While a probe is under way nothing else is due: until its lease ends, or somebody else has chosen one.
        case when n.fail_streak > 0 then coalesce(
          (select d.lease_until from public.notification_logs d where d.id = n.probe and d.lease_until > v_now),
          case when n.channel <> all (coalesce(v_probing, '{}')) then v_now + interval '1 second' end) end)) into v_next
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
-- was claimed before its channel was paused goes back, and must not be sent either.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
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
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (select id from begun union all select id from shut)), '[]'))
  into v_reply;
  return v_reply;
end
$$;

-- Gives back what was claimed and not begun: it is due again at once, and has cost nothing. What `worker` holds, or of that only
-- `ids`; with `host` and `alive` also what other workers of that host hold, named host:pid, that are not alive. Should one of
-- them live after all, it cannot begin what it has lost.
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

-- Writes down what happened, under the fence that was claimed. What is lost was decided by somebody else in the meantime. With
-- status pending a delivery that was begun and not sent goes back as it was: nothing has happened to it, nor to its channel.
create or replace function public.record_outcomes(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
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
      lease_until = null, leased_by = null
    from outcome o
    where d.id = o.id and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message,
      o.fence, o.class, o.status, o."statusCode", o."providerCode", o."retryAfterSeconds", o.excerpt,
      coalesce(o."finishedAt", v_now) as finished_at
  ), attempt_closed as (
    update public.notification_attempts a set
      finished_at = c.finished_at, class = c.class, status_code = c."statusCode", provider_code = c."providerCode",
      retry_after_seconds = c."retryAfterSeconds", excerpt = c.excerpt
    from changed c where a.delivery = c.id and a.fence = c.fence
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
    'lost', (select coalesce(jsonb_agg(distinct o.id), '[]') from jsonb_to_recordset(p -> 'outcomes') as o (id uuid)
             where o.id <> all (coalesce(v_recorded, '{}'))),
    'events', (select coalesce(jsonb_agg(jsonb_build_object(
                 'eventId', event_id, 'settled', settled, 'closed', closed, 'sent', sent, 'failed', failed) order by event_id), '[]')
               from public.settle_events(v_events)));
end
$$;

-- ── The operator ──────────────────────────────────────────────────────────────────────────────────────────────────────
-- For `leadpipe delivery`, `channel` and `event`, and whatever else asks as leadpipe_admin. They say facts; the sentences are
-- made of them elsewhere. None of them returns what a lead said of itself; a recipient may be a mail address.

-- A delivery as the operator sees it, of its row as jsonb: an argument of the table's own type would hold on to the table.
-- `state` parts what `status` keeps together.
create or replace function public.delivery_document(d jsonb) returns jsonb
language sql stable as $$
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
    'createdAt', public.iso8601((d ->> 'created_at')::timestamptz),
    'nextAttemptAt', public.iso8601((d ->> 'next_attempt_at')::timestamptz),
    'sentAt', public.iso8601((d ->> 'sent_at')::timestamptz), 'providerId', d -> 'provider_id',
    'leasedBy', d -> 'leased_by', 'leaseUntil', public.iso8601((d ->> 'lease_until')::timestamptz),
    'retriedAt', public.iso8601((d ->> 'retried_at')::timestamptz), 'replayOf', d -> 'replay_of')
$$;

-- Newest first: `status` (a status, or one of the states waiting, parked, given-up), `channel`, `class`, `since`, `limit`.
create or replace function public.list_deliveries(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_limit integer := least(coalesce((p ->> 'limit')::integer, 50), 1000);
  v_status text := p ->> 'status';
  v_found jsonb;
begin
  select coalesce(jsonb_agg(public.delivery_document(to_jsonb(d)) || jsonb_build_object('eventType', e.event_type) order by d.created_at desc, d.id desc), '[]')
  into v_found
  from (
    select d.* from public.notification_logs d
    where (v_status is null
        or d.status = case when v_status in ('waiting', 'parked', 'given-up') then 'failed' else v_status end)
      and (v_status is distinct from 'waiting' or d.next_attempt_at is not null)
      and (coalesce(v_status, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
      and (v_status is distinct from 'parked' or d.outcome_class = 'unknown')
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
      and (p ->> 'since' is null or d.created_at >= (p ->> 'since')::timestamptz)
    order by d.created_at desc, d.id desc limit v_limit + 1
  ) d join public.lead_events e on e.id = d.lead_event_id;
  return jsonb_build_object(
    'deliveries', case when jsonb_array_length(v_found) > v_limit then v_found - v_limit else v_found end,
    'isComplete', jsonb_array_length(v_found) <= v_limit);
end
$$;

-- All that is known of one delivery, or of an event: `kind` is delivery, event or none.
create or replace function public.show_delivery(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reply jsonb;
begin
  select jsonb_build_object(
    'kind', 'delivery', 'now', public.iso8601(v_now),
    'delivery', public.delivery_document(to_jsonb(d)),
    'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', public.iso8601(e.created_at), 'processed', e.processed),
    'channel', (
      select jsonb_build_object('pausedUntil', public.iso8601(n.paused_until), 'isPaused', coalesce(n.paused_until > v_now, false),
        'class', n.pause_class, 'reason', n.pause_reason, 'failStreak', n.fail_streak, 'probe', n.probe)
      from public.notification_channels n where n.channel = d.channel),
    'attempts', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'attempt', a.attempt, 'fence', a.fence, 'startedAt', public.iso8601(a.started_at), 'finishedAt', public.iso8601(a.finished_at),
        'class', a.class, 'statusCode', a.status_code, 'providerCode', a.provider_code, 'retryAfterSeconds', a.retry_after_seconds,
        'excerpt', a.excerpt, 'worker', a.worker) order by a.fence), '[]')
      from public.notification_attempts a where a.delivery = d.id),
    'replays', (
      select coalesce(jsonb_agg(r.id order by r.created_at), '[]') from public.notification_logs r
      where r.lead_event_id = d.lead_event_id and r.replay_of = d.id),
    'workerLastSeen', (select public.iso8601(max(last_seen)) from public.workers))
  into v_reply
  from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
  where d.id = (p ->> 'id')::uuid;

  if v_reply is null then
    select jsonb_build_object(
      'kind', 'event', 'now', public.iso8601(v_now),
      'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', public.iso8601(e.created_at), 'processed', e.processed,
        'plannedAt', public.iso8601(e.planned_at), 'notifies', public.event_notifies(e.event_type)),
      'deliveries', (select coalesce(jsonb_agg(d.id order by d.created_at, d.id), '[]')
                     from public.notification_logs d where d.lead_event_id = e.id),
      'workerLastSeen', (select public.iso8601(max(last_seen)) from public.workers))
    into v_reply
    from public.lead_events e where e.id = (p ->> 'id')::uuid;
  end if;
  return coalesce(v_reply, jsonb_build_object('kind', 'none'));
end
$$;

-- Makes failed deliveries due at once, given up or waiting: those of `ids`, or those of a `channel` and, with it, of a
-- `class`. No more than a thousand in a call, oldest first, and none twice since `asOf`; `isComplete` says that no more are
-- left. With `dryRun` nothing is changed. `by` says who it was.
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
    raise exception 'ids or channel is needed' using errcode = '22023';
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
    -- In the order of all locks: the events first.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_ids)) order by e.id for no key update;
    with changed as (
      update public.notification_logs d set
        next_attempt_at = v_now, retried_at = v_now, paused_before = public.paused_total(d.channel, v_now)
      where d.id = any (v_ids) and d.status = 'failed'
      returning d.id, d.lead_event_id, d.conversation_id, d.channel
    ), told as (
      insert into public.conversation_timeline (conversation_id, event_type, title, actor_name, metadata)
      select conversation_id, 'notification_sent', 'Notification to be tried again via ' || channel, p ->> 'by',
        jsonb_build_object('deliveryId', id, 'channel', channel, 'by', p ->> 'by')
      from changed where conversation_id is not null
    )
    select array_agg(id), array_agg(distinct lead_event_id) into v_ids, v_events from changed;
    perform public.settle_events(v_events);
  end if;
  select coalesce(jsonb_agg(public.delivery_document(to_jsonb(d)) order by d.created_at, d.id), '[]') into v_documents
  from public.notification_logs d where d.id = any (v_ids);
  return jsonb_build_object(
    'deliveries', v_documents, 'asOf', v_as_of, 'isComplete', v_is_dry or v_count < 1000,
    -- Of what was asked for by its id: why it was not taken.
    'refused', (select coalesce(jsonb_agg(jsonb_build_object('id', asked.id, 'status', coalesce(d.status, 'none'))), '[]')
      from jsonb_array_elements_text(coalesce(p -> 'ids', '[]')) as asked (id)
      left join public.notification_logs d on d.id = asked.id::uuid
      where asked.id::uuid <> all (coalesce(v_ids, '{}'))));
end
$$;

-- Sends what is finished once more: a new delivery for the newest one of each event, channel and recipient, linked by
-- replay_of; the event is open again. Which events: `ids`, `from` and `to` (their time); which of their deliveries: `channel`,
-- `class`. What is not finished is left alone, and so is what was made since `asOf`: two calls do not replay the same twice. No
-- more than a thousand in a call, oldest first; `after` is where the next one goes on.
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
    raise exception 'ids, from, to, channel or class is needed' using errcode = '22023';
  end if;
  select array_agg(id order by created_at, id) into v_chosen from (
    select d.id, d.created_at from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where (d.status in ('sent', 'delivered') or (d.status = 'failed' and d.next_attempt_at is null))
      and d.created_at < v_as_of
      and (p -> 'after' is null or (d.created_at, d.id) > ((p #>> '{after,at}')::timestamptz, (p #>> '{after,id}')::uuid))
      and (p -> 'ids' is null or d.lead_event_id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      -- A delivery is never older than its event: this one is for the index.
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
    -- In the order of all locks: the events first.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_chosen)) order by e.id for no key update;
  end if;

  with chosen as materialized (
    select d.*, gen_random_uuid() as new_id from public.notification_logs d where d.id = any (v_chosen)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, conversation_id, channel, recipient, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, conversation_id, channel, recipient, v_now, id, v_now, public.paused_total(channel, v_now)
    from chosen where not v_is_dry
  ), told as (
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
    perform public.settle_events((select array_agg(distinct (d ->> 'eventId')::uuid) from jsonb_array_elements(v_found) d));
  end if;
  return jsonb_build_object('deliveries', v_found, 'asOf', v_as_of, 'after', v_after, 'isComplete', v_after is null);
end
$$;

-- Every channel that is known of: its pause, and what waits.
create or replace function public.list_channels(p jsonb default '{}') returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  return jsonb_build_object('now', public.iso8601(v_now), 'channels', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'channel', c.channel, 'pausedUntil', public.iso8601(case when n.paused_until > v_now then n.paused_until end),
      'class', n.pause_class, 'reason', n.pause_reason, 'failStreak', coalesce(n.fail_streak, 0), 'probe', n.probe,
      'waiting', waiting.count, 'oldestDueAt', public.iso8601(waiting.oldest), 'sending', sending.count,
      'givenUp', given_up.count) order by c.channel::text), '[]')
    from unnest(enum_range(null::public.notification_channel)) as c (channel)
    left join public.notification_channels n on n.channel = c.channel
    cross join lateral (select count(*), min(d.due_at) as oldest from public.notification_logs d
                        where d.channel = c.channel and d.due_at is not null) waiting
    cross join lateral (select count(*) from public.notification_logs d where d.channel = c.channel and d.status = 'sending') sending
    cross join lateral (select count(*) from public.notification_logs d
                        where d.channel = c.channel and d.status = 'failed' and d.next_attempt_at is null) given_up
    where n.channel is not null or waiting.count > 0 or sending.count > 0 or given_up.count > 0
      or coalesce(p -> 'configured' ? c.channel::text, false)));
end
$$;

-- Ends a channel's pause, on an operator's word also one that a provider asked for.
create or replace function public.resume_channel(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel := (p ->> 'channel')::public.notification_channel;
  v_was jsonb;
begin
  select jsonb_build_object('pausedUntil', public.iso8601(n.paused_until), 'class', n.pause_class, 'reason', n.pause_reason)
  into v_was from public.notification_channels n
  where n.channel = v_channel and (n.paused_until > clock_timestamp() or n.fail_streak > 0);
  return jsonb_build_object('channel', v_channel, 'wasPaused', v_was is not null, 'was', v_was,
    'broughtForward', public.open_channel(v_channel));
end
$$;

-- ── Housekeeping ──────────────────────────────────────────────────────────────────────────────────────────────────────
-- What the three tables have already, and why it stays. fillfactor 85 (lead_events) and 70 (notification_logs): their rows are
-- rewritten two and three times soon after birth, and a claim or a lease, which touches no indexed column, then stays on its page.
-- Vacuum after 10,000 rows whatever the size: what is finished leaves the partial indexes only by vacuum, and they are what every
-- claim reads. New here: notification_attempts is rewritten once, and is pruned in great numbers like the others.
-- Two indexes find what is old. Both are entered in the order of time, so that an insert touches their last page only; and by a
-- worker, never by a capture, but for events that are born processed.
alter table public.notification_attempts set (
  fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
alter table public.idempotency_keys set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index if not exists lead_events_processed_at_idx on public.lead_events (processed_at) where processed;
create index if not exists notification_attempts_started_at_idx on public.notification_attempts (started_at);
-- For list_deliveries, which would sort the whole table.
create index if not exists notification_logs_created_at_idx on public.notification_logs (created_at, id);

-- Takes away what is finished and older than `days`, in one small batch: events with their deliveries and tries, tries whose
-- delivery is gone, workers that are gone; and idempotency keys older than 7 days, which mean nothing any more. Without `days`
-- only these. Nothing that is not finished goes, however old. No more than `batch` rows (1,000), in statements that take
-- milliseconds; `isComplete` says that nothing is left. What somebody holds is left for another time.
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
      order by created_at limit v_batch / 4 for update skip locked)
    returning 1)
  select count(*) into v_keys from old;

  if v_before is not null then
    -- An event takes three deliveries and their tries along, or so.
    select array_agg(id) into v_old from (
      select e.id from public.lead_events e
      where e.processed and e.processed_at < v_before
        and not exists (select from public.notification_logs d
                        where d.lead_event_id = e.id and (d.due_at is not null or d.status = 'sending'))
      order by e.processed_at limit v_batch / 10 for update of e skip locked) old;
    if v_old is not null then
      -- By the ids themselves: of a join the planner might read all tries there are.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Their deliveries went with a conversation that was deleted.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from public.workers where last_seen < v_before;
  end if;
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 4);
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.paused_total(public.notification_channel, timestamptz)');
  perform public.protect_function('public.may_repeat(uuid, uuid, public.notification_channel, text)');
  perform public.protect_function('public.open_channel(public.notification_channel)');
  perform public.protect_function('public.note_fingerprints(jsonb)');
  perform public.protect_function('public.rehome_deliveries(jsonb)');
  perform public.protect_function('public.claim_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.begin_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.release_deliveries(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.record_outcomes(jsonb)', 'leadpipe_worker');
  perform public.protect_function('public.delivery_document(jsonb)');
  perform public.protect_function('public.list_deliveries(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.show_delivery(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.retry_deliveries(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.replay_events(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_channels(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.resume_channel(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.prune(jsonb)', 'leadpipe_worker');
end
$$;
