-- Generated from schemas/ by `make migration`, except for the lock and for event_at. This file can run again at any time.
-- While it has the lock, it reads notification_logs once for the new index: about a second for a million deliveries.
-- Claims wait for it, captures do not: the next file, which locks lead_events, takes a moment.

-- Gives up after 0.2 s and tries again, so that a long transaction that reads the table does not stop the worker.
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

alter table public.notification_logs add column if not exists event_at timestamp with time zone;

-- Unfinished deliveries only: the others are not in the new index. The trigger would set updated_at to now if it stayed the
-- same, and the order of these times shows which error is the latest.
update public.notification_logs d set event_at = e.created_at, updated_at = d.updated_at + interval '1 microsecond'
from public.lead_events e
where e.id = d.lead_event_id and d.due_at is not null and d.event_at is null;

-- Raises lead_too_large if an argument of capture_lead exceeds what can be shown later. Its handlers have checked it
-- with lower limits; this is for a caller that has only stolen their login. Times must be from 1970 to 9999, numbers at
-- most 1e200, and nesting at most 16 levels. The sizes of single fields are not checked in a small argument, which
-- cannot exceed them: this runs for every lead. Of `idempotency`, only the key is stored and counts.
--
-- For the same reason, what most leads have is checked by expressions without a query, which cost a tenth of one. Each
-- large member is checked on its own, because `p - 'x'` copies all others.
create or replace function leadpipe.check_lead(p jsonb) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c_first constant timestamptz := '1970-01-01 00:00Z';
  c_last constant timestamptz := '9999-12-31 23:59Z';
  v_lead constant jsonb := p -> 'lead';
  v_event constant jsonb := coalesce(p -> 'event', '{}');
  v_messages constant jsonb := coalesce(p -> 'messages', '[]');
  v_rest constant jsonb := p - '{idempotency,lead,messages,event}'::text[];
  v_size constant integer := coalesce(octet_length(v_lead::text), 0) + octet_length(v_event::text) + octet_length(v_messages::text)
    + octet_length(v_rest::text) + coalesce(octet_length(p #>> '{idempotency,key}'), 0);
  v_message jsonb;
  v_is_large boolean;
begin
  -- abs() fails for anything that is not a number, and a filter that fails counts as false.
  v_is_large := v_size > 2097152
    or v_lead @? 'strict $.**{16}' or v_event @? 'strict $.**{16}' or v_messages @? 'strict $.**{16}' or v_rest @? 'strict $.**{17}'
    or v_lead @? 'strict $.** ? (@.abs() > 1e200)' or v_event @? 'strict $.** ? (@.abs() > 1e200)'
    or v_messages @? 'strict $.** ? (@.abs() > 1e200)' or v_rest @? 'strict $.** ? (@.abs() > 1e200)'
    or coalesce(jsonb_typeof(v_lead -> 'budgetAmount'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMin'), 'null') not in ('number', 'null')
    or coalesce(jsonb_typeof(v_lead -> 'budgetMax'), 'null') not in ('number', 'null')
    or (p ->> 'receivedAt')::timestamptz not between c_first and c_last
    or (v_lead ->> 'slaDeadline')::timestamptz not between c_first and c_last
    or (v_lead ->> 'startTime')::timestamptz not between c_first and c_last
    or (v_lead ->> 'endTime')::timestamptz not between c_first and c_last
    or jsonb_typeof(v_messages) = 'array' and jsonb_array_length(v_messages) > 1000;
  if v_is_large is not true and coalesce(jsonb_typeof(v_lead -> 'slaDeadlines'), 'null') <> 'null' then
    v_is_large := exists (
      select from jsonb_each_text(v_lead -> 'slaDeadlines') as sent where value::timestamptz not between c_first and c_last);
  end if;
  if v_is_large is not true then
    for n in 0 .. case when jsonb_typeof(v_messages) = 'array' then jsonb_array_length(v_messages) else 0 end - 1 loop
      v_message := v_messages -> n;
      -- Ids are in an index, whose entries are smaller.
      v_is_large := (v_message ->> 'timestamp')::timestamptz not between c_first and c_last or octet_length(v_message ->> 'id') > 1000;
      exit when v_is_large;
    end loop;
  end if;
  if v_is_large is not true and v_size > 4000 then
    v_is_large := octet_length(v_event::text) > 65536
      or exists (
        select from jsonb_each(v_lead) as field where octet_length(value::text) > case
          when jsonb_typeof(value) = 'object' or key = 'deviceInfo' then 65536 when key = 'notes' then 80000 when key = 'tags' then 40000 else 4000 end)
      or exists (select from jsonb_each(v_rest) as field where octet_length(value::text) > 4000)
      or exists (
        select from jsonb_array_elements(case when jsonb_typeof(v_messages) = 'array' then v_messages else '[]' end) as sent (m), jsonb_each(case when jsonb_typeof(m) = 'object' then m else '{}' end) as field
        where octet_length(value::text) > case when key in ('text', 'metadata') then 65536 else 4000 end);
  end if;
  if v_is_large then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;

revoke all on function leadpipe.check_lead(jsonb) from public, anon, authenticated;

-- Raises lead_too_large if an argument has more than `p_most` bytes, more than 16 levels or a number beyond 1e200: what
-- it would store could not be shown. Handlers have checked it with lower limits; this is for a caller that has only
-- stolen their login.
create or replace function leadpipe.check_size(p jsonb, p_most integer) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- abs() of anything else than a number is an error, which a filter takes for false.
  if octet_length(p::text) > p_most or p @? 'strict $.**{17}' or p @? 'strict $.** ? (@.abs() > 1e200)'
  then
    raise exception using errcode = 'LP400', message = 'lead_too_large';
  end if;
end
$$;

revoke all on function leadpipe.check_size(jsonb, integer) from public, anon, authenticated;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. The deliveries of new events are created with their lease,
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
    'nextDueInMs', case when v_next is not null then greatest(ceil(extract(epoch from v_next - clock_timestamp()) * 1000), 0) end);
end
$$;

revoke all on function public.claim_deliveries(jsonb) from public, anon, authenticated;

grant execute on function public.claim_deliveries(jsonb) to leadpipe_worker, service_role;

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
      lead_event_id, event_at, conversation_id, channel, recipient, paused_before, created_at, updated_at, fence, leased_by, lease_until)
    select id, created_at, conversation_id, channel, recipient, paused, p_now, p_now, is_leased::integer,
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

-- Lists events, newest first, filtered by `conversationId`, `type` (a list), `processed`, `since` and `until`. `id` is
-- the conversation whose list is requested.
create or replace function leadpipe.events_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'events', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_types public.lead_event_type[] := case when p ? 'type' then array(select jsonb_array_elements_text(p -> 'type')) end;
  v_processed boolean := p ->> 'processed';
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  if v_since >= v_until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "until", "other": "since"}';
  end if;
  if v_conversation is null and v_processed = false then
    -- Those that have no deliveries yet, and those with an unfinished one.
    v_found := array(
      select waiting.id from (
        (select e.created_at, e.id from public.lead_events e
         where e.planned_at is null and not e.processed and (v_types is null or e.event_type = any (v_types))
           and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
           and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
         order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip)
        union
        (select e.created_at, e.id
         from (select distinct d.event_at, d.lead_event_id from public.notification_logs d
               where d.due_at is not null and d.event_at is not null
                 and (v_since is null or d.event_at >= v_since) and (v_until is null or d.event_at < v_until)
                 and (v_at is null or (d.event_at, d.lead_event_id) < (v_at, v_id))
               order by d.event_at desc, d.lead_event_id desc) d
         -- `offset 0`: looked up one by one, in this order.
         cross join lateral (
           select e.created_at, e.id from public.lead_events e
           where e.id = d.lead_event_id and not e.processed and (v_types is null or e.event_type = any (v_types)) offset 0) e
         order by d.event_at desc, d.lead_event_id desc limit v_page.size + 1 + v_page.skip)
        union
        -- An earlier version of this schema did not copy the time.
        (select e.created_at, e.id from public.lead_events e
         where e.id in (select d.lead_event_id from public.notification_logs d where d.due_at is not null and d.event_at is null)
           and not e.processed and (v_types is null or e.event_type = any (v_types))
           and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
           and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
         order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip)) waiting
      order by waiting.created_at desc, waiting.id desc limit v_page.size + 1 offset v_page.skip);
  elsif v_conversation is not null then
    v_found := array(
      select e.id from public.lead_events e
      where e.conversation_id = v_conversation
        and (v_types is null or e.event_type = any (v_types))
        and (v_processed is null or e.processed = v_processed)
        and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
        and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  else
    v_found := array(
      select e.id
      from (select distinct type from unnest(coalesce(v_types, enum_range(null::public.lead_event_type))) as type) types
      cross join lateral (
        select e.id, e.created_at from public.lead_events e
        where e.event_type = types.type
          and (v_processed is null or e.processed)
          and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
          and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
        order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip) e
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  end if;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null and v_types is null then
        (select count(*) from public.lead_events e where e.conversation_id = v_conversation) end,
      (select leadpipe.row_cursor(v_list, e.created_at, e.id) from public.lead_events e
       where e.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.event_document(to_jsonb(e)) order by e.created_at desc, e.id desc), '[]')
      from public.lead_events e where e.id = any (v_found[:v_page.size])));
