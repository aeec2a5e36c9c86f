-- Generated from schemas/ by `make migration`, except for the changes of the two tables. This file can run again at any
-- time.

-- Takes all locks at once or none, and gives them back after each try: captures and claims lock these tables in other
-- orders, so waiting for one table with the lock on another could be a deadlock.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.notification_attempts, public.notification_logs in access exclusive mode;
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

alter table public.notification_attempts reset (fillfactor);

alter table public.notification_logs set (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);

-- First, so that they are not made again.
drop index if exists public.notification_logs_failed_idx;
drop index if exists public.notification_logs_lead_event_id_channel_recipient_key;
drop index if exists public.notification_logs_lead_event_id_idx;
drop index if exists public.notification_logs_sending_idx;

-- In one statement, because it writes the whole table anew. It also drops the indexes on due_at.
alter table public.notification_logs
  drop column if exists due_at,
  drop column if exists is_failed,
  drop column if exists is_held,
  add column if not exists begun_at timestamptz,
  add column due_at timestamptz generated always as (
    case when status in ('pending', 'sending') then coalesce(next_attempt_at, created_at)
      when status = 'failed' then next_attempt_at end) stored,
  add column is_failed boolean generated always as (status = 'failed') stored,
  add column is_held boolean generated always as (leased_by is not null or status = 'sending') stored;

create index if not exists notification_logs_due_idx on public.notification_logs (channel, recipient, due_at)
  where due_at is not null;

drop function if exists leadpipe.plan_events(jsonb,integer,timestamp with time zone);

-- Returns stored JSON as it is put into a reply. A value that readers of the reply could not handle is replaced by
-- {"unreadable": reason}, so that one row never fails a page, a feed or a claim. It may have `p_most` bytes.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.shown(p jsonb, p_most integer default 65536) returns jsonb
language sql stable as $$
  select case
    when pg_catalog.octet_length(p::text) > p_most then pg_catalog.jsonb_build_object('unreadable', pg_catalog.format('it is larger than %s KiB', p_most / 1024))
    when p @? 'strict $.**{17}' then '{"unreadable": "it is nested deeper than 16 levels"}'
    else p end
$$;

revoke all on function leadpipe.shown(jsonb, integer) from public, anon, authenticated;

-- Marks deliveries as being sent. The worker must send only those in `begun`. A delivery in `lost` has an expired
-- lease, or another worker has claimed it. A delivery in `paused` was claimed before its channel was paused, and is
-- released. `paces` has the minimum time between two messages of a channel, in milliseconds: if the channel's turn has
-- come, its oldest delivery begins. The others are in `early`; they are released and due at their turns.
create or replace function public.begin_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
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
    -- A turn more than one gap ahead was set with another pace, or the clock has changed.
    v_next := least(coalesce(v_next, v_now), v_now + v_pace.gap);
    if v_next <= v_now then
      v_next := v_now + v_pace.gap;
      update public.notification_channels n set send_budget = jsonb_build_object('nextAt', v_next) where n.channel = v_pace.channel;
      v_pace.ids := v_pace.ids[2:];
    end if;
    update public.notification_logs d set
      lease_until = null, leased_by = null, updated_at = v_now, next_attempt_at = v_next + (turn.number - 1) * v_pace.gap
    from unnest(v_pace.ids) with ordinality as turn (id, number)
    -- By ids too: the planner would join all deliveries.
    where d.id = turn.id and d.id = any (v_pace.ids);
    v_early := v_early || v_pace.ids;
  end loop;

  with asked as (
    select * from jsonb_to_recordset(p -> 'deliveries') as asked (id uuid, fence bigint)
  ), held as materialized (
    select d.id, d.channel from public.notification_logs d join asked on asked.id = d.id and asked.fence = d.fence
    where d.id = any (v_ids) and d.id <> all (v_early) and d.status = 'pending' and d.lease_until > v_now
    order by d.id for no key update of d
  ), shut as (
    -- Claimed before the channel was paused, or before another delivery became the probe.
    select held.id from held join public.notification_channels n on n.channel = held.channel
    where n.paused_until > v_now or (n.fail_streak > 0 and n.probe is distinct from held.id)
  ), given_back as (
    update public.notification_logs d set lease_until = null, leased_by = null, updated_at = v_now
    where d.id = any (array(select id from shut))
  ), begun as (
    update public.notification_logs d set status = 'sending', lease_until = v_now + v_lease, begun_at = v_now, updated_at = v_now
    where d.id = any (array(select id from held except select id from shut))
    returning d.id, d.retry_count + 1 as attempt
  )
  select jsonb_build_object(
    'begun', coalesce((select jsonb_agg(jsonb_build_object('id', id, 'attempt', attempt) order by id) from begun), '[]'),
    'paused', coalesce((select jsonb_agg(distinct id) from shut), '[]'),
    'early', to_jsonb(v_early),
    'lost', coalesce((select jsonb_agg(distinct id) from asked where id not in (
      select id from begun union all select id from shut union all select unnest(v_early))), '[]'))
  into v_reply;
  return v_reply;
