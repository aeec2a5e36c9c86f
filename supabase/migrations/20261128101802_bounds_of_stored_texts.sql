-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Raises lead_too_large if an argument has more than `p_most` bytes, more than 16 levels or a number beyond 1e200: what
-- it would store could not be shown. Handlers have checked it with lower limits; this is for a caller that has only
-- stolen their login.
create or replace function leadpipe.check_size(p jsonb, p_most integer) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if octet_length(p::text) > p_most or p @? 'strict $.**{17}'
    or p @? '$.** ? (@.type() == "number" && (@ > 1e200 || @ < -1e200))'
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;

revoke all on function leadpipe.check_size(jsonb, integer) from public, anon, authenticated;

-- Returns a timeline entry as shown in the admin interface. Its description may have 8,000 characters and its metadata
-- 8 KiB, so that 200 entries fit into a reply. Takes the row as jsonb, because a parameter of the table's
-- row type would prevent the table from being dropped.
create or replace function leadpipe.timeline_document(t jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', t -> 'id', 'type', t -> 'event_type', 'title', t -> 'title', 'description', case
      when length(t ->> 'description') > 8000 then left(t ->> 'description', 7999) || '…' else t ->> 'description' end,
    'actorType', t -> 'actor_type', 'actorName', t -> 'actor_name', 'at', leadpipe.iso8601((t ->> 'created_at')::timestamptz),
    'metadata', leadpipe.shown(t -> 'metadata', 8192))
$$;

revoke all on function leadpipe.timeline_document(jsonb) from public, anon, authenticated;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel.
--
-- All functions in this folder take locks in one order: events by id, then deliveries, then channels. A claim waits for
-- no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select
-- the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived session keeps a plan that
-- was made while a table was empty until the next analyze. jit is off because the planner cannot estimate how few rows
-- the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms.
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
      status = 'pending', lease_until = v_now + v_lease, leased_by = left(p ->> 'worker', 200), fence = d.fence + 1, updated_at = v_now
    where d.id = any (array(select id from chosen))
    returning d.*
  ), probed as (
    update public.notification_channels n set probe = claimed.id
    from claimed where n.channel = any (v_probing) and claimed.channel = n.channel
  )
  select jsonb_agg(jsonb_build_object(
      'id', d.id, 'fence', d.fence, 'attempt', d.retry_count + 1, 'channel', d.channel, 'recipient', d.recipient,
      'eventId', e.id, 'eventType', e.event_type, 'eventAt', leadpipe.iso8601(e.created_at),
      'conversationId', d.conversation_id, 'payload', leadpipe.shown(e.payload))
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
    'nextDueInMs', ceil(extract(epoch from v_next - clock_timestamp()) * 1000));
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

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
    where octet_length(coalesce(recipient, '')) <= 1000
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
    -- Texts are cut to what lists can show, so that no outcome is refused for its size.
    select distinct on (o.id, o.fence) o.id, o.fence, left(o.class, 50) as class, o.status, o.burned, o."retryInSeconds",
      o."statusCode", left(o."providerCode", 200) as "providerCode", o."retryAfterSeconds", left(o.reason, 500) as reason,
      left(o.excerpt, 2000) as excerpt, left(o."providerId", 500) as "providerId", left(o.subject, 500) as subject,
      least(greatest(o."finishedAt", '1970-01-01 00:00Z'), v_now + interval '1 day') as "finishedAt"
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
    where n.channel = any (v_held) and n.settings_fingerprint <> left(f.value, 200) and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  update public.notification_channels n set settings_fingerprint = left(f.value, 200) from jsonb_each_text(p_fingerprints) f
  where n.channel = any (v_held) and f.key = n.channel::text and n.settings_fingerprint is distinct from left(f.value, 200);
  insert into public.notification_channels (channel, settings_fingerprint)
  select f.key::public.notification_channel, left(f.value, 200) from jsonb_each_text(p_fingerprints) f
  where not exists (select from public.notification_channels n where n.channel::text = f.key)
  order by 1 on conflict do nothing;
end
$$;

revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;

-- Subscribes an address. An active subscriber is unchanged and causes no event; an unsubscribed one is subscribed
-- again. Every call writes the row, so that the response time does not reveal whether the address was subscribed.
create or replace function public.subscribe_newsletter(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_received timestamptz;
  v_id uuid;
  v_was_active boolean := false;
  v_event uuid;
begin
  perform leadpipe.check_size(p, 16384);
  v_received := least(greatest(coalesce((p ->> 'receivedAt')::timestamptz, now()), '1970-01-01 00:00Z'), '9999-12-31 23:59Z');
  insert into public.newsletter_subscribers (email, source, ip_address, user_agent, subscribed_at)
  values (p ->> 'email', nullif(p ->> 'source', ''), nullif(p ->> 'ipAddress', ''), nullif(p ->> 'userAgent', ''), v_received)
  on conflict (lower(email)) do nothing
  returning id into v_id;

  if v_id is null then
    select s.id, s.status = 'active' into v_id, v_was_active
    from public.newsletter_subscribers s where lower(s.email) = lower(p ->> 'email') for update;
    if not found then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    update public.newsletter_subscribers s set
      status = 'active',
      subscribed_at = case when v_was_active then s.subscribed_at else v_received end,
      unsubscribed_at = null,
      source = case when v_was_active then s.source else coalesce(nullif(p ->> 'source', ''), s.source) end,
      ip_address = case when v_was_active then s.ip_address else nullif(p ->> 'ipAddress', '') end,
      user_agent = case when v_was_active then s.user_agent else nullif(p ->> 'userAgent', '') end
    where s.id = v_id;
  end if;

  if not v_was_active and to_regclass('public.lead_events') is not null then
    v_event := public.emit_lead_event('newsletter.subscribed', null, jsonb_strip_nulls(p -> 'payload'));
    update public.lead_events set request_id = left(p ->> 'requestId', 200) where id = v_event and p ? 'requestId';
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event);
end
$$;

revoke all on function public.subscribe_newsletter(jsonb) from public, anon, authenticated;

grant execute on function public.subscribe_newsletter(jsonb) to leadpipe_intake, service_role;
