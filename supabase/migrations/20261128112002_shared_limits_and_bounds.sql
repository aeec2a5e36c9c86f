-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- One row for each client of a limit. Only the bucket and the key are indexed, so that an update changes no index.
create unlogged table if not exists leadpipe.rate_counts (
  rate text not null constraint rate_counts_rate_check check (rate in (
    'accepted', 'lead', 'lead/48', 'contact', 'contact/48', 'admin', 'admin/48', 'export', 'export/48', 'default',
    'default/48', 'refused-keys', 'refused-keys/48', 'turns')),
  key text not null constraint rate_counts_key_check check (octet_length(key) <= 80),
  bucket smallint not null,
  times bigint[] not null default '{}',
  counts integer[] not null default '{}',
  half bigint,
  ends bigint not null default 0,
  constraint rate_counts_pkey primary key (rate, key)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.1);

create index if not exists rate_counts_bucket_idx on leadpipe.rate_counts (rate, bucket);

revoke all on table leadpipe.rate_counts from public, anon, authenticated, service_role;

comment on table leadpipe.rate_counts is 'Requests that clients were admitted for. Empty after a crash.';

comment on column leadpipe.rate_counts.rate is 'The limit: a rate class, its limit for the /48 of IPv6 addresses, the refused keys, or the accepted keys.';

comment on column leadpipe.rate_counts.key is 'An address or network, or the hash of a key. The row `shared N` counts all new clients of the full bucket N.';

comment on column leadpipe.rate_counts.bucket is 'One of 1,024 buckets of 64 clients.';

comment on column leadpipe.rate_counts.times is 'When requests were admitted, in Unix milliseconds, ascending. At most about 130.';

comment on column leadpipe.rate_counts.counts is 'How many requests were admitted at each of the times.';

comment on column leadpipe.rate_counts.half is 'The time of an admission of which half was given back.';

comment on column leadpipe.rate_counts.ends is 'When nothing in the row counts any more, in Unix milliseconds.';

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

