-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the lock in short tries, so that claims do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.notification_logs in access exclusive mode;
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

-- Leads that may get a receipt. One that another session has locked waits here.
create table if not exists leadpipe.receipt_queue (
  conversation_id uuid constraint receipt_queue_pkey primary key,
  queued_at timestamptz not null
);

revoke all on table leadpipe.receipt_queue from public, anon, authenticated, service_role;

-- The state of the sweep: one row, whose lock lets one call work at a time, so that the limits are exact.
create table if not exists leadpipe.receipt_sweep (
  is_only boolean constraint receipt_sweep_pkey primary key default true
    constraint receipt_sweep_is_only_check check (is_only),
  seen pg_snapshot,
  tokens double precision not null default 0,
  tokens_at timestamptz not null default '-infinity'
);

revoke all on table leadpipe.receipt_sweep from public, anon, authenticated, service_role;

comment on column leadpipe.receipt_sweep.seen is 'The events that were visible in this snapshot have been read.';

comment on column leadpipe.receipt_sweep.tokens is 'How many receipts could be planned at tokens_at.';

-- The leads for which has been decided whether they get a receipt. There is no foreign key: a deleted lead must not make
-- room for another receipt to its address.
create table if not exists leadpipe.receipts (
  conversation_id uuid constraint receipts_pkey primary key,
  address bytea not null,
  decided_at timestamptz not null,
  reason text,
  bounced_at timestamptz
);

revoke all on table leadpipe.receipts from public, anon, authenticated, service_role;

create index if not exists receipts_address_idx on leadpipe.receipts (address, decided_at);

create index if not exists receipts_decided_at_idx on leadpipe.receipts (decided_at);

comment on column leadpipe.receipts.address is 'The SHA-256 of the normalised address.';

comment on column leadpipe.receipts.reason is 'Why there is no receipt; null if one was planned.';

comment on column leadpipe.receipts.bounced_at is 'When the receipt was refused for good.';

