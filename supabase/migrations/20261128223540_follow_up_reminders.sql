-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the locks in short tries, so that claims and changes of follow-ups do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.notification_logs, public.follow_up_tasks in access exclusive mode;
      lock table public.lead_events in share mode;
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

-- How many reminders each agent may still get now, and those that the next summary reports. The recipient is
-- agents.id, or zero for the office. There is no foreign key: the sweep sums up for the office what a deleted agent was
-- to be reminded of.
create table if not exists leadpipe.follow_up_reminders (
  recipient uuid constraint follow_up_reminders_pkey primary key,
  own_left double precision not null,
  own_at timestamptz not null,
  summed integer not null default 0,
  oldest timestamptz,
  summed_at timestamptz not null default '-infinity'
);

revoke all on table leadpipe.follow_up_reminders from public, anon, authenticated, service_role;

comment on column leadpipe.follow_up_reminders.own_left is 'How many reminders could have a message of their own at own_at.';

comment on column leadpipe.follow_up_reminders.summed is 'How many reminders the next summary reports.';

comment on column leadpipe.follow_up_reminders.oldest is 'The earliest time of these follow-ups.';

comment on column leadpipe.follow_up_reminders.summed_at is 'When the last summary was emitted.';

-- The state of the follow-up sweep (docs/how-to/follow-up-reminders.md): one row, whose lock lets one sweep run at a
-- time. Only functions read it and the next table.
create table if not exists leadpipe.follow_up_sweep (
  is_only boolean constraint follow_up_sweep_pkey primary key default true
    constraint follow_up_sweep_is_only_check check (is_only),
  digested_on date
);

revoke all on table leadpipe.follow_up_sweep from public, anon, authenticated, service_role;

comment on column leadpipe.follow_up_sweep.digested_on is 'The latest day, in the agency''s time zone, whose digests have been made.';

alter table public.follow_up_tasks add column if not exists notify_customer boolean default false not null;

alter table public.follow_up_tasks add column if not exists reminded_for timestamp with time zone;

alter table public.notification_logs add column if not exists to_agent boolean default false not null;

-- Plans new events, reclaims deliveries whose worker has died, and leases due deliveries: for each entry of `channels`
-- at most `limit` (default 10), and none of a paused channel. Deliveries to agents share these limits. The deliveries of new events are created with their lease,
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

  v_channels := leadpipe.with_agents(p -> 'channels', v_now);

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
      -- No setting names an agent's address.
      and not exists (select from entry where entry.channel = d.channel and (d.to_agent or entry.recipient = d.recipient))
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

-- Returns the entries of a claim's `channels` and one for each agent who has an unfinished delivery, at an address that
-- no entry has: those that are due first. They share the limit of their channel with its other entries, half and half.
-- Their list of events is empty, because the deliveries of agents are created with their events.
create or replace function leadpipe.with_agents(p_channels jsonb, p_now timestamptz) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_entries jsonb := p_channels;
  v record;
  v_agents text[];
  v_due integer;
begin
  if not exists (select from public.notification_logs d where d.to_agent and d.due_at is not null) then
    return p_channels;
  end if;
  for v in
    select e.channel, count(*) as entries, sum(greatest(coalesce(e."limit", 10), 0)) as total
    from jsonb_to_recordset(p_channels) as e (channel text, "limit" integer) group by e.channel
  loop
    select coalesce(array_agg(first.recipient order by first.at), '{}'), count(*) filter (where first.at <= p_now)
    into v_agents, v_due
    from (
      select waiting.recipient, min(waiting.due_at) as at
      from (
        select d.recipient, d.due_at from public.notification_logs d
        where d.to_agent and d.due_at is not null and d.channel = v.channel::public.notification_channel
          and d.status <> 'sending' and (d.lease_until is null or d.lease_until <= p_now)
        order by d.due_at limit 1000) waiting
      where waiting.recipient not in (
        select coalesce(e.recipient, 'default') from jsonb_to_recordset(p_channels) as e (channel text, recipient text)
        where e.channel = v.channel)
      group by waiting.recipient
      -- A random half of an odd number, so that a limit of 1 is for either.
      order by 2 limit (v.total + (random() < 0.5)::integer) / 2
    ) first;
    continue when v_agents = '{}';
    select jsonb_agg(case when e.value ->> 'channel' = v.channel then e.value || jsonb_build_object(
        'limit', greatest(coalesce((e.value ->> 'limit')::integer, 10) - ceil(v_due::numeric / v.entries)::integer, 0)) else e.value end)
    into v_entries from jsonb_array_elements(v_entries) as e;
    v_entries := v_entries || (
      select jsonb_agg(jsonb_build_object('channel', v.channel, 'recipient', agent, 'limit', 1, 'events', '[]'::jsonb))
      from unnest(v_agents) as agent);
  end loop;
  return v_entries;
end
$$;

revoke all on function leadpipe.with_agents(jsonb, timestamptz) from public, anon, authenticated;

