-- Assigns leads to agents, in one small batch (`batch`, default 50, at most 200): overdue leads without an agent, and those
-- whose agents have not answered in time. `served` has a time for each quality: an agent whose turn began at or before it
-- has had the response time. With `mode` new, leads captured since are assigned before their deadline too. Hot leads come
-- first, then those with the earliest deadline. rank_agents chooses; an agent gets no more than `max_capacity` open leads.
-- A lead is passed on at most five times for a deadline. Deadlines that passed more than a week ago are left alone.
--
-- Each decision is stored. Leads that wait for an agent are counted in one notification, at once and then at most once an
-- hour if more have come, or once a day. At most `ownPerMinute` (default 20) assignments have a notification of their own;
-- one event sums up the others, at most once a minute.
--
-- Returns the time of the database (`now`), how many leads were `assigned` to the first agent and `moved` to another one,
-- how many notifications were emitted (`notices`), whether there are no agents and no reply has said so yet
-- (`lacksAgents`), whether nothing is left (`isComplete`), for each quality the earliest turn that has not ended (`turns`),
-- and when a summary is due (`summaryAt`). One call works at a time; the others return `isBusy` at once. It locks agents,
-- then conversations, and waits for neither: what another session has locked is left for a later call.
create or replace function public.assign_leads(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_moves constant integer := 5;
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 50), 1), 200);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_now constant timestamptz := clock_timestamp();
  v_after constant timestamptz := v_now - interval '7 days';
  v_served constant jsonb := coalesce(nullif(p -> 'served', 'null'), '{}');
  s leadpipe.assigning;
  c public.conversations;
  t leadpipe.assignment_turns;
  v_nothing jsonb := jsonb_build_object('now', leadpipe.iso8601(v_now), 'assigned', 0, 'moved', 0, 'notices', 0, 'lacksAgents', false,
    'isBusy', false, 'isComplete', true, 'turns', '{}'::jsonb, 'summaryAt', null);
  v_pool jsonb;
  v_shortage text;
  v_locked uuid[];
  v_due uuid[];
  v_id uuid;
  v_cause text;
  v_language text;
  v_ranking jsonb;
  v_own integer;
  v_left double precision;
  v_assigned integer := 0;
  v_moved integer := 0;
  v_notices integer := 0;
  v_is_complete boolean := true;
  v_is_busy boolean := false;  -- an agent with room is locked by another session
  v_is_held boolean := false;  -- a lead is
  v_is_new boolean := false;  -- there are no agents, which no reply has said yet
  v_latest timestamptz;
  w record;