alter table public.notification_logs add column if not exists to_visitor boolean default false not null;

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by
-- show_delivery, its receipt, how it is assigned, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'now', leadpipe.iso8601(clock_timestamp()),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object('metadata', leadpipe.shown(c.metadata)),
    'additions', (
      select coalesce(jsonb_agg(leadpipe.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'undelivered', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', e.id)) order by e.created_at, e.id), '[]')
      from (select e.id, e.created_at from public.lead_events e
            where e.conversation_id = c.id and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'receipt', (select jsonb_build_object('notSent', r.reason, 'at', leadpipe.iso8601(r.decided_at)) from leadpipe.receipts r where r.conversation_id = c.id),
    'assignment', leadpipe.assignment_document(c),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

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
begin
  perform leadpipe.check_size(p, 262144);
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

-- Reclaims deliveries whose worker stopped while sending. Their outcome is unknown. An attempt is used up, so that a
-- delivery that crashes its worker is not sent forever. The deliveries are sent again until `p_horizon` has passed.
-- With `p_parks`, those of channels other than email are parked instead: a repeated email is recognised by its
-- Message-ID, but a repeated message of another channel is not. A receipt is never sent again. Rows that another session has locked are left for a
-- later call. Returns when the next lease of a delivery that is being sent expires.
create or replace function leadpipe.expire_leases(p_parks boolean, p_horizon interval, p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_earliest timestamptz;
  v_events uuid[];
begin
  select min(d.lease_until) into v_earliest from public.notification_logs d
  where d.is_held and d.status = 'sending';
  if v_earliest <= p_now then
    with mine as materialized (
      select e.id, e.created_at from public.lead_events e
      where e.id in (select d.lead_event_id from public.notification_logs d
                     where d.is_held and d.status = 'sending' and d.lease_until <= p_now)
      order by e.id for no key update skip locked
    ), free as materialized (
      select unnest(leadpipe.hold_conversations(array(
        select o.conversation_id from mine join public.notification_logs o on o.lead_event_id = mine.id))) as id
    ), held as materialized (
      select o.id, o.channel, o.to_visitor, o.paused_before, o.retried_at, o.leased_by, mine.created_at
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
          when o.to_visitor then 'It is unknown whether this receipt arrived; it is not sent again.'
          when fate.parked then 'It is unknown whether this arrived; it is parked: `leadpipe delivery retry ' || d.id || '` sends it again'
          when fate.over then 'The worker stopped while sending. It is unknown whether this arrived. The time limit for attempts has passed.'
          else 'The worker stopped while sending. It is unknown whether this arrived. It will be sent again.' end
      from held o cross join lateral (
        select p_parks and o.channel <> 'email' or o.to_visitor as parked, p_now > coalesce(o.retried_at, o.created_at) + p_horizon
          + make_interval(secs => greatest(leadpipe.paused_seconds(o.channel, p_now) - o.paused_before, 0)) as over
      ) fate
      where d.id = o.id and d.status = 'sending' and d.lease_until <= p_now
      returning d.id, d.fence, d.retry_count, d.begun_at, o.leased_by, d.lead_event_id, d.conversation_id, d.channel, d.to_visitor, d.next_attempt_at,
        d.error_message
    ), attempted as (
      insert into public.notification_attempts as a (delivery, fence, attempt, started_at, finished_at, class, worker)
      select id, fence, retry_count, coalesce(begun_at, p_now), p_now, 'unknown', leased_by from lapsed
      -- An earlier version wrote the row when the attempt began.
      on conflict (delivery, fence) do update set finished_at = excluded.finished_at, class = excluded.class
      where a.finished_at is null
    ), evented as (
      insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at)
      select 'notification.failed', conversation_id, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', 'unknown'),
        true, p_now, p_now
      from lapsed where next_attempt_at is null
    ), logged as (
      insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
      select conversation_id, 'notification_sent',
        case when to_visitor then 'Receipt may not have been sent' when p_parks and channel <> 'email' then 'Notification parked: ' else 'Notification failed via ' end || channel,
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
  v_bounced uuid[];  -- the leads whose receipts were refused for good
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
      -- The class config has no limit of time, because somebody corrects the settings. The address of an agent or a visitor may stay wrong.
      next_attempt_at = case when o.status = 'failed'
          and not ((d.to_agent or d.to_visitor) and o.class = 'config' and coalesce(d.retried_at, d.created_at) < v_now - interval '72 hours')
        then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then o."finishedAt" else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.retry_count + 1 - o.burned as attempt, d.begun_at, d.lead_event_id, d.conversation_id, d.channel, d.to_agent, d.to_visitor, d.next_attempt_at, d.error_message,
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
      case when to_visitor then case status when 'sent' then 'Receipt sent' else 'Receipt failed' end
        else case status when 'sent' then 'Notification sent via ' else 'Notification failed via ' end || channel end,
      error_message, jsonb_build_object('deliveryId', id, 'channel', channel, 'class', class)
    from final where conversation_id is not null
  ), paused as (
    -- These two classes affect the whole channel: it is paused until the next attempt. The refusal of an address
    -- of an agent or a visitor, which no setting names, must not stop the messages about new leads; a refused log-in or a failed
    -- connection, which has no status code, does.
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where (class = 'throttled' or class = 'config'
        and (not (to_agent or to_visitor) or coalesce("statusCode" in (401, 530, 534, 535, 538), true))) and next_attempt_at is not null
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
       'class', pause_class) order by channel) from paused where is_new),
    array_agg(conversation_id) filter (where to_visitor and status = 'failed' and class = 'permanent')
  into v_recorded, v_events, v_pauses, v_bounced from changed;
  if v_bounced is not null then
    update leadpipe.receipts r set bounced_at = v_now where r.conversation_id = any (v_bounced);
  end if;

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
      -- No setting names the address of an agent or a visitor.
      and not exists (select from entry where entry.channel = d.channel and (d.to_agent or d.to_visitor or entry.recipient = d.recipient))
      -- Rows that would not change must not use up the limit.
      and (d.status = 'pending' or d.outcome_class is distinct from 'config'
        or (sole.recipient is not null and not d.to_visitor and not exists (
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

-- Makes failed deliveries due immediately, whether given up or waiting: those in `ids`, or those of a `channel` and
-- optionally a `class`. Each call retries at most 1,000 deliveries, oldest first, and skips those retried since `asOf`.
-- `isComplete` is false while more are left. A receipt is not sent again if it may have arrived, was refused or cancelled. With `dryRun`, nothing is changed. `by` is the name of the operator.
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
    where d.is_failed
      and (d.next_attempt_at is null or d.next_attempt_at > v_now)
      and (d.retried_at is null or d.retried_at < v_as_of)
      and not leadpipe.is_erased(d.lead_event_id) and leadpipe.can_be_sent_again(d.recipient, d.to_agent)
      and (not d.to_visitor or d.outcome_class in ('retry', 'throttled', 'config'))
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
      where d.id = any (v_ids) and d.status = 'failed' and not leadpipe.is_erased(d.lead_event_id)
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
    when (select leadpipe.is_erased(d.lead_event_id) from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'notification_erased'
    when (select d.to_visitor and d.next_attempt_at is null from public.notification_logs d where d.id = (p ->> 'id')::uuid) then 'receipt_final'
    else 'notification_due' end;
end
$$;

revoke all on function public.retry_delivery(jsonb) from public, anon, authenticated;

grant execute on function public.retry_delivery(jsonb) to leadpipe_admin, service_role;

-- Returns the entries of a claim, from with_agents, and one for each of at most two visitors whose receipts are due first.
-- There are none while a message for the team or an agent is due or an event is to be planned, so that receipts delay
-- nothing else. The receipts of leads that were closed, set aside or erased meanwhile are cancelled.
create or replace function leadpipe.with_visitors(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ended uuid[];
  v_visitors text[];
  v_room integer;
begin
  if not exists (select from public.notification_logs d where d.to_visitor and d.due_at is not null) then
    return p_channels;
  end if;
  v_ended := array(
    select due.id from (
      select d.id, d.conversation_id from public.notification_logs d
      where d.to_visitor and d.due_at <= p_now and d.status <> 'sending' order by d.due_at limit 100) due
    where not exists (select from public.conversations c where c.id = due.conversation_id and c.status in ('new', 'in-progress') and c.erased_at is null));
  if v_ended <> '{}' then
    perform leadpipe.cancel_deliveries(v_ended, 'cancelled: the lead is not open any more');
  end if;

  select sum(greatest(coalesce(e."limit", 10), 0)) into v_room
  from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) where e.channel = 'email';
  if coalesce(v_room, 0) = 0
    or exists (select from public.lead_events e where e.planned_at is null)
    or exists (
      select from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
      where e.channel = 'email' and exists (
        select from public.notification_logs d
        where d.channel = 'email' and d.recipient = coalesce(e.recipient, 'default') and d.due_at <= p_now and d.status <> 'sending'
          and not d.to_visitor and (d.lease_until is null or d.lease_until <= p_now)))
  then
    return p_channels;
  end if;
  select array_agg(first.recipient) into v_visitors from (
    select waiting.recipient from (
      select d.recipient, d.due_at from public.notification_logs d
      where d.to_visitor and d.due_at is not null and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 100) waiting
    where waiting.recipient not in (
      select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where e.channel = 'email')
    group by waiting.recipient order by min(waiting.due_at) limit least(v_room, 2)) first;
  if v_visitors is null then
    return p_channels;
  end if;
  return p_channels || (
    select jsonb_agg(jsonb_build_object('channel', 'email', 'recipient', visitor, 'limit', 1, 'events', '[]'::jsonb))
    from unnest(v_visitors) as visitor);
end
$$;

revoke all on function leadpipe.with_visitors(jsonb, timestamptz) from public, anon, authenticated;

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
  v_digests uuid[];
  v_locked uuid[];
  v_cancelled integer := 0;
  v_words text[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    v_digests := array(select leadpipe.digests_about(p_ids));
    v_locked := array(
      select e.id from public.lead_events e where e.conversation_id = any (p_ids) or e.id = any (v_digests) order by e.id for update);
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (p_ids) and e.id = any (v_locked));
  end if;
  perform from public.conversations c where c.id = any (p_ids) order by c.id for no key update;
  v_now := clock_timestamp();
  if to_regclass('public.lead_events') is not null then
    -- A capture or a digest that held the lock on a conversation has added an event, which is not locked.
    if exists (select from public.lead_events e where e.conversation_id = any (p_ids) and e.id <> all (v_events))
      or exists (select from leadpipe.digests_about(p_ids) as d (id) where d.id <> all (v_locked)) then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    select count(*) into v_cancelled from public.notification_logs d where d.lead_event_id = any (v_events) and d.due_at is not null;
    update public.notification_logs d set
      subject = null, payload = null, updated_at = v_now,
      -- The team's address, unless it is a receipt or another program has written to the customer.
      recipient = case when d.to_visitor or exists (
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
    perform leadpipe.erase_digests(v_digests, p_ids, v_now);
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
  delete from leadpipe.receipts where conversation_id = any (p_ids);
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

-- Decides whether a new lead gets a receipt, once: as soon as it has an email address, within an hour of its creation.
-- Returns `planned` with an event and its delivery, `limited` with an event that says why there is none, `none` if it gets
-- none, or has one, or `locked` if another session has locked the lead. `p_may_plan` is false if the limit for all
-- receipts has been reached.
--
-- A lead that is not new any more, that was erased, or whose event was born processed gets none. Neither do test leads
-- of `leadpipe check`, and addresses of services, whose answers nobody reads.
create or replace function leadpipe.plan_receipt(p_id uuid, p_may_plan boolean, p_now timestamptz) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_address text;
  v_hash bytea;
  v_reason text;
  v_event uuid;
begin
  -- As an erasure locks it, which removes what was planned before and makes this function see what it has done.
  select * into c from public.conversations o where o.id = p_id for no key update skip locked;
  if not found then
    return case when exists (select from public.conversations o where o.id = p_id) then 'locked' else 'none' end;
  end if;
  v_address := leadpipe.agent_address(c.customer_email);
  if v_address is null or c.status <> 'new' or c.erased_at is not null or c.created_at <= p_now - interval '1 hour'
    or leadpipe.is_test_lead(c.id, c.customer_name, c.metadata)
    or coalesce(c.source, '') not in ('chatbot', 'contact_form', 'property_inquiry', 'sell_submission')
    or lower(v_address) ~ '^(mailer-daemon|postmaster|abuse|no-?reply|do-?not-?reply|bounces?)([+.-][^@]*)?@'
    or exists (select from leadpipe.receipts r where r.conversation_id = p_id)
    or not exists (select from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created'
                   and e.planned_at is distinct from e.created_at)
  then
    return 'none';
  end if;

  v_hash := sha256(convert_to(leadpipe.receipt_address(v_address), 'UTF8'));
  v_reason := coalesce(leadpipe.refuse_receipt(v_hash, p_now),
    case when not p_may_plan then 'the limit for all receipts in a minute was reached' end);
  insert into leadpipe.receipts (conversation_id, address, decided_at, reason) values (p_id, v_hash, p_now, v_reason);
  insert into public.lead_events (event_type, conversation_id, payload, processed, processed_at, planned_at, created_at, updated_at, request_id)
  select 'lead.receipt', p_id, jsonb_strip_nulls(jsonb_build_object('source', c.source,
      'language', case when lower(c.metadata ->> 'language') ~ '^ar([-_]|$)' then 'ar' else 'en' end, 'notSent', v_reason)),
    v_reason is not null, case when v_reason is not null then p_now end, p_now, p_now, p_now,
    (select e.request_id from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created' order by e.created_at limit 1)
  returning id into v_event;
  if v_reason is not null then
    insert into public.conversation_timeline (conversation_id, event_type, title, description)
    values (p_id, 'notification_sent', 'No receipt for the visitor', v_reason);
    return 'limited';
  end if;
  insert into public.notification_logs (lead_event_id, event_at, conversation_id, channel, recipient, to_visitor, paused_before, created_at, updated_at)
  values (v_event, p_now, p_id, 'email', v_address, true, leadpipe.paused_seconds('email', p_now), p_now, p_now);
  return 'planned';
end
$$;

revoke all on function leadpipe.plan_receipt(uuid, boolean, timestamptz) from public, anon, authenticated;

-- Queues the leads of the events that have become visible since the snapshot `p_seen`, of at most the latest 20,000, and
-- returns the current snapshot. Without `p_seen`, and after a restore into another cluster, it queues none. Comparing
-- snapshots misses no event, and a long transaction does not delay others. The address may come after the lead, so an
-- addition counts too; see plan_receipt.
create or replace function leadpipe.queue_receipts(p_seen pg_snapshot, p_now timestamptz) returns pg_snapshot
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 20000;
  v_here constant pg_snapshot := pg_current_snapshot();
begin
  if p_seen is null or pg_snapshot_xmax(p_seen) > pg_snapshot_xmax(v_here) then
    return v_here;
  end if;
  insert into leadpipe.receipt_queue (conversation_id, queued_at)
  select distinct c.id, p_now
  from (
    (select e.conversation_id, e.event_type, e.xact from public.lead_events e
     where e.xact >= pg_snapshot_xmax(p_seen) and e.xact < pg_snapshot_xmax(v_here) order by e.xact desc limit c_most)
    union all
    select e.conversation_id, e.event_type, e.xact from public.lead_events e
    where e.xact = any (array(select pg_snapshot_xip(p_seen)))
  ) e join public.conversations c on c.id = e.conversation_id
  where pg_visible_in_snapshot(e.xact, v_here) and e.event_type in ('lead.created', 'lead.updated')
    -- As plan_receipt decides, which locks the lead: most additions need no decision.
    and c.status = 'new' and c.customer_email is not null and c.created_at > p_now - interval '1 hour'
    and not exists (select from leadpipe.receipts r where r.conversation_id = c.id)
  on conflict (conversation_id) do nothing;
  return v_here;
end
$$;

revoke all on function leadpipe.queue_receipts(pg_snapshot, timestamptz) from public, anon, authenticated;

-- Returns an address in the form by which receipts are counted, so that its other spellings count as the same: in lower
-- case, without what follows a +, and for Gmail without dots.
create or replace function leadpipe.receipt_address(p_email text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when domain in ('gmail.com', 'googlemail.com') then replace(name, '.', '') || '@gmail.com' else name || '@' || domain end
  from (select split_part(split_part(lower(p_email), '@', 1), '+', 1) as name, rtrim(split_part(lower(p_email), '@', 2), '.') as domain) parts
$$;

revoke all on function leadpipe.receipt_address(text) from public, anon, authenticated;

-- Returns why an address gets no receipt now; null if it may get one. `p_address` is its SHA-256, as in receipts. Receipts
-- that were refused do not count.
create or replace function leadpipe.refuse_receipt(p_address bytea, p_now timestamptz) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- A clock that ran ahead must not close an address for longer than the limits say.
  update leadpipe.receipts r set decided_at = p_now where r.address = p_address and r.decided_at > p_now;
  return case
    when exists (select from leadpipe.receipts r where r.address = p_address and r.bounced_at is not null) then
      'an earlier receipt to this address was refused for good'
    when exists (select from leadpipe.receipts r
                 where r.address = p_address and r.reason is null and r.decided_at > p_now - interval '24 hours') then
      'this address has had a receipt in the last 24 hours'
    when (select count(*) from leadpipe.receipts r
          where r.address = p_address and r.reason is null and r.decided_at > p_now - interval '30 days') >= 5 then
      'this address has had five receipts in the last 30 days' end;
end
$$;

revoke all on function leadpipe.refuse_receipt(bytea, timestamptz) from public, anon, authenticated;

-- Plans the receipts of new leads, in one small batch: at most `batch` (default 50, at most 500). `channels` has the
-- configured channels and recipients: without email there are no receipts. At most `perMinute` (default 20) receipts are
-- planned in a minute; an address gets at most one in 24 hours and five in 30 days.
--
-- Returns how many receipts were planned (`planned`), how many were not because of a limit (`limited`), how many leads
-- another session has locked (`waiting`), and whether nothing else is left (`isComplete`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row. The first call of all plans none: it finds out where to begin.
create or replace function public.sweep_receipts(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 50), 1), 500);
  v_most constant integer := least(greatest(coalesce((p ->> 'perMinute')::integer, 20), 1), 10000);
  v_now timestamptz;
  v_nothing constant jsonb := '{"planned": 0, "limited": 0, "waiting": 0, "isBusy": false, "isComplete": true}';
  s leadpipe.receipt_sweep;
  v_row record;
  v_outcome text;
  v_done uuid[] := '{}';
  v_read integer := 0;
  v_planned integer := 0;
  v_limited integer := 0;
  v_waiting integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null
    or to_regclass('public.notification_logs') is null then
    return v_nothing;
  end if;
  insert into leadpipe.receipt_sweep (is_only) select true where not exists (select from leadpipe.receipt_sweep) on conflict do nothing;
  select * into s from leadpipe.receipt_sweep for no key update skip locked;
  if not found then
    return v_nothing || '{"isBusy": true, "isComplete": false}';
  end if;
  v_now := clock_timestamp();
  s.seen := leadpipe.queue_receipts(s.seen, v_now);
  if not coalesce(p -> 'channels', '[]') @> '[{"channel": "email"}]' then
    delete from leadpipe.receipt_queue where true;
  end if;

  -- A clock that was set back grants nothing.
  s.tokens := case when s.tokens_at = '-infinity' then v_most when s.tokens_at > v_now then least(s.tokens, v_most)
    else least(s.tokens + v_most * extract(epoch from v_now - s.tokens_at) / 60, v_most) end;
  for v_row in select q.conversation_id as id, q.queued_at from leadpipe.receipt_queue q order by q.queued_at, q.conversation_id limit v_batch loop
    v_read := v_read + 1;
    v_outcome := leadpipe.plan_receipt(v_row.id, s.tokens >= 1, v_now);
    if v_outcome = 'locked' then
      v_waiting := v_waiting + 1;
      -- Behind the others, so that leads that stay locked do not stop them.
      update leadpipe.receipt_queue q set queued_at = v_now where q.conversation_id = v_row.id;
      continue;
    end if;
    v_done := v_done || v_row.id;
    v_planned := v_planned + (v_outcome = 'planned')::integer;
    v_limited := v_limited + (v_outcome = 'limited')::integer;
    s.tokens := s.tokens - (v_outcome = 'planned')::integer;
  end loop;
  delete from leadpipe.receipt_queue q where q.conversation_id = any (v_done);
  update leadpipe.receipt_sweep set seen = s.seen, tokens = s.tokens, tokens_at = v_now where is_only;

  -- What counts for no limit any more. A refusal is remembered for a year.
  delete from leadpipe.receipts where conversation_id in (
    select r.conversation_id from leadpipe.receipts r
    where r.decided_at < v_now - interval '31 days' and (r.bounced_at is null or r.decided_at < v_now - interval '1 year')
    order by r.decided_at limit 100 for update skip locked);
  return jsonb_build_object('planned', v_planned, 'limited', v_limited, 'waiting', v_waiting, 'isBusy', false,
    'isComplete', v_read < v_batch);
end
$$;

revoke all on function public.sweep_receipts(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_receipts(jsonb) to leadpipe_worker, service_role;

CREATE INDEX IF NOT EXISTS notification_logs_visitors_idx ON public.notification_logs USING btree (due_at) WHERE (to_visitor AND (due_at IS NOT NULL));

comment on column public.notification_logs.to_visitor is 'True for a receipt: the recipient is the address that a visitor has given.';
