-- Returns what the digests of a day are about: open follow-ups before `p_until`, and open leads without a first response
-- that have a deadline. `recipient` is the agent if it is one of `p_agents`, and otherwise null, for the office. `place`
-- is the order within a digest.
create or replace function leadpipe.digest_items(p_agents uuid[], p_now timestamptz, p_until timestamptz)
returns table (recipient uuid, kind text, follow_up uuid, conversation uuid, place bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when item.agent = any (p_agents) then item.agent end, item.kind, item.follow_up, item.conversation,
    row_number() over (partition by case when item.agent = any (p_agents) then item.agent end
      order by array_position('{overdue,today,waiting}', item.kind), item.at, item.conversation, item.follow_up)
  from (
    select coalesce(f.assigned_agent_id, c.assigned_agent_id) as agent, case when f.follow_up_date <= p_now then 'overdue' else 'today' end as kind,
      f.follow_up_date as at, f.id as follow_up, c.id as conversation
    from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.follow_up_date < p_until
      and c.status not in ('completed', 'lost', 'converted', 'spam')
    union all
    select c.assigned_agent_id, 'waiting', c.sla_response_deadline, null, c.id
    from public.conversations c
    where c.first_response_at is null and c.sla_response_deadline is not null
      and c.status not in ('completed', 'lost', 'converted', 'spam')
  ) item
$$;
revoke all on function leadpipe.digest_items(uuid[], timestamptz, timestamptz) from public, anon, authenticated;

-- Emits the digests of a day: one event agent.digest for each agent who is not offline and has an address, and one for
-- the office about everything else. Each lists at most `most` (default 50) follow-ups and leads, and counts all; without
-- any, there is no digest. `day` is the day in the agency's time zone, `until` its end. Once for each day: `digests` is 0
-- after the first call. `isMuted`: email is not configured, so there is no digest of this day.
create or replace function public.digest_follow_ups(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  c_office constant text := 'office';
  v_day constant date := (p ->> 'day')::date;
  v_most constant integer := least(greatest(coalesce((p ->> 'most')::integer, 50), 1), 50);
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz;
  s leadpipe.follow_up_sweep;
  v_agents uuid[];
  r record;
  v_held uuid[];
  v_lines jsonb;
  v_event uuid;
  v_count integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  if not found then
    return jsonb_build_object('digests', 0, 'isBusy', true, 'isMuted', false);
  end if;
  -- A later day is that of a clock that was wrong; the keys of events keep a day's digests from being repeated.
  if s.digested_on between v_day and v_day + 1 then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', false);
  end if;
  v_now := clock_timestamp();
  update leadpipe.follow_up_sweep w set digested_on = v_day where w.is_only;
  if not v_channels @> '[{"channel": "email"}]' then
    return jsonb_build_object('digests', 0, 'isBusy', false, 'isMuted', true);
  end if;

  v_agents := array(select a.id from public.agents a where a.status <> 'offline' and leadpipe.agent_address(a.email) is not null);
  for r in
    select found.*, a.name, leadpipe.agent_address(a.email) as address
    from (
      select i.recipient, count(*) as total, count(*) filter (where i.kind = 'overdue') as overdue,
        count(*) filter (where i.kind = 'today') as today, count(*) filter (where i.kind = 'waiting') as waiting,
        jsonb_agg(jsonb_build_object('kind', i.kind, 'follow_up', i.follow_up, 'conversation', i.conversation, 'place', i.place))
          filter (where i.place <= v_most) as items
      from leadpipe.digest_items(v_agents, v_now, (p ->> 'until')::timestamptz) i group by i.recipient
    ) found
    left join public.agents a on a.id = found.recipient
    order by found.recipient
  loop
    -- Erasing a person waits for this lock, and then finds the lines. A conversation that is being changed is left out.
    v_held := array(
      select c.id from public.conversations c
      where c.id in (select (item ->> 'conversation')::uuid from jsonb_array_elements(r.items) as item)
      order by c.id for share skip locked);
    select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'kind', i.kind, 'at', leadpipe.iso8601(case when i.kind = 'waiting' then c.sla_response_deadline else f.follow_up_date end),
        'conversationId', c.id, 'customerName', left(c.customer_name, 100), 'customerPhone', c.customer_phone,
        'customerEmail', case when c.customer_phone is null then c.customer_email end,
        'reminderType', f.reminder_type, 'reminderText', left(f.reminder_text, 200),
        'leadQuality', case when i.kind = 'waiting' then c.lead_quality end,
        'agentName', case when r.recipient is null then a.name end)) order by i.place), '[]')
    into v_lines
    from jsonb_to_recordset(r.items) as i (kind text, follow_up uuid, conversation uuid, place bigint)
    join public.conversations c on c.id = i.conversation and c.id = any (v_held) and c.status not in ('completed', 'lost', 'converted', 'spam')
    left join public.follow_up_tasks f on f.id = i.follow_up
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id);
    insert into public.lead_events (event_type, payload, idempotency_key, planned_at, created_at, updated_at)
    values ('agent.digest', jsonb_strip_nulls(jsonb_build_object('day', p ->> 'day', 'assignedAgentId', r.recipient, 'assignedAgentName', r.name,
        'overdue', r.overdue, 'today', r.today, 'waiting', r.waiting, 'lines', v_lines, 'more', r.total - jsonb_array_length(v_lines))),
      'agent.digest:' || coalesce(r.recipient::text, c_office) || ':' || v_day, v_now, v_now, v_now)
    on conflict (idempotency_key) do nothing
    returning id into v_event;
    if found then
      perform leadpipe.plan_for_agent(v_event, r.address, v_channels, v_now);
      v_count := v_count + 1;
    end if;
  end loop;
  return jsonb_build_object('digests', v_count, 'isBusy', false, 'isMuted', false);
end
$$;
revoke all on function public.digest_follow_ups(jsonb) from public, anon, authenticated;
grant execute on function public.digest_follow_ups(jsonb) to leadpipe_worker, service_role;