begin
  perform leadpipe.check_size(p, 4096);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null then
    return v_nothing;
  end if;
  insert into leadpipe.assigning (is_only) select true where not exists (select from leadpipe.assigning) on conflict do nothing;
  select * into s from leadpipe.assigning for no key update skip locked;
  if not found then
    return v_nothing || '{"isBusy": true, "isComplete": false}';
  end if;

  if p ->> 'mode' = 'new' then
    select q.seen, q.is_complete into s.seen, v_is_complete from leadpipe.queue_new_leads(s.seen) q;
    -- Those that wait no longer must not hide others. An overdue lead without an agent is found by its deadline.
    update leadpipe.assignment_turns o set queued_at = null where o.conversation_id in (
      select x.conversation_id from leadpipe.assignment_turns x join public.conversations k on k.id = x.conversation_id
      where x.conversation_id in (select q.id from leadpipe.queued_leads(100) q)
        and (k.first_response_at is not null or k.status not in ('new', 'in-progress') or k.assigned_agent_id is not null or k.sla_breached)
      for update of x skip locked);
  elsif s.seen is not null then
    s.seen := null;
    update leadpipe.assignment_turns set queued_at = null where queued_at is not null;
  end if;

  -- Whether there is work is known before anything is locked.
  v_due := array(select id from leadpipe.ended_turns(v_served, v_batch));
  if v_due = '{}' and not exists (select from leadpipe.waiting_leads(v_after, 1)) and not exists (select from leadpipe.queued_leads(1)) then
    v_pool := null;
  else
    v_pool := leadpipe.agent_pool();
    v_shortage := leadpipe.shortage(v_pool);
    v_is_new := v_shortage is not distinct from 'no_agents' and not s.lacks_agents;
    s.lacks_agents := v_shortage is not distinct from 'no_agents';
    if v_shortage is null then
      -- Their open conversations are counted again once they are locked, as a manual assignment does.
      v_locked := array(
        select a.id from public.agents a
        where a.id in (select (each ->> 'id')::uuid from jsonb_array_elements(v_pool) each where leadpipe.has_room(each))
          and a.status = 'available'
        order by a.id for no key update skip locked);
      v_pool := leadpipe.agent_pool(v_locked);
      v_shortage := leadpipe.shortage(v_pool);
    end if;
  end if;

  v_left := case when s.own_at = '-infinity' or s.own_at > v_now then v_most
    else least(s.own_left + v_most * extract(epoch from v_now - s.own_at) / 60, v_most) end;
  v_own := floor(v_left);
  if v_pool is not null and v_shortage is distinct from 'no_agents' then
    if v_shortage is null then
      v_due := array(
        select found.id from (
          select * from leadpipe.ended_turns(v_served, v_batch) union select * from leadpipe.waiting_leads(v_after, v_batch + 1)
          union select * from leadpipe.queued_leads(v_batch + 1)) found
        group by found.id order by min(array_position('{hot,warm,cold}', found.quality)), min(found.deadline), found.id limit v_batch + 1);
    else
      -- Nothing can be assigned. What no decision says yet is written down, of the first that wait.
      v_due := array(
        select found.id from (
          select * from leadpipe.ended_turns(v_served, v_batch)
          union (select x.* from leadpipe.waiting_leads(v_after, 500) x where not exists (
                   select from leadpipe.assignment_turns o where o.conversation_id = x.id and o.reason = v_shortage))
          union (select x.* from leadpipe.queued_leads(100) x where not exists (
                   select from leadpipe.assignment_turns o where o.conversation_id = x.id and o.reason = v_shortage))) found
        group by found.id order by min(array_position('{hot,warm,cold}', found.quality)), min(found.deadline), found.id limit v_batch + 1);
    end if;
    v_is_complete := v_is_complete and cardinality(v_due) <= v_batch;

    foreach v_id in array v_due[:v_batch] loop
      select * into c from public.conversations o where o.id = v_id for no key update skip locked;
      if not found then
        v_is_held := true;
        continue;
      end if;
      select * into t from leadpipe.assignment_turns o where o.conversation_id = v_id;
      if c.first_response_at is not null or c.status not in ('new', 'in-progress')
        or (c.assigned_agent_id is not null and not c.sla_breached) or (c.sla_breached and coalesce(c.sla_response_deadline <= v_after, true))
        or (c.assigned_agent_id is null and not c.sla_breached and t.queued_at is null) then
        -- Answered, closed, given to an agent or reopened meanwhile, or overdue for too long.
        update leadpipe.assignment_turns o set since = null, queued_at = null where o.conversation_id = v_id;
        continue;
      end if;
      v_cause := case when c.assigned_agent_id is not null then 'unanswered' when c.sla_breached then 'overdue' else 'new' end;
      -- A turn that began meanwhile has not ended.
      continue when v_cause = 'unanswered' and (t.since is null or t.since > (v_served ->> t.quality)::timestamptz);
      v_language := leadpipe.lead_language(c);
      v_ranking := leadpipe.rank_agents(v_pool, v_language, c.preferred_area, c.assigned_agent_id,
        case when t.deadline is not distinct from c.sla_response_deadline then coalesce(t.had_by, '{}') else '{}' end);
      if v_cause = 'unanswered' and t.moves >= c_moves then
        perform leadpipe.keep_lead(c, v_cause, 'moved_enough', v_language, v_ranking);
        update leadpipe.assignment_turns o set since = null where o.conversation_id = v_id;
      elsif v_ranking -> 0 is not null and v_ranking #>> '{0,why}' is null then
        perform leadpipe.give_lead(c, v_cause, v_language, v_ranking, v_own > 0);
        v_pool := leadpipe.change_pool(v_pool, (v_ranking #>> '{0,agentId}')::uuid, 1, clock_timestamp());
        if v_cause = 'unanswered' then
          v_pool := leadpipe.change_pool(v_pool, c.assigned_agent_id, -1, null);
          v_moved := v_moved + 1;
          s.moved := s.moved + case when v_own > 0 then 0 else 1 end;
        else
          v_assigned := v_assigned + 1;
          s.assigned := s.assigned + case when v_own > 0 then 0 else 1 end;
        end if;
        v_notices := v_notices + case when v_own > 0 then 1 else 0 end;
        v_own := v_own - 1;
      elsif jsonb_path_exists(v_ranking, '$[*] ? (@.why == "being_changed")') then
        v_is_busy := true;  -- decided when that agent's row is free
      elsif v_cause = 'unanswered' then
        perform leadpipe.keep_lead(c, v_cause, 'nobody_else', v_language, v_ranking);
        -- Looked at again in a minute of office hours.
        update leadpipe.assignment_turns o set since = (v_served ->> t.quality)::timestamptz + interval '1 minute' where o.conversation_id = v_id;
      else
        perform leadpipe.keep_lead(c, v_cause, coalesce(leadpipe.shortage(v_pool), 'all_at_capacity'), v_language, v_ranking);
        update leadpipe.assignment_turns o set since = null where o.conversation_id = v_id and o.since is not null;
      end if;
    end loop;
    -- Without progress, the next call follows after a second.
    v_is_busy := v_is_busy or v_is_held and v_assigned + v_moved = 0;
    -- Of the rest only what is written down is left, if the last place has been taken.
    v_shortage := leadpipe.shortage(v_pool);
  end if;

  if v_notices > 0 then
    s.own_left := v_left - v_notices;
    s.own_at := v_now;
  end if;
  if v_is_complete and s.assigned + s.moved > 0 and (s.summed_at <= v_now - interval '1 minute' or s.summed_at > v_now) then
    perform public.emit_lead_event('lead.assigned', null, jsonb_build_object('automatic', true, 'sumsUp', s.assigned + s.moved,
      'assigned', s.assigned, 'moved', s.moved));
    s.assigned := 0;
    s.moved := 0;
    s.summed_at := v_now;
    v_notices := v_notices + 1;
  end if;
  if v_shortage in ('none_available', 'all_at_capacity') and v_is_complete and (s.waiting_at <= v_now - interval '1 hour' or s.waiting_at > v_now) then
    select count(*) as number, count(*) filter (where found.quality = 'hot') as hot, min(found.deadline) as oldest into w
    from (select * from leadpipe.waiting_leads(v_after, 1000) union select * from leadpipe.queued_leads(100)) found;
    v_latest := greatest(leadpipe.latest_waiting(),
      (select max(o.queued_at) from leadpipe.assignment_turns o where o.conversation_id in (select q.id from leadpipe.queued_leads(100) q)));
    if w.number > 0 and (v_latest > s.waiting_at or s.waiting_at <= v_now - interval '1 day' or s.waiting_at > v_now) then
      perform public.emit_lead_event('sla.breached', null, jsonb_strip_nulls(jsonb_build_object('sumsUp', w.number, 'waiting', w.number,
        'hot', w.hot, 'oldestDeadline', leadpipe.iso8601(w.oldest), 'reason', v_shortage, 'agents', jsonb_array_length(v_pool))));
      s.waiting_at := v_now;
      v_notices := v_notices + 1;
    end if;
  end if;
  update leadpipe.assigning o set seen = s.seen, own_left = s.own_left, own_at = s.own_at, assigned = s.assigned, moved = s.moved,
    summed_at = s.summed_at, lacks_agents = s.lacks_agents, waiting_at = s.waiting_at
  where o.is_only and o is distinct from s;

  return v_nothing || jsonb_build_object(
    'assigned', v_assigned, 'moved', v_moved, 'notices', v_notices, 'lacksAgents', v_is_new, 'isBusy', v_is_busy,
    'isComplete', v_is_complete, 'turns', case when s.lacks_agents then '{}' else (select coalesce(jsonb_object_agg(q, leadpipe.iso8601((select o.since from leadpipe.assignment_turns o
                where o.since is not null and o.quality = q order by o.since limit 1))), '{}') from unnest('{hot,warm,cold}'::text[]) q) end,
    'summaryAt', case when s.assigned + s.moved > 0 then leadpipe.iso8601(greatest(s.summed_at + interval '1 minute', v_now)) end);
end
$$;
revoke all on function public.assign_leads(jsonb) from public, anon, authenticated;
grant execute on function public.assign_leads(jsonb) to leadpipe_worker, service_role;

-- Returns the latest deadline of the overdue conversations without an agent. Null if there are none.
create or replace function leadpipe.latest_waiting() returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
  v_latest timestamptz;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    -- The conditions match the index conversations_waiting_idx.
    v_latest := greatest(v_latest, (
      select c.sla_response_deadline from public.conversations c
      where c.sla_breached and c.assigned_agent_id is null and c.first_response_at is null and c.status not in ('completed', 'lost', 'converted')
        and c.lead_quality = v_quality
        and not exists (select from leadpipe.assignment_turns t where t.conversation_id = c.id and t.is_released
                        and t.deadline is not distinct from c.sla_response_deadline)
      order by c.sla_response_deadline desc limit 1));
  end loop;
  return v_latest;
end
$$;
revoke all on function leadpipe.latest_waiting() from public, anon, authenticated;