end
$$;

revoke all on function public.begin_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.begin_deliveries(jsonb) to leadpipe_worker, service_role;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. The deliveries of new events are created with their lease,
-- after older ones have taken their part of the limit: a lease that is added later costs another version of the row.
-- So no more events are planned than an open channel can take, or a hundred if no open channel is asked for.
--
-- All functions in this folder that wait for locks take them in one order: events by id, then deliveries, then
-- channels. A claim waits for no row: it skips what another session has locked, so that a session that hangs cannot stop all channels. They select
-- the rows to change by id (`= any`) and disable plans that scan whole tables: a long-lived session keeps a plan that
-- was made while a table was empty until the next analyze. jit is off because the planner cannot estimate how few rows
-- the limits leave, and would spend 25 ms on compiling a query that runs for 1 ms.
create or replace function public.claim_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_batch integer;
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
    from jsonb_array_elements(p -> 'channels') as e
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
    select channel, probe from public.notification_channels
    where fail_streak > 0 and (paused_until is null or paused_until <= v_now)
    order by channel for no key update skip locked) n
  where not exists (select from public.notification_logs d where d.id = n.probe and d.lease_until > v_now);

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

-- Lists deliveries, newest first, filtered by `conversationId`, `status` (a status or a state), `channel`, `class` and
-- `since`. `id` is the conversation whose list is requested. A filter without an index of its own, such as a channel,
-- searches only the next `within` rows (default 100,000). The page can then have fewer rows than its size, or none, and
-- its cursor continues after the searched rows.
create or replace function leadpipe.deliveries_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'notifications', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_state text := p ->> 'status';
  v_status text;
  v_channel public.notification_channel := p ->> 'channel';
  v_class text := p ->> 'class';
  v_since timestamptz := p ->> 'since';
  v_most integer := coalesce((p ->> 'within')::integer, 100000);
  v_within integer;
  v_end record;
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  v_status := case
    when v_state = 'claimed' then 'pending'
    when v_state in ('waiting', 'parked', 'given-up') then 'failed'
    else v_state end;
  -- A small range first: it is enough for frequent values.
  foreach v_within in array array[least(2000, v_most), v_most] loop
    select d.created_at, d.id into v_end from public.notification_logs d
    where v_conversation is null and coalesce(v_channel::text, v_class, v_state) is not null
      and coalesce(v_state, 'sent') in ('sent', 'delivered') and coalesce(v_class, 'delivered') in ('delivered', 'accepted')
      and (v_since is null or d.created_at >= v_since)
      and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
    order by d.created_at desc, d.id desc limit 1 offset v_within - 1;
    v_found := array(
      select d.id from public.notification_logs d
      where (v_conversation is null or d.conversation_id = v_conversation)
        and (v_status is null or d.status = v_status)
        -- Redundant, but these let the planner use the partial indexes.
        and (v_status is distinct from 'pending' or d.due_at is not null)
        and (v_status is distinct from 'failed' or d.is_failed)
        and (v_status is distinct from 'sending' or d.is_held)
        and (v_state is distinct from 'claimed' or d.lease_until > now())
        and (v_state is distinct from 'waiting' or d.next_attempt_at is not null)
        and (coalesce(v_state, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
        and (v_state is distinct from 'parked' or d.outcome_class = 'unknown')
        and (v_state is distinct from 'given-up' or d.outcome_class is distinct from 'unknown')
        and (v_channel is null or d.channel = v_channel)
        and (v_class is null or d.outcome_class = v_class)
        and (v_since is null or d.created_at >= v_since)
        and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
        and (v_end.id is null or (d.created_at, d.id) >= (v_end.created_at, v_end.id))
      order by d.created_at desc, d.id desc limit v_page.size + 1 offset v_page.skip);
    exit when v_end.id is null or cardinality(v_found) > v_page.size;
  end loop;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null then
        (select count(*) from public.notification_logs d where d.conversation_id = v_conversation) end,
      case when cardinality(v_found) > v_page.size then
        (select leadpipe.row_cursor(v_list, d.created_at, d.id) from public.notification_logs d where d.id = v_found[v_page.size])
      else leadpipe.row_cursor(v_list, v_end.created_at, v_end.id) end)
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.delivery_document(to_jsonb(d))
        || jsonb_build_object('eventType', e.event_type, 'subject', d.subject) order by d.created_at desc, d.id desc), '[]')
      from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
      where d.id = any (v_found[:v_page.size])));