-- Counts a request if all of its limits admit it. A limit is {rate, key, count, seconds}. Returns {allowed, count,
-- seconds, remaining, resetsIn, held} of the tightest limit: resetsIn in milliseconds, held for
-- `leadpipe.give_back_rates`. A refusal counts nothing.
--
-- Above 128 requests in a window, times are rounded up to a 128th of it, so that a row has at most about 130 times. An
-- admission then counts a little longer, never shorter, than the window.
create or replace function leadpipe.admit_rates(p_limits jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_limit jsonb;
  v_row leadpipe.rate_counts;
  v_rows leadpipe.rate_counts[] := '{}';
  v_judged record;
  v_now bigint;
  v_at bigint;
  v_count bigint;
  v_window bigint;
  v_step bigint;
  v_newest bigint;
  v_used bigint;
  v_left bigint;
  v_frees_at bigint;
  v_held jsonb := '[]';
  v_tightest jsonb;
begin
  -- Without locks first, so that refusals of one client do not queue. At the second look the rows are locked, and nothing
  -- between the two looks can be missed.
  for v_look in 1..2 loop
    if v_look = 2 then
      for v_limit in select value from jsonb_array_elements(p_limits) loop
        v_rows := v_rows || leadpipe.hold_rate(v_limit ->> 'rate', v_limit ->> 'key');
      end loop;
    end if;
    v_now := floor(extract(epoch from clock_timestamp()) * 1000);
    for i in 0..jsonb_array_length(p_limits) - 1 loop
      v_limit := p_limits -> i;
      v_count := v_limit -> 'count';
      v_window := least((v_limit -> 'seconds')::bigint, 3600) * 1000;
      v_step := case when v_count <= 128 then 1 else (v_window + 127) / 128 end;
      v_at := (v_now + v_step - 1) / v_step * v_step;
      if v_look = 1 then
        select * into v_row from leadpipe.rate_counts where rate = v_limit ->> 'rate' and key = v_limit ->> 'key';
        v_newest := v_row.times[cardinality(v_row.times)];
        -- No row, nothing that counts, or a clock that was set back, which only the second look stores.
        continue when v_newest is null or v_newest <= v_now - v_window or v_newest > v_at;
      else
        v_row := v_rows[i + 1];
        v_newest := v_row.times[cardinality(v_row.times)];
      end if;
      if v_newest is null or v_newest <= v_now - v_window then
        v_used := 0;
        v_row.times := '{}';
        v_row.counts := '{}';
      elsif cardinality(v_row.times) < v_count and v_newest <= v_at and v_row.times[1] > v_now - v_window and v_step = 1
        and cardinality(v_row.times) = (select sum(n) from unnest(v_row.counts) n) then
        v_used := cardinality(v_row.times);
      else
        v_judged := leadpipe.judge_rate(v_row, v_count, v_window, v_now, v_at);
        v_used := v_judged.used;
        v_frees_at := v_judged.frees_at;
        v_row.times := coalesce(v_judged.times, '{}');
        v_row.counts := coalesce(v_judged.counts, '{}');
      end if;
      if v_used >= v_count then
        if v_tightest is null or (v_tightest -> 'resetsIn')::bigint < v_frees_at - v_now then
          v_tightest := jsonb_build_object('allowed', false, 'count', v_count, 'seconds', v_window / 1000, 'remaining', 0,
            'resetsIn', v_frees_at - v_now);
        end if;
        if v_newest > v_at then
          update leadpipe.rate_counts set times = v_row.times, counts = v_row.counts, ends = v_at + v_window
          where rate = v_row.rate and key = v_row.key;
        end if;
      elsif v_look = 2 then
        v_rows[i + 1] := v_row;
      end if;
    end loop;
    if v_tightest is not null then
      return v_tightest;
    end if;
  end loop;

  for i in 0..jsonb_array_length(p_limits) - 1 loop
    v_limit := p_limits -> i;
    v_row := v_rows[i + 1];
    v_count := v_limit -> 'count';
    v_window := least((v_limit -> 'seconds')::bigint, 3600) * 1000;
    v_step := case when v_count <= 128 then 1 else (v_window + 127) / 128 end;
    v_at := (v_now + v_step - 1) / v_step * v_step;
    if v_row.times[cardinality(v_row.times)] = v_at then
      v_row.counts[cardinality(v_row.counts)] := v_row.counts[cardinality(v_row.counts)] + 1;
    else
      v_row.times := v_row.times || v_at;
      v_row.counts := v_row.counts || 1;
    end if;
    update leadpipe.rate_counts
    set times = v_row.times, counts = v_row.counts, half = case when v_row.half > v_at then v_at else v_row.half end,
      ends = v_at + v_window
    where rate = v_row.rate and key = v_row.key;
    v_left := v_count - (select sum(n) from unnest(v_row.counts) n);
    v_held := v_held || jsonb_build_array(v_limit || jsonb_build_object('at', v_at));
    if v_tightest is null or v_left < (v_tightest -> 'remaining')::bigint then
      v_tightest := jsonb_build_object('allowed', true, 'count', v_count, 'seconds', v_window / 1000, 'remaining', v_left,
        'resetsIn', v_row.times[1] + v_window - v_now);
    end if;
  end loop;
  return v_tightest || jsonb_build_object('held', v_held);
end
$$;

revoke all on function leadpipe.admit_rates(jsonb) from public, anon, authenticated;

-- Counts a request before its handler is called, in all limits that apply to it. `limits` are those of the client's
-- class, {rate, key, count, seconds} each, or absent without a limit. On admin routes, `secrets` are the hashes of the
-- presented keys, and `guesses` the limits of refused keys: a key that was accepted before counts by itself instead of
-- by its client and is no guess; any other counts as a guess, unless the request is refused. Returns {known, request,
-- guess}: whether the key was accepted before, and the results of `leadpipe.admit_rates`.
create or replace function public.admit_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_known text;
  v_request jsonb;
  v_guess jsonb;
begin
  if jsonb_array_length(p -> 'secrets') > 0 then
    select key into v_known from leadpipe.rate_counts
    where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'secrets')) and ends > leadpipe.unix_milliseconds()
    order by key limit 1;
  end if;
  if jsonb_array_length(p -> 'limits') > 0 then
    v_request := leadpipe.admit_rates(case when v_known is null then p -> 'limits'
      else jsonb_build_array(p #> '{limits,0}' || jsonb_build_object('key', v_known)) end);
  end if;
  if v_known is null and jsonb_array_length(p -> 'guesses') > 0 and coalesce((v_request ->> 'allowed')::boolean, true) then
    v_guess := leadpipe.admit_rates(p -> 'guesses');
  end if;
  return jsonb_build_object('known', v_known is not null, 'request', v_request, 'guess', v_guess);
end
$$;

revoke all on function public.admit_request(jsonb) from public, anon, authenticated;

grant execute on function public.admit_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;

-- Gives back what `leadpipe.admit_rates` counted, whole or by half: two halves within a window count as one request, at
-- the time of the later one. Does nothing for an admission that has expired. Returns the tightest limit afterwards, as
-- admit_rates does.
create or replace function leadpipe.give_back_rates(p_held jsonb, p_half boolean) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_limit jsonb;
  v_row leadpipe.rate_counts;
  v_judged record;
  v_now bigint;
  v_at bigint;
  v_place integer;
  v_count bigint;
  v_window bigint;
  v_tightest jsonb;
begin
  for v_limit in select value from jsonb_array_elements(p_held) loop
    v_at := (v_limit ->> 'at')::bigint;
    v_count := (v_limit ->> 'count')::bigint;
    v_window := least((v_limit ->> 'seconds')::bigint, 3600) * 1000;
    select * into v_row from leadpipe.rate_counts where rate = v_limit ->> 'rate' and key = v_limit ->> 'key' for update;
    if not found then
      select * into v_row from leadpipe.rate_counts
      where rate = v_limit ->> 'rate' and key = 'shared ' || leadpipe.rate_bucket(v_limit ->> 'rate', v_limit ->> 'key') for update;
    end if;
    continue when not found;
    v_now := leadpipe.unix_milliseconds();
    v_place := array_position(v_row.times, v_at);
    if v_place is not null and v_at > v_now - v_window then
      if p_half and v_row.half > v_now - v_window then
        -- With this half, the earlier one makes a whole admission, which stays counted.
        v_row.half := null;
      else
        if p_half then
          v_row.half := v_at;
        end if;
        v_row.counts[v_place] := v_row.counts[v_place] - 1;
        if v_row.counts[v_place] = 0 then
          v_row.times := v_row.times[:v_place - 1] || v_row.times[v_place + 1:];
          v_row.counts := v_row.counts[:v_place - 1] || v_row.counts[v_place + 1:];
        end if;
      end if;
      update leadpipe.rate_counts
      set times = v_row.times, counts = v_row.counts, half = v_row.half,
        ends = coalesce(greatest(v_row.times[cardinality(v_row.times)], v_row.half) + v_window, 0)
      where rate = v_row.rate and key = v_row.key;
    end if;
    v_judged := leadpipe.judge_rate(v_row, v_count, v_window, v_now, 9223372036854775807);
    if v_tightest is null or v_count - v_judged.used < (v_tightest ->> 'remaining')::bigint then
      v_tightest := jsonb_build_object('allowed', v_judged.used < v_count, 'count', v_count, 'seconds', v_window / 1000,
        'remaining', greatest(v_count - v_judged.used, 0), 'resetsIn', coalesce(v_judged.frees_at - v_now, v_window));
    end if;
  end loop;
  return v_tightest;
end
$$;

revoke all on function leadpipe.give_back_rates(jsonb, boolean) from public, anon, authenticated;

-- Locks and returns the row that counts a client: its own, or the shared row of its bucket while the bucket is full. The
-- lock ends with the transaction. A client's insert of its own row excludes every other call for the same client, so
-- that no admission is counted where another call does not look.
create or replace function leadpipe.hold_rate(p_rate text, p_key text) returns leadpipe.rate_counts
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_row leadpipe.rate_counts;
  v_shared leadpipe.rate_counts;
  v_bucket smallint;
  v_now bigint;
begin
  loop
    select * into v_row from leadpipe.rate_counts where rate = p_rate and key = p_key for update;
    if found then
      return v_row;
    end if;
    v_bucket := leadpipe.rate_bucket(p_rate, p_key);
    insert into leadpipe.rate_counts (rate, key, bucket) values (p_rate, p_key, v_bucket)
    on conflict (rate, key) do nothing returning * into v_row;
    exit when found;
  end loop;
  v_now := leadpipe.unix_milliseconds();
  -- A locked row is in use: it is left for another call.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c
    where c.rate = p_rate and c.bucket = v_bucket and c.ends <= v_now and c.key <> p_key for update skip locked);
  if (select count(*) from leadpipe.rate_counts where rate = p_rate and bucket = v_bucket and not starts_with(key, 'shared ')) <= 64 then
    -- All admissions in the shared row may have been this client's, so its history begins with them.
    select * into v_shared from leadpipe.rate_counts where rate = p_rate and key = 'shared ' || v_bucket and ends > v_now;
    if found then
      update leadpipe.rate_counts set times = v_shared.times, counts = v_shared.counts, half = v_shared.half, ends = v_shared.ends
      where rate = p_rate and key = p_key returning * into v_row;
    end if;
    return v_row;
  end if;
  delete from leadpipe.rate_counts where rate = p_rate and key = p_key;
  loop
    select * into v_row from leadpipe.rate_counts where rate = p_rate and key = 'shared ' || v_bucket for update;
    exit when found;
    insert into leadpipe.rate_counts (rate, key, bucket) values (p_rate, 'shared ' || v_bucket, v_bucket)
    on conflict (rate, key) do nothing;
  end loop;
  return v_row;
end
$$;

revoke all on function leadpipe.hold_rate(text, text) from public, anon, authenticated;

-- Examines the admissions of a row at a time: those that count, how many they are, and when the next request is allowed
-- or, if one is allowed now, when the first admission expires (null without any). A time in the future, after the clock
-- was set back, is replaced by `p_latest`: the admission was before now, so it counts for no longer than from now.
-- PL/pgSQL keeps the plan of the query; an SQL function would make it again in every transaction, which takes longer
-- than the rest of an admission.
create or replace function leadpipe.judge_rate(
  p_row leadpipe.rate_counts, p_count bigint, p_window bigint, p_now bigint, p_latest bigint,
  out times bigint[], out counts integer[], out used bigint, out frees_at bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  select array_agg(at order by at), array_agg(n order by at), coalesce(max(total), 0),
    min(at) filter (where upto > total - p_count) + p_window
  into times, counts, used, frees_at
  from (
    select at, n, sum(n) over (order by at)::bigint as upto, sum(n) over ()::bigint as total
    from (select least(u.at, p_latest) as at, sum(u.n)::integer as n from unnest(p_row.times, p_row.counts) u(at, n)
          where u.at > p_now - p_window group by 1) live) sums;
end
$$;

revoke all on function leadpipe.judge_rate(leadpipe.rate_counts, bigint, bigint, bigint, bigint) from public, anon, authenticated;

-- Returns the bucket of a key, 0 to 1023. The hash depends on the cluster's identifier, which no client can see, so that
-- none can choose addresses that fill the bucket of another. A stored seed would have to be added by the first call,
-- for which all others would wait.
create or replace function leadpipe.rate_bucket(p_rate text, p_key text) returns smallint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return hashtextextended(p_rate || ' ' || p_key, (select system_identifier from pg_control_system())) & 1023;
end
$$;

revoke all on function leadpipe.rate_bucket(text, text) from public, anon, authenticated;

-- Corrects the counts of a request after its reply. `request` and `guess` are {held, half}: admissions to give back.
-- `guesses` are limits in which one more guess counts: a key that was accepted before is refused now. `accepted` and
-- `refused` are hashes of keys that were accepted, or are no longer. An accepted key is remembered for a day, if its
-- bucket has room. Returns {request}: the state of the request's limit, null if nothing of it was given back.
create or replace function public.settle_request(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_request jsonb;
  v_key text;
  v_row leadpipe.rate_counts;
begin
  if p ? 'request' then
    v_request := leadpipe.give_back_rates(p #> '{request,held}', (p #>> '{request,half}')::boolean);
  end if;
  if p ? 'guess' then
    perform leadpipe.give_back_rates(p #> '{guess,held}', (p #>> '{guess,half}')::boolean);
  end if;
  if p ? 'guesses' then
    perform leadpipe.admit_rates(p -> 'guesses');
  end if;
  for v_key in select distinct jsonb_array_elements_text(p -> 'accepted') order by 1 loop
    v_row := leadpipe.hold_rate('accepted', v_key);
    update leadpipe.rate_counts set ends = leadpipe.unix_milliseconds() + 86400000 where rate = 'accepted' and key = v_row.key and key = v_key;
  end loop;
  delete from leadpipe.rate_counts where rate = 'accepted' and key in (select jsonb_array_elements_text(p -> 'refused'));
  return jsonb_build_object('request', v_request);
end
$$;

revoke all on function public.settle_request(jsonb) from public, anon, authenticated;

grant execute on function public.settle_request(jsonb) to leadpipe_intake, leadpipe_admin, service_role;

-- Returns the current time of the database's clock in Unix milliseconds. It is not the time at which the transaction
-- began, because a call may have waited for a row since then.
create or replace function leadpipe.unix_milliseconds() returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return floor(extract(epoch from clock_timestamp()) * 1000);
end
$$;

revoke all on function leadpipe.unix_milliseconds() from public, anon, authenticated;

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

-- Returns the data for /health. `mayCapture`: the login may store leads. A value is null if its table does not exist.
-- `changedLogins`: the logins of handlers with changed defaults that Leadpipe's calls override, which only a stolen login
-- or a mistake sets. Reads partial indexes only, and writes a temporary file of 100 kB to see whether the disk is full. With
-- `olderThanSeconds`, counts only rows that are at least that old and rounds the worker's time down to a multiple of
-- it, but not to before the worker's start, so that unauthenticated callers cannot see the effect of their own
-- requests. A worker is silent if it has not claimed for a minute while events wait, or for ten minutes.
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
    'mayCapture', has_function_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user), 'public.capture_lead(jsonb)', 'execute'),
    'workerIsSilent', v_has_workers and case when v_unprocessed > 0 then coalesce(v_claimed, '-infinity') < clock_timestamp() - interval '1 minute'
      else v_claimed < clock_timestamp() - interval '10 minutes' end,
    'changedLogins', (
      select coalesce(jsonb_agg(distinct r.rolname order by r.rolname), '[]')
      from pg_db_role_setting s join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) as setting
      where r.rolname in ('leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin')
        and split_part(setting, '=', 1) in ('default_transaction_read_only', 'synchronous_commit', 'idle_session_timeout')),
    'pausedChannels', v_paused, 'workerLastSeen', leadpipe.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'hasRoom', leadpipe.disk_has_room(),
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

revoke all on function public.health_report(jsonb) from public, anon, authenticated;

grant execute on function public.health_report(jsonb) to leadpipe_admin, leadpipe_intake, leadpipe_worker, service_role;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, and workers that have stopped. Also deletes idempotency keys older than 7 days, those made from
-- the content after an hour, and expired rate counts: they no longer have any effect. Without `days`, deletes only
-- these. Unfinished rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000)
-- and 10,000 rate counts, in statements that take milliseconds. `isComplete` is true when nothing is left. Locked rows
-- are left for another call.
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
  v_now constant bigint := leadpipe.unix_milliseconds();
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
  -- Last, because a returning client waits for the lock of its row. Expired rows also make room when new clients arrive. These are of a limit that nobody uses any more.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c where c.ends < v_now limit 10000 for update skip locked);
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;