-- Returns an agent's email address if it can be used in a header; otherwise null.
create or replace function leadpipe.agent_address(p_email text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select p_email where octet_length(p_email) <= 254
    and p_email ~ '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]+$'
$$;

revoke all on function leadpipe.agent_address(text) from public, anon, authenticated;

-- Returns where a message for an agent goes, given the configured channels: to the agent's address, or without one to
-- the office's recipients of email. If email is not configured, all other recipients get it, and an entry with a
-- `reason` says so: its delivery fails at once.
create or replace function leadpipe.agent_routes(p_address text, p_channels jsonb)
returns table (channel public.notification_channel, recipient text, to_agent boolean, reason text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with office as materialized (
    select distinct e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where octet_length(coalesce(e.recipient, '')) <= 1000
  ), mail as materialized (
    select exists (select from office where office.channel = 'email') as is_configured
  )
  select 'email'::public.notification_channel, p_address, true, null::text from mail where is_configured and p_address is not null
  union all
  select office.channel, office.recipient, false, null from office, mail
  where not is_configured or p_address is null and office.channel = 'email'
  union all
  select 'email', coalesce(p_address, 'default'), p_address is not null,
    'email is not configured: set EMAIL_HOST or RESEND_API_KEY; the configured channels have got the message instead'
  from mail where not is_configured
$$;

revoke all on function leadpipe.agent_routes(text, jsonb) from public, anon, authenticated;

-- Creates the deliveries of an event without a conversation that is for one agent. See agent_routes.
create or replace function leadpipe.plan_for_agent(p_event uuid, p_address text, p_channels jsonb, p_now timestamptz) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into public.notification_logs (lead_event_id, event_at, channel, recipient, to_agent, status, outcome_class, error_message,
    paused_before, created_at, updated_at)
  select p_event, p_now, channel, recipient, to_agent, case when reason is null then 'pending' else 'failed' end,
    case when reason is not null then 'permanent' end, reason, leadpipe.paused_seconds(channel, p_now), p_now, p_now
  from leadpipe.agent_routes(p_address, p_channels)
$$;

revoke all on function leadpipe.plan_for_agent(uuid, text, jsonb, timestamptz) from public, anon, authenticated;

-- Schedules a follow-up. Without `assignedAgentId`, it is assigned to the conversation's agent. A trigger keeps the
-- conversation's follow_up_date true.
--
-- All functions that work with leads take locks in one order: the agent, then conversations by id, then follow-ups by
-- id. Writing a row that references an agent also locks the agent's row.
create or replace function public.create_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_agent uuid;
  c public.conversations;
  f record;
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    v_agent := (leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid)).id;
  else
    -- The conversation's current agent; null if the agent is deleted at the same time.
    select a.id into v_agent from public.agents a
    where a.id = (select s.assigned_agent_id from public.conversations s where s.id = (p ->> 'id')::uuid) for key share;
  end if;
  c := leadpipe.lock_conversation(p);
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority, notify_customer)
  values (c.id, v_agent, (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', leadpipe.to_nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'), coalesce((p ->> 'notifyCustomer')::boolean, false))
  returning * into f;
  perform leadpipe.record_activity(c.id, p ->> 'by', 'follow_up_scheduled', leadpipe.follow_up_title(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', leadpipe.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return leadpipe.follow_up_document(to_jsonb(f));
end
$$;

revoke all on function public.create_follow_up(jsonb) from public, anon, authenticated;

grant execute on function public.create_follow_up(jsonb) to leadpipe_admin, service_role;

-- Returns a follow-up as shown in the admin interface. Takes the row as jsonb; see delivery_document. An open follow-up
-- whose time has passed is shown as overdue, whatever the status in its row.
create or replace function leadpipe.follow_up_document(f jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', f -> 'id', 'conversationId', f -> 'conversation_id',
    'customerName', (select c.customer_name from public.conversations c where c.id = (f ->> 'conversation_id')::uuid),
    'assignedAgentId', f -> 'assigned_agent_id',
    'assignedAgentName', (select a.name from public.agents a where a.id = (f ->> 'assigned_agent_id')::uuid),
    'followUpDate', leadpipe.iso8601((f ->> 'follow_up_date')::timestamptz), 'reminderType', f -> 'reminder_type',
    'reminderText', f -> 'reminder_text', 'priority', f -> 'priority', 'notifyCustomer', f -> 'notify_customer',
    'remindedAt', leadpipe.iso8601((f ->> 'reminded_for')::timestamptz),
    'status', case when f ->> 'status' in ('scheduled', 'in_progress') and (f ->> 'follow_up_date')::timestamptz < now()
                   then 'overdue' else f ->> 'status' end,
    'notes', f -> 'notes', 'completedAt', leadpipe.iso8601((f ->> 'completed_at')::timestamptz),
    'createdAt', leadpipe.iso8601((f ->> 'created_at')::timestamptz), 'updatedAt', leadpipe.iso8601((f ->> 'updated_at')::timestamptz))
$$;

revoke all on function leadpipe.follow_up_document(jsonb) from public, anon, authenticated;

-- Emits one event for each agent whose summary is due: how many follow-ups were due that had no message of their own, and
-- since when. At most one a minute for each agent. Returns how many it has emitted.
create or replace function leadpipe.sum_up_follow_ups(p_channels jsonb, p_now timestamptz) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  r record;
  v_event uuid;
  v_count integer := 0;
begin
  for r in
    select m.recipient, m.summed, m.oldest, a.id, a.name, leadpipe.agent_address(a.email) as address
    from leadpipe.follow_up_reminders m left join public.agents a on a.id = m.recipient
    where m.summed > 0 and (m.summed_at <= p_now - interval '1 minute' or m.summed_at > p_now)
    order by m.recipient
  loop
    insert into public.lead_events (event_type, payload, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', jsonb_strip_nulls(jsonb_build_object('sumsUp', r.summed, 'oldestDue', leadpipe.iso8601(r.oldest),
      'assignedAgentId', r.id, 'assignedAgentName', r.name)), is_mute, case when is_mute then p_now end, p_now, p_now, p_now
    from (select jsonb_array_length(p_channels) = 0) as told (is_mute)
    returning id into v_event;
    perform leadpipe.plan_for_agent(v_event, r.address, p_channels, p_now);
    update leadpipe.follow_up_reminders m set summed = 0, oldest = null, summed_at = p_now where m.recipient = r.recipient;
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

revoke all on function leadpipe.sum_up_follow_ups(jsonb, timestamptz) from public, anon, authenticated;

-- Sets a conversation's follow_up_date to the time of its earliest open follow-up, or to null. Locks the conversation
-- first: of two changes at once, the second sees the follow-ups of the first.
create or replace function leadpipe.update_next_follow_up(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from public.conversations c where c.id = p_conversation for no key update;
  update public.conversations c set follow_up_date = next.date
  from (select min(f.follow_up_date) as date from public.follow_up_tasks f
        where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue')) next
  where c.id = p_conversation and c.follow_up_date is distinct from next.date;
end
$$;

revoke all on function leadpipe.update_next_follow_up(uuid) from public, anon, authenticated;

-- Keeps the follow_up_date of conversations true, whoever changes their follow-ups. Has its owner's privileges, because
-- a client of the REST interface may write follow-ups and may not call functions of schema leadpipe.
create or replace function leadpipe.follow_up_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'DELETE' then
    perform leadpipe.update_next_follow_up(new.conversation_id);
  end if;
  if tg_op = 'DELETE' or tg_op = 'UPDATE' and old.conversation_id <> new.conversation_id then
    perform leadpipe.update_next_follow_up(old.conversation_id);
  end if;
  return null;
end
$$;

revoke all on function leadpipe.follow_up_changed() from public, anon, authenticated;

CREATE INDEX IF NOT EXISTS follow_up_tasks_due_idx ON public.follow_up_tasks USING btree (follow_up_date) WHERE ((status = ANY (ARRAY['scheduled'::public.follow_up_status, 'in_progress'::public.follow_up_status, 'overdue'::public.follow_up_status])) AND (reminded_for IS DISTINCT FROM follow_up_date));

CREATE INDEX IF NOT EXISTS lead_events_digests_idx ON public.lead_events USING gin (jsonb_path_query_array(payload, '$."lines"[*]."conversationId"'::jsonpath)) WHERE (event_type = 'agent.digest'::public.lead_event_type);

CREATE INDEX IF NOT EXISTS notification_logs_agents_idx ON public.notification_logs USING btree (due_at) WHERE (to_agent AND (due_at IS NOT NULL));

create or replace trigger follow_up_tasks_next AFTER INSERT OR DELETE ON public.follow_up_tasks FOR EACH ROW EXECUTE FUNCTION leadpipe.follow_up_changed();

create or replace trigger follow_up_tasks_next_changed AFTER UPDATE ON public.follow_up_tasks FOR EACH ROW WHEN (((old.conversation_id IS DISTINCT FROM new.conversation_id) OR (old.follow_up_date IS DISTINCT FROM new.follow_up_date) OR ((old.status = ANY (ARRAY['completed'::public.follow_up_status, 'cancelled'::public.follow_up_status])) IS DISTINCT FROM (new.status = ANY (ARRAY['completed'::public.follow_up_status, 'cancelled'::public.follow_up_status]))))) EXECUTE FUNCTION leadpipe.follow_up_changed();

comment on column public.follow_up_tasks.notify_customer is 'True if the customer was to be notified too, for which this version has no provider.';

comment on column public.follow_up_tasks.reminded_for is 'The follow_up_date that the agent has been reminded of.';

comment on column public.follow_up_tasks.status is 'Open: scheduled, in_progress, and overdue, which the sweep sets when the time has passed.';

comment on column public.notification_logs.to_agent is 'True if the recipient is the address of an agent, which no setting names.';