end
$$;

revoke all on function leadpipe.deliveries_page(jsonb) from public, anon, authenticated;

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
      select o.id, o.channel, o.paused_before, o.retried_at, o.leased_by, mine.created_at
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
      returning d.id, d.fence, d.retry_count, d.begun_at, o.leased_by, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at,
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
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select c.id from public.conversations c where c.id = any (p_ids) order by c.id for key share skip locked);
end
$$;

revoke all on function leadpipe.hold_conversations(uuid[]) from public, anon, authenticated;

-- Lists the channels in `configured`, a list of {channel, recipient}, and every other channel that has a row, or
-- deliveries that are waiting, being sent or given up. Returns the state of each channel and the numbers of these
-- deliveries.
create or replace function public.list_channels(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  p := leadpipe.authorize(p, 'read');
  return jsonb_build_object('data', (
    select coalesce(jsonb_agg(
      jsonb_build_object(
        'name', c.channel, 'isConfigured', recipients.list <> '[]', 'recipients', recipients.list,
        'state', case when pause.is_on then 'paused' when n.fail_streak > 0 then 'probing' else 'open' end,
        'pausedUntil', leadpipe.iso8601(case when pause.is_on then n.paused_until end), 'waiting', waiting.count,
        'sending', sending.count, 'givenUp', given_up.count, 'oldestDueAt', leadpipe.iso8601(waiting.oldest),
        -- The reason is shown only while the channel is paused or probing.
        'class', case when pause.is_on or n.fail_streak > 0 then n.pause_class end,
        'reason', case when pause.is_on or n.fail_streak > 0 then n.pause_reason end)
      order by c.channel::text), '[]')
    from unnest(enum_range(null::public.notification_channel)) as c (channel)
    left join public.notification_channels n on n.channel = c.channel
    cross join lateral (select coalesce(n.paused_until > v_now, false)) as pause (is_on)
    cross join lateral (select count(*), min(d.due_at) as oldest from public.notification_logs d
                        where d.channel = c.channel and d.due_at is not null and d.status <> 'sending') waiting
    cross join lateral (select count(*) from public.notification_logs d 
                        where d.channel = c.channel and d.is_held and d.status = 'sending') sending
    cross join lateral (select count(*) from public.notification_logs d
                        where d.channel = c.channel and d.is_failed and d.next_attempt_at is null) given_up
    cross join lateral (
      select coalesce(jsonb_agg(e.recipient order by e.recipient), '[]') as list
      from jsonb_to_recordset(p -> 'configured') as e (channel text, recipient text) where e.channel = c.channel::text) recipients
    where n.channel is not null or waiting.count > 0 or sending.count > 0 or given_up.count > 0 or recipients.list <> '[]'));
end
$$;

revoke all on function public.list_channels(jsonb) from public, anon, authenticated;

grant execute on function public.list_channels(jsonb) to leadpipe_admin, service_role;

-- Returns when the next delivery for an entry of `p_channels` is due. Null if none is waiting. `p_probing` lists the
-- channels whose probe this call may claim. An entry with limit 0 is ignored, because its worker has a timer for when
-- it can send again.
create or replace function leadpipe.next_due_at(
  p_channels jsonb, p_probing public.notification_channel[], p_now timestamptz) returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select min(greatest(first.due_at, n.paused_until,
      -- While a probe is being sent, nothing else is due until its lease expires or another probe is chosen.
      case when n.fail_streak > 0 then coalesce(
        (select d.lease_until from public.notification_logs d where d.id = n.probe and d.lease_until > p_now),
        case when n.channel <> all (coalesce(p_probing, '{}')) then p_now + interval '1 second' end) end))
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text, "limit" integer)
    left join public.notification_channels n on n.channel = e.channel::public.notification_channel
    cross join lateral (
      select d.due_at from public.notification_logs d
      where d.channel = e.channel::public.notification_channel and d.recipient = coalesce(e.recipient, 'default')
        and d.due_at is not null and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
      order by d.due_at limit 1
    ) first
    where coalesce(e."limit", 10) > 0);