end
$$;

revoke all on function leadpipe.events_page(jsonb) from public, anon, authenticated;

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
    where planned_at is null and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select v_unprocessed + count(*), least(v_oldest, min(event_at)) into v_unprocessed, v_oldest from (
      select d.event_at from public.notification_logs d
      where d.due_at is not null and d.event_at <= v_before group by d.event_at, d.lead_event_id
      union all
      -- An earlier version of this schema did not copy the time.
      select e.created_at from public.lead_events e
      where e.created_at <= v_before and e.id in (
        select d.lead_event_id from public.notification_logs d where d.due_at is not null and d.event_at is null)) planned;
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
  v_type public.lead_event_type;
  v_old uuid[] := '{}';
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
    -- An event is never finished before it was added: the first condition lets the planner use the index.
    foreach v_type in array enum_range(null::public.lead_event_type) loop
      v_old := v_old || array(
        select e.id from public.lead_events e
        where e.event_type = v_type and e.created_at < v_before and e.processed and e.processed_at < v_before
          and not exists (select from public.notification_logs d
                          where d.lead_event_id = e.id and d.due_at is not null)
        order by e.created_at, e.id limit v_batch / 10 - cardinality(v_old) for update of e skip locked);
    end loop;
    if v_old <> '{}' then
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

CREATE INDEX IF NOT EXISTS notification_logs_open_idx ON public.notification_logs USING btree (event_at, lead_event_id) WHERE (due_at IS NOT NULL);

comment on column public.notification_logs.event_at is 'lead_events.created_at of the event; null if the delivery was created by an earlier version of this schema.';