end
$$;

revoke all on function leadpipe.next_due_at(jsonb, public.notification_channel[], timestamptz) from public, anon, authenticated;

-- Returns for how many seconds a channel had been paused in total at `p_at`, which must not be before the start of the
-- channel's latest pause.
create or replace function leadpipe.paused_seconds(p_channel public.notification_channel, p_at timestamptz) returns double precision
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((select n.paused_seconds
      + coalesce(greatest(extract(epoch from least(p_at, n.paused_until) - n.paused_since), 0), 0)
    from public.notification_channels n where n.channel = p_channel), 0)::double precision;
end
$$;

revoke all on function leadpipe.paused_seconds(public.notification_channel, timestamptz) from public, anon, authenticated;

-- Creates the deliveries of at most `p_most` new events: one for each entry of `p_channels` that includes the event's
-- type. The first deliveries of an entry are created with a lease of `p_worker`, as many as its `room`. Returns how many
-- events have deliveries (`planned`), how many need none and are marked as processed (`unrouted`), and the leased
-- deliveries. Events and conversations that another session has locked are left for a later call.
create or replace function leadpipe.plan_events(
  p_channels jsonb, p_most integer, p_worker text, p_lease interval, p_now timestamptz,
  out planned integer, out unrouted integer, out leased uuid[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
begin
  -- The row of a conversation is locked as the foreign keys of its deliveries lock it, but without waiting.
  v_ids := array(
    select e.id from public.lead_events e
    where e.planned_at is null and (e.conversation_id is null
      or exists (select from public.conversations c where c.id = e.conversation_id for key share skip locked))
    order by e.created_at, e.id limit p_most for no key update of e skip locked);
  if v_ids = '{}' then
    select 0, 0, '{}' into planned, unrouted, leased;
    return;
  end if;

  with entry as materialized (
    select channel::public.notification_channel, coalesce(recipient, 'default') as recipient, events, coalesce(room, 0) as room,
      leadpipe.paused_seconds(channel::public.notification_channel, p_now) as paused
    from jsonb_to_recordset(p_channels) as entry (channel text, recipient text, events text[], room integer)
    where octet_length(coalesce(recipient, '')) <= 1000
  ), planned_events as (
    update public.lead_events e set
      planned_at = p_now, updated_at = p_now,
      processed = e.event_type::text <> all (routed.types), processed_at = case when e.event_type::text <> all (routed.types) then p_now end
    from (
      select array(
        select type::text from unnest(enum_range(null::public.lead_event_type)) as type
        where exists (select from entry where (entry.events is null or type::text = any (entry.events))
                      and (type <> 'newsletter.subscribed' or entry.channel = 'slack'))) as types
    ) routed
    where e.id = any (v_ids)
    returning e.id, e.conversation_id, e.event_type, e.created_at, e.processed
  ), route as (
    select distinct on (e.id, entry.channel, entry.recipient)
      e.id, e.conversation_id, e.created_at, entry.channel, entry.recipient, entry.paused, entry.room
    from planned_events e join entry on (entry.events is null or e.event_type::text = any (entry.events))
      and (e.event_type <> 'newsletter.subscribed' or entry.channel = 'slack')
    where not e.processed
      -- Not `not exists`, which the planner could turn into a join with the whole table.
      and (select d.id from public.notification_logs d where d.lead_event_id = e.id and d.channel = entry.channel
             and d.recipient = entry.recipient and d.replay_of is null limit 1) is null
  ), made as (
    insert into public.notification_logs (
      lead_event_id, conversation_id, channel, recipient, paused_before, created_at, updated_at, fence, leased_by, lease_until)
    select id, conversation_id, channel, recipient, paused, p_now, p_now, is_leased::integer,
      case when is_leased then p_worker end, case when is_leased then p_now + p_lease end
    from (
      select *, row_number() over (partition by channel, recipient order by created_at, id) <= room as is_leased from route
    ) numbered
    returning id, lease_until
  )
  select (select count(*) from planned_events where not processed), (select count(*) from planned_events where processed),
    coalesce((select array_agg(id) from made where lease_until is not null), '{}')
  into planned, unrouted, leased;
end
$$;

revoke all on function leadpipe.plan_events(jsonb, integer, text, interval, timestamptz) from public, anon, authenticated;

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
      next_attempt_at = case when o.status = 'failed' then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then o."finishedAt" else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.retry_count + 1 - o.burned as attempt, d.begun_at, d.lead_event_id, d.conversation_id, d.channel, d.next_attempt_at, d.error_message,
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

-- Releases deliveries that were claimed but not begun. They are due again immediately, and no attempt is used up.
-- Releases the deliveries of `worker`, or only those in `ids`. With `host` and `alive`, it also releases those of other
-- workers on this host (named host:pid) that are not in `alive`. If such a worker is alive after all, it cannot begin
-- the deliveries that it has lost.
create or replace function public.release_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_count integer;
begin
  with mine as materialized (
    select d.id from public.notification_logs d
    where d.is_held and d.status = 'pending' and d.lease_until > v_now
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

revoke all on function public.release_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.release_deliveries(jsonb) to leadpipe_worker, service_role;

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
      and not exists (select from entry where entry.channel = d.channel and entry.recipient = d.recipient)
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

-- Makes failed deliveries due immediately, whether given up or waiting: those in `ids`, or those of a `channel` and
-- optionally a `class`. Each call retries at most 1,000 deliveries, oldest first, and skips those retried since `asOf`.
-- `isComplete` is false while more are left. With `dryRun`, nothing is changed. `by` is the name of the operator.
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
      where d.id = any (v_ids) and d.status = 'failed'
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

-- Updates events from their deliveries, and returns their state. `settled`: no delivery is pending or being sent.
-- `closed`: every delivery is final.
create or replace function leadpipe.settle_events(p_events uuid[])
returns table (event_id uuid, settled boolean, closed boolean, sent text[], failed text[])
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
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

revoke all on function leadpipe.settle_events(uuid[]) from public, anon, authenticated;

-- Returns all data about a delivery or an event. `kind` is delivery, event or none.
create or replace function public.show_delivery(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_reply jsonb;
begin
  select jsonb_build_object(
    'kind', 'delivery', 'now', leadpipe.iso8601(v_now),
    'delivery', leadpipe.delivery_document(to_jsonb(d)),
    'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed),
    'channel', (
      select jsonb_build_object('pausedUntil', leadpipe.iso8601(n.paused_until), 'isPaused', coalesce(n.paused_until > v_now, false),
        'class', n.pause_class, 'reason', n.pause_reason, 'failStreak', n.fail_streak, 'probe', n.probe)
      from public.notification_channels n where n.channel = d.channel),
    'attempts', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'attempt', a.attempt, 'fence', a.fence, 'startedAt', leadpipe.iso8601(a.started_at), 'finishedAt', leadpipe.iso8601(a.finished_at),
        'class', a.class, 'statusCode', a.status_code, 'providerCode', a.provider_code, 'retryAfterSeconds', a.retry_after_seconds,
        'excerpt', a.excerpt, 'worker', a.worker) order by a.fence), '[]')
      from (
        select * from public.notification_attempts ended where ended.delivery = d.id
        union all
        -- The attempt in progress has no row yet.
        select d.id, d.fence, d.retry_count + 1, d.begun_at, null, null, null, null, null, null, d.leased_by
        where d.status = 'sending' and not exists (
          select from public.notification_attempts begun where begun.delivery = d.id and begun.fence = d.fence)) a),
    'replays', (
      select coalesce(jsonb_agg(r.id order by r.created_at), '[]') from public.notification_logs r
      where r.lead_event_id = d.lead_event_id and r.replay_of = d.id),
    'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
  into v_reply
  from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
  where d.id = (p ->> 'id')::uuid;

  if v_reply is null then
    select jsonb_build_object(
      'kind', 'event', 'now', leadpipe.iso8601(v_now),
      'event', jsonb_build_object('id', e.id, 'type', e.event_type, 'at', leadpipe.iso8601(e.created_at), 'processed', e.processed,
        'plannedAt', leadpipe.iso8601(e.planned_at), 'notifies', leadpipe.event_notifies(e.event_type, e.payload)),
      'deliveries', (select coalesce(jsonb_agg(d.id order by d.created_at, d.id), '[]')
                     from public.notification_logs d where d.lead_event_id = e.id),
      'workerLastSeen', (select leadpipe.iso8601(max(last_seen)) from public.workers))
    into v_reply
    from public.lead_events e where e.id = (p ->> 'id')::uuid;
  end if;
  return coalesce(v_reply, jsonb_build_object('kind', 'none'));
end
$$;

revoke all on function public.show_delivery(jsonb) from public, anon, authenticated;

grant execute on function public.show_delivery(jsonb) to leadpipe_admin, service_role;

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
    select count(*) into v_failed from public.notification_logs where is_failed and created_at <= v_before;
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
                        where d.lead_event_id = e.id and d.due_at is not null)
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

CREATE INDEX IF NOT EXISTS notification_logs_failed_idx ON public.notification_logs USING btree (created_at DESC) WHERE is_failed;

CREATE INDEX IF NOT EXISTS notification_logs_held_idx ON public.notification_logs USING btree (leased_by) WHERE is_held;

CREATE UNIQUE INDEX IF NOT EXISTS notification_logs_lead_event_id_channel_recipient_key ON public.notification_logs USING btree (lead_event_id, channel, recipient, (
CASE
    WHEN (replay_of IS NOT NULL) THEN id
    ELSE NULL::uuid
END)) NULLS NOT DISTINCT;

comment on column public.notification_logs.begun_at is 'When the latest attempt began.';

comment on column public.notification_logs.due_at is 'When the delivery can be claimed, regardless of its lease; while it is being sent, when it was due; null once it is final.';

comment on column public.notification_logs.is_failed is 'True if the status is failed, for an index that no other status changes.';

comment on column public.notification_logs.is_held is 'True if a worker has claimed it or is sending it, for an index that the step between the two does not change.';

comment on table public.notification_attempts is 'Every attempt that has ended, append-only. Only a late outcome replaces one: that of an attempt whose outcome was unknown. delivery is notification_logs.id, without a foreign key.';
