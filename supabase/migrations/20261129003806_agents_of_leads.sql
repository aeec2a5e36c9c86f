-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Deletes an agent. Raises LP404 if it does not exist, and LP409 if it has open conversations unless `force` is true.
-- With `force` these conversations become unassigned, which their timelines record. The agent's keys are revoked, except
-- for the one in use.
create or replace function public.delete_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_open uuid[];
  v_keys integer;
begin
  p := leadpipe.authorize(p, 'owner');
  -- Requests lock their key before anything else.
  perform from public.admin_keys k where k.agent_id = (p ->> 'id')::uuid order by k.id for no key update;
  select * into a from public.agents where id = (p ->> 'id')::uuid for update;
  if not found then
    raise exception using errcode = 'LP404', message = 'agent_not_found';
  end if;
  -- Closed conversations are locked too, because deleting the agent also updates them.
  select array_agg(id) filter (where status in ('new', 'in-progress')) into v_open from (
    select c.id, c.status from public.conversations c where c.assigned_agent_id = a.id order by c.id for no key update) held;
  if v_open is not null and not coalesce((p ->> 'force')::boolean, false) then
    raise exception using errcode = 'LP409', message = 'agent_has_conversations', detail = jsonb_build_object('count', cardinality(v_open));
  end if;
  -- The clean-up drops this table.
  if to_regclass('public.follow_up_tasks') is not null then
    perform from public.follow_up_tasks f where f.assigned_agent_id = a.id order by f.id for no key update;
  end if;
  perform leadpipe.cancel_agent_mail(a.email);
  update public.admin_keys k set revoked_at = clock_timestamp()
  where k.agent_id = a.id and k.revoked_at is null and k.name <> p ->> 'by';
  get diagnostics v_keys = row_count;
  delete from leadpipe.admin_logins l using public.admin_keys k where k.id = l.key_id and k.agent_id = a.id;
  delete from public.agents where id = a.id;
  perform leadpipe.record_activity(id, p ->> 'by', 'assigned', 'Unassigned', 'Agent ' || a.name || ' was deleted', 'lead.updated',
    jsonb_build_object('agentIdBefore', a.id))
  from unnest(v_open) as id;
  perform leadpipe.record_audit(p ->> 'by', 'agent.deleted', a.id::text, jsonb_build_object('unassigned', coalesce(cardinality(v_open), 0),
    'keysRevoked', v_keys));
  return '{}';
end
$$;

revoke all on function public.delete_agent(jsonb) from public, anon, authenticated;

grant execute on function public.delete_agent(jsonb) to leadpipe_admin, service_role;

-- Updates an agent. `clear` lists the fields to set to null. Raises LP404 if the agent does not exist, LP409 if the
-- email address is in use.
create or replace function public.update_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_email text;
begin
  -- An agent's status changes during the day, so write access is enough for it. All other fields require an owner.
  p := leadpipe.authorize(p, case when p ?| array['name', 'email', 'phone', 'department', 'maxCapacity', 'languages', 'areas', 'clear'] then 'owner' else 'write' end);
  a := leadpipe.lock_agent((p ->> 'id')::uuid);
  v_email := a.email;
  update public.agents s set
    name = coalesce(leadpipe.to_nfc(p ->> 'name'), s.name), email = coalesce(lower(p ->> 'email'), s.email),
    phone = case when p -> 'clear' ? 'phone' then null else coalesce(p ->> 'phone', s.phone) end,
    department = case when p -> 'clear' ? 'department' then null else coalesce(leadpipe.to_nfc(p ->> 'department'), s.department) end,
    languages = case when p ? 'languages' then leadpipe.agent_words(p -> 'languages', true) else s.languages end,
    areas = case when p ? 'areas' then leadpipe.agent_words(p -> 'areas', false) else s.areas end,
    status = coalesce(p ->> 'status', s.status), max_capacity = coalesce((p ->> 'maxCapacity')::integer, s.max_capacity)
  where s.id = a.id returning * into a;
  if a.email <> v_email then
    perform leadpipe.cancel_agent_mail(v_email);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'agent.updated', a.id::text, jsonb_build_object('fields',
    (select coalesce(jsonb_agg(field order by field), '[]') from (
      select jsonb_object_keys(p) union select jsonb_array_elements_text(coalesce(p -> 'clear', '[]'))) as changed (field)
     where field not in ('id', 'by', 'clear'))));
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;

revoke all on function public.update_agent(jsonb) from public, anon, authenticated;

grant execute on function public.update_agent(jsonb) to leadpipe_admin, service_role;

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

-- Records that a locked conversation has got a locked agent, after `p_moves` automatic moves more. The agents who had it
-- are remembered for its deadline.
create or replace function leadpipe.begin_turn(c public.conversations, p_agent uuid, p_moves integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  -- Before the deadline there is no turn: the breach begins one.
  v_since timestamptz := case when c.first_response_at is null and c.status in ('new', 'in-progress') and c.sla_response_deadline <= v_now then v_now end;
begin
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, since, had_by, moves)
  values (c.id, c.lead_quality, c.sla_response_deadline, v_since, array_remove(array[c.assigned_agent_id], null) || p_agent, p_moves)
  on conflict (conversation_id) do update set
    quality = excluded.quality, deadline = excluded.deadline, since = excluded.since, queued_at = null, reason = null, is_released = false,
    had_by = case when t.deadline is not distinct from excluded.deadline then array_remove(t.had_by, p_agent) || p_agent else excluded.had_by end,
    moves = case when t.deadline is not distinct from excluded.deadline then t.moves else 0 end + excluded.moves;
  update public.agents a set last_assigned_at = v_now where a.id = p_agent;
end
$$;

revoke all on function leadpipe.begin_turn(public.conversations, uuid, integer) from public, anon, authenticated;

-- Ends the turns of the agents of these locked conversations, whose deadline has passed: they are due to be passed on.
-- Whoever got one after the deadline keeps the response time from then.
create or replace function leadpipe.end_turns(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, since, had_by)
  select c.id, c.lead_quality, c.sla_response_deadline, '1970-01-01 00:00:00Z', array[c.assigned_agent_id]
  from public.conversations c where c.id = any (p_ids) and c.assigned_agent_id is not null order by c.id
  on conflict (conversation_id) do update set
    quality = excluded.quality, deadline = excluded.deadline, queued_at = null, reason = null, is_released = false,
    since = case when t.deadline is not distinct from excluded.deadline then coalesce(t.since, excluded.since) else excluded.since end,
    had_by = case when t.deadline is not distinct from excluded.deadline then array_remove(t.had_by, excluded.had_by[1]) || excluded.had_by
      else excluded.had_by end,
    moves = case when t.deadline is not distinct from excluded.deadline then t.moves else 0 end;
end
$$;

revoke all on function leadpipe.end_turns(uuid[]) from public, anon, authenticated;

-- Assigns a locked conversation to the first agent of `p_ranking`, which is locked too, by automation: the conversation,
-- its timeline, the decision and the event lead.assigned. `p_is_own`: the event notifies; otherwise a summary reports it.
-- The first response is not affected.
create or replace function leadpipe.give_lead(
  c public.conversations, p_cause text, p_language text, p_ranking jsonb, p_is_own boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_agent constant uuid := p_ranking #>> '{0,agentId}';
  v_name constant text := p_ranking #>> '{0,agentName}';
  v_before text;
  v_reason constant text := leadpipe.ranking_reason(p_ranking);
  v_decision uuid;
  v_facts jsonb;
begin
  if c.assigned_agent_id is not null then
    select a.name into v_before from public.agents a where a.id = c.assigned_agent_id;
  end if;
  update public.conversations s set assigned_agent_id = v_agent where s.id = c.id;
  perform leadpipe.begin_turn(c, v_agent, case when c.assigned_agent_id is null then 0 else 1 end);
  perform leadpipe.move_follow_ups(c, v_agent);
  v_decision := leadpipe.store_decision(c.id, p_cause, v_reason, v_agent, c.assigned_agent_id, jsonb_build_object(
    'agentName', v_name, 'agentNameBefore', v_before, 'language', p_language, 'candidates', p_ranking));
  v_facts := jsonb_strip_nulls(jsonb_build_object('agentId', v_agent, 'agentName', v_name, 'agentIdBefore', c.assigned_agent_id,
    'agentNameBefore', v_before, 'cause', p_cause, 'reason', v_reason));
  perform public.add_timeline_entry(c.id, 'assigned',
    case when v_before is null then 'Assigned to ' || v_name else format('Passed on from %s to %s', v_before, v_name) end,
    'Automatic: ' || case p_cause when 'new' then 'a new lead' when 'overdue' then 'the deadline had passed and no agent had it'
      else 'its agent had not answered in time' end || '. ' || v_name || ' ' ||
      case v_reason when 'only_one' then 'was the only agent who could take it' when 'not_had' then 'had not had it yet'
        when 'language' then 'speaks its language' when 'area' then 'knows its area' when 'fewest_open' then 'had the fewest open leads'
        else 'had waited longest for a lead' end || '.',
    'system', null, null, v_facts || '{"automatic": true}');
  perform public.emit_lead_event('lead.assigned', c.id, v_facts || jsonb_strip_nulls(jsonb_build_object('automatic', true, 'conversation', c.id,
    'source', c.source, 'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
    'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
    'slaResponseDeadline', leadpipe.iso8601(c.sla_response_deadline), 'isSummedUp', case when not p_is_own then true end)),
    'lead.assigned:' || v_decision);
end
$$;

revoke all on function leadpipe.give_lead(public.conversations, text, text, jsonb, boolean) from public, anon, authenticated;

-- Queues the new leads of all transactions since `p_seen` that have no agent, and returns the place up to which it has
-- read: `seen`. Reads at most about 5,000 events: `is_complete` is false if there are more. Without `p_seen`, and after a
-- restore into another cluster, it queues none and returns the current place.
create or replace function leadpipe.queue_new_leads(p_seen xid8, out seen xid8, out is_complete boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_most constant integer := 5000;
  v_here pg_snapshot := pg_current_snapshot();
  v_last xid8;
begin
  -- Transactions that have not ended are read by a later call.
  seen := pg_snapshot_xmin(v_here);
  is_complete := true;
  if p_seen is null or p_seen > pg_snapshot_xmax(v_here) or p_seen = seen then
    return;
  end if;
  select e.xact into v_last from public.lead_events e where e.xact >= p_seen and e.xact < seen order by e.xact offset c_most - 1 limit 1;
  if found then
    seen := (v_last::text::numeric + 1)::text::xid8;
    is_complete := false;
  end if;
  insert into leadpipe.assignment_turns (conversation_id, quality, deadline, queued_at)
  select c.id, c.lead_quality, c.sla_response_deadline, clock_timestamp()
  from (select distinct e.conversation_id as id from public.lead_events e
        where e.xact >= p_seen and e.xact < seen and e.event_type = 'lead.created' and e.conversation_id is not null) e
  join public.conversations c on c.id = e.id
  where c.assigned_agent_id is null and c.first_response_at is null and c.status in ('new', 'in-progress') and not c.sla_breached
  order by c.id
  on conflict (conversation_id) do nothing;
end
$$;

revoke all on function leadpipe.queue_new_leads(xid8) from public, anon, authenticated;

-- Keeps the automation from assigning a locked conversation again that a person has just unassigned after its deadline.
-- It stays so until somebody gets it or its deadline changes. Before the deadline nothing is recorded.
create or replace function leadpipe.release_lead(c public.conversations) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if c.first_response_at is not null or coalesce(c.sla_response_deadline > clock_timestamp(), true) then
    return;
  end if;
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, had_by, is_released)
  values (c.id, c.lead_quality, c.sla_response_deadline, array_remove(array[c.assigned_agent_id], null), true)
  on conflict (conversation_id) do update set
    deadline = excluded.deadline, since = null, queued_at = null, reason = null, is_released = true,
    had_by = case when t.deadline is not distinct from excluded.deadline then t.had_by else excluded.had_by end,
    moves = case when t.deadline is not distinct from excluded.deadline then t.moves else 0 end;
end
$$;

revoke all on function leadpipe.release_lead(public.conversations) from public, anon, authenticated;

-- Returns at most `p_most` overdue conversations without an agent, the hottest first, then the earliest deadline. Those
-- whose deadline was before `p_after`, and those that a person has unassigned since, are not returned.
create or replace function leadpipe.waiting_leads(p_after timestamptz, p_most integer)
returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
  v_found bigint;
  v_left integer := p_most;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    -- The conditions match the index conversations_waiting_idx.
    return query
      select c.id, c.lead_quality, c.sla_response_deadline from public.conversations c
      where c.sla_breached and c.assigned_agent_id is null and c.first_response_at is null and c.status not in ('completed', 'lost', 'converted')
        and c.lead_quality = v_quality and c.sla_response_deadline > p_after
        and not exists (select from leadpipe.assignment_turns t where t.conversation_id = c.id and t.is_released
                        and t.deadline is not distinct from c.sla_response_deadline)
      order by c.sla_response_deadline limit v_left;
    get diagnostics v_found = row_count;
    v_left := v_left - v_found;
    exit when v_left <= 0;
  end loop;
end
$$;

revoke all on function leadpipe.waiting_leads(timestamptz, integer) from public, anon, authenticated;

-- Handles a lead whose idempotency key or conversation exists: repeats the reply to the key's first use, or adds to the
-- conversation. Returns null if neither exists any more; the lead is then new.
create or replace function leadpipe.capture_known_lead(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid := (p ->> 'conversationId')::uuid;
  v_route text := p ->> 'route';
  v_key text := nullif(p #>> '{idempotency,key}', '');
  v_lifetime interval := case when p #>> '{idempotency,client}' is null then '7 days' else '30 seconds' end;
  v_hash bytea := sha256(convert_to(coalesce(p #>> '{idempotency,content}', ''), 'UTF8'));
  v_customer uuid;
  v_proven boolean;
  v_reachable boolean;
  v_rises boolean;
  v_qualifies boolean;  -- the quality rises
  v_announces boolean;  -- and this is to be notified
  v_moves boolean;  -- an answered lead has another phone number or email address
  v_rebudgets boolean;
  v_before record;  -- status, score and quality as stored
  v_closed boolean;
  v_said bigint;  -- the customer's stored messages
  v_reopens boolean;
  v_facts jsonb;
  v_message text;  -- the customer's latest new message
  v_added integer := 0;
  v_unstored jsonb;  -- what an unproven request says about the customer; only the timeline has it
  v_event uuid;
  l record;  -- the lead as sent
  c record;  -- the conversation as stored
begin
  if v_key is not null then
    select k.body_sha256, k.created_at < now() - v_lifetime as expired, s.id, s.status, s.created_at, s.updated_at, s.idempotency_key
    into c
    from public.idempotency_keys k left join public.conversations s on s.id = k.conversation_id
    where k.route = v_route and k.key = v_key;

    if found and (c.expired or c.id is null) then  -- treat the key as unused
      update public.conversations set idempotency_key = null where idempotency_key = v_route || ':' || v_key;
      delete from public.idempotency_keys k
      where k.route = v_route and k.key = v_key
        and (k.created_at < now() - v_lifetime or not exists (select from public.conversations s where s.id = k.conversation_id));
      return null;
    elsif found and c.body_sha256 <> v_hash then
      return jsonb_build_object('outcome', 'mismatch', 'created', false, 'id', null, 'status', null,
        'createdAt', null, 'updatedAt', null, 'eventId', null, 'messagesAdded', 0);
    elsif found then
      return jsonb_build_object('outcome', 'replayed',
        'created', c.idempotency_key is not distinct from v_route || ':' || v_key,
        'id', c.id, 'status', c.status, 'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
        'eventId', null, 'messagesAdded', 0);
    end if;
    if not exists (select from public.conversations s where s.id = v_id) then
      return null;  -- the key existed a moment ago
    end if;
    -- A conversation that still has this key got it from a request that has expired.
    update public.conversations set idempotency_key = null where idempotency_key = v_route || ':' || v_key;
    -- Waits for a concurrent copy of this request, and makes later copies wait.
    insert into public.idempotency_keys (route, key, body_sha256, conversation_id) values (v_route, v_key, v_hash, v_id);
  end if;

  select * into l from leadpipe.lead_fields(p -> 'lead');
  -- 'phone' sorts after 'email', so the phone number takes precedence.
  select customer_id into v_customer from public.customer_identities
  where (kind = 'phone' and value = l.phone) or (kind = 'email' and value = lower(l.email))
  order by kind desc limit 1;
  v_customer := coalesce(v_customer, (p #>> '{ids,customer}')::uuid, leadpipe.uuid_v7());

  -- NO KEY: concurrent inserts of events and timeline entries, which reference the row, need not wait.
  select s.customer_phone, s.customer_email, s.lead_score, s.lead_quality, s.status, s.budget, s.created_at, s.updated_at, s.erased_at into c
  from public.conversations s where s.id = v_id for no key update;
  if not found then
    raise exception using errcode = 'LPTRY', message = 'write_conflict';
  end if;
  -- A chat that is still open sends what it has sent before. What was erased is not stored again; a request without newer
  -- messages changes nothing.
  if c.erased_at is not null and jsonb_typeof(p -> 'messages') = 'array' and p -> 'messages' <> '[]' then
    p := jsonb_set(p, '{messages}', (
      select coalesce(jsonb_agg(m order by n), '[]') from jsonb_array_elements(p -> 'messages') with ordinality as sent (m, n)
      where (m ->> 'timestamp')::timestamptz > c.erased_at));
    if p -> 'messages' = '[]' then
      return jsonb_build_object(
        'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status, 'createdAt', leadpipe.iso8601(c.created_at),
        'updatedAt', leadpipe.iso8601(c.updated_at), 'eventId', null, 'messagesAdded', 0);
    end if;
  end if;
  v_proven := coalesce(c.customer_phone = l.phone, false) or coalesce(lower(c.customer_email) = lower(l.email), false);
  v_reachable := nullif(c.customer_phone, '') is not null or nullif(c.customer_email, '') is not null;
  -- What was read in the budget is stored with it.
  v_rebudgets := l.budget is not null and (v_proven or nullif(c.budget, '') is null);
  v_rises := v_proven and l.score is not null and l.score > coalesce(c.lead_score, 0);
  v_closed := c.status in ('completed', 'lost');
  v_before := c;

  update public.conversations s set
    -- A row without a customer gets the customer of its stored phone number or email address, not of an unproven one.
    customer_id = coalesce(s.customer_id, case when v_proven or not v_reachable then v_customer end,
      (select i.customer_id from public.customer_identities i
       where (i.kind = 'phone' and i.value = s.customer_phone) or (i.kind = 'email' and i.value = lower(s.customer_email))
       order by i.kind desc limit 1), v_customer),
    customer_name = leadpipe.merge_text(s.customer_name, l.name, v_proven),
    -- An unproven phone number or email address is stored only if the row has neither, because it would prove the next
    -- request.
    customer_phone = leadpipe.merge_text(s.customer_phone, case when v_proven or not v_reachable then l.phone end, v_proven),
    customer_email = leadpipe.merge_text(s.customer_email, case when v_proven or not v_reachable then l.email end, v_proven),
    intent = leadpipe.merge_text(s.intent, l.intent, v_proven),
    budget = leadpipe.merge_text(s.budget, l.budget, v_proven),
    budget_amount = case when v_rebudgets then l.budget_amount else s.budget_amount end,
    budget_min = case when v_rebudgets then l.budget_min else s.budget_min end,
    budget_max = case when v_rebudgets then l.budget_max else s.budget_max end,
    budget_currency = case when v_rebudgets then l.budget_currency else s.budget_currency end,
    budget_period = case when v_rebudgets then l.budget_period else s.budget_period end,
    property_type = leadpipe.merge_text(s.property_type, l.property_type, v_proven),
    preferred_area = leadpipe.merge_text(s.preferred_area, l.preferred_area, v_proven),
    start_time = coalesce(s.start_time, l.start_time),
    end_time = case when v_proven then greatest(s.end_time, l.end_time) else coalesce(s.end_time, l.end_time) end,
    duration_minutes = case when v_proven then greatest(s.duration_minutes, l.duration) else coalesce(s.duration_minutes, l.duration) end,
    device_info = case when v_proven then coalesce(l.device_info, s.device_info) else coalesce(s.device_info, l.device_info) end,
    lead_score = case when v_rises then l.score else s.lead_score end,
    lead_quality = case when v_rises then coalesce(l.quality, s.lead_quality) else s.lead_quality end,
    lead_score_breakdown = case when v_rises then coalesce(l.breakdown, s.lead_score_breakdown) else s.lead_score_breakdown end,
    sla_response_deadline = case when v_proven then least(s.sla_response_deadline, l.deadline) else s.sla_response_deadline end,
    -- At most 50 tags, as in one request; the oldest are kept.
    tags = case when v_proven then (s.tags || array(select t from unnest(l.tags) with ordinality as sent (t, n)
                                                    where t <> all (s.tags) order by n))[:greatest(50, cardinality(s.tags))] else s.tags end,
    notes = case when v_proven then coalesce(l.notes, s.notes) else s.notes end,
    metadata = case when v_proven then leadpipe.merge_metadata(s.metadata, l.metadata) else s.metadata end
  where s.id = v_id
  returning s.customer_id, s.customer_name, s.customer_phone, s.customer_email, s.status, s.lead_score, s.lead_quality,
    s.intent, s.budget, s.property_type, s.preferred_area, s.tags, s.metadata, s.source, s.first_response_at, s.created_at, s.updated_at into c;

  perform leadpipe.remember_customer(nullif(c.customer_phone, ''), lower(nullif(c.customer_email, '')), c.customer_id);

  if v_closed then
    select count(*) into v_said from public.chat_messages where conversation_id = v_id and sender = 'customer';
  end if;
  if jsonb_typeof(p -> 'messages') = 'array' then
    v_added := leadpipe.add_messages(v_id, p -> 'messages', coalesce((p ->> 'receivedAt')::timestamptz, now()));
  end if;

  -- The customer writes again with a new message, or with a request without messages. A chat that only repeats its
  -- stored messages, or adds a message of the bot or an agent, does not reopen a conversation.
  v_reopens := v_closed and (coalesce(jsonb_array_length(nullif(p -> 'messages', 'null')), 0) = 0
    or v_added > 0 and v_said < (select count(*) from public.chat_messages where conversation_id = v_id and sender = 'customer'));
  if v_reopens then
    perform leadpipe.reopen_follow_ups(v_id);
    update public.conversations s set
      status = case when s.first_response_at is null then 'new' else 'in-progress' end,
      -- Who has not been answered yet waits from now on, for as long as the stored quality says. The request alone may
      -- have a lower one.
      sla_response_deadline = case when s.first_response_at is null
        then coalesce((p #>> array['lead', 'slaDeadlines', s.lead_quality])::timestamptz, l.deadline) else s.sla_response_deadline end,
      sla_breached = s.first_response_at is not null and s.sla_breached
    where s.id = v_id
    returning s.status, s.updated_at into c.status, c.updated_at;
  end if;

  v_qualifies := v_rises and array_position('{cold,warm,hot}', c.lead_quality) > array_position('{cold,warm,hot}', v_before.lead_quality);
  -- The event of a reopened conversation has the new score and notifies in any case.
  v_announces := v_qualifies and not v_reopens and coalesce(p -> 'notifyQualified', '["hot"]') ? c.lead_quality;
  -- Once for each quality, even if an agent has lowered it since.
  if v_announces and to_regclass('public.lead_events') is not null then
    v_qualifies := not exists (select from public.lead_events where idempotency_key = 'lead.qualified:' || v_id || ':' || c.lead_quality);
    v_announces := v_qualifies;
  end if;
  v_moves := v_proven and c.first_response_at is not null and not v_reopens and not v_announces
    and (nullif(c.customer_phone, ''), lower(nullif(c.customer_email, '')))
      is distinct from (nullif(v_before.customer_phone, ''), lower(nullif(v_before.customer_email, '')));
  if v_added > 0 and (v_reopens or v_announces or v_moves) then
    select m.text into v_message from (
      select distinct on (client_id) * from leadpipe.message_fields(p -> 'messages', now()) order by client_id, "position") as m
    where m.sender = 'customer' order by m."position" desc limit 1;
  end if;
  v_facts := jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
    || case when v_rises then jsonb_build_object('score', c.lead_score, 'quality', c.lead_quality,
         'scoreBefore', v_before.lead_score, 'qualityBefore', v_before.lead_quality) else '{}' end;
  if to_regclass('public.lead_events') is not null then
    -- The event of a reopened conversation notifies, so it has the facts of a new lead and the customer's latest
    -- message. The customer is the stored one, because an unproven request may name another.
    v_event := public.emit_lead_event('lead.updated', v_id, v_facts || case when v_reopens then
      jsonb_strip_nulls(jsonb_build_object('message', v_message))
      || coalesce(nullif(p #> '{event,payload}', 'null'), '{}') - '{customerName,customerPhone,customerEmail}'::text[] || jsonb_strip_nulls(jsonb_build_object(
        'reopenedFrom', v_before.status, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
        'customerEmail', c.customer_email, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality))
      when v_moves then jsonb_strip_nulls(jsonb_build_object('conversation', v_id, 'source', c.source, 'message', v_message,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'contactBefore', jsonb_build_object(
          'customerPhone', nullif(v_before.customer_phone, ''), 'customerEmail', nullif(v_before.customer_email, '')))) else '{}' end);
    -- All facts are the stored ones.
    if v_qualifies then
      perform public.emit_lead_event('lead.qualified', v_id, v_facts - '{messagesAdded,proven}'::text[] || case when v_announces then
        jsonb_strip_nulls(jsonb_build_object('risenFrom', v_before.lead_quality, 'conversation', v_id, 'source', c.source,
          'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
          'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
          'leadScoreBefore', v_before.lead_score, 'intent', c.intent, 'budget', c.budget, 'propertyType', c.property_type,
          'preferredArea', c.preferred_area, 'message', v_message)) else '{}' end,
        case when v_announces then 'lead.qualified:' || v_id || ':' || c.lead_quality end);
    end if;
  end if;

  if to_regclass('public.conversation_timeline') is not null then
    if v_reopens then
      perform public.add_timeline_entry(v_id, 'status_changed', 'Reopened: the customer wrote again',
        format('Status %s, was %s', c.status, v_before.status), 'system', null, null,
        jsonb_build_object('from', v_before.status, 'to', c.status));
    end if;
    if v_rises then
      perform public.add_timeline_entry(v_id, 'status_changed',
        case when c.lead_quality <> v_before.lead_quality then 'Lead qualified as ' || c.lead_quality else 'Lead score rose' end,
        format('Score %s (%s), was %s (%s)', c.lead_score, c.lead_quality, v_before.lead_score, v_before.lead_quality),
        'system', null, null, v_facts - '{messagesAdded,proven}'::text[]);
    end if;
    if not v_proven then
      v_unstored := nullif(jsonb_strip_nulls(jsonb_build_object(
        'customerName', nullif(l.name, c.customer_name), 'customerPhone', nullif(l.phone, c.customer_phone),
        'customerEmail', nullif(lower(l.email), lower(c.customer_email)), 'intent', nullif(l.intent, c.intent),
        'budget', nullif(l.budget, c.budget), 'propertyType', nullif(l.property_type, c.property_type),
        'preferredArea', nullif(l.preferred_area, c.preferred_area), 'notes', l.notes, 'setAside', l.metadata -> 'setAside')), '{}');
    end if;
    -- note_added, because the customer added something. customer_contacted is for contact by an agent.
    perform public.add_timeline_entry(v_id, 'note_added', 'Lead Updated',
      (select E'Not stored, because the sender may be another person:\n' || string_agg(d.key || ': ' || d.value, E'\n')
       from jsonb_each_text(v_unstored) d),
      'customer', null, null, jsonb_build_object('messagesAdded', v_added, 'proven', v_proven)
        || case when v_unstored is null then '{}' else jsonb_build_object('notStored', v_unstored) end);
  end if;

  return jsonb_build_object(
    'outcome', 'continued', 'created', false, 'id', v_id, 'status', c.status,
    'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at),
    'eventId', v_event, 'messagesAdded', v_added)
    || case when v_rises then jsonb_build_object('rise', v_facts - '{messagesAdded,proven}'::text[]) else '{}' end
    || case when v_reopens then jsonb_build_object('reopenedFrom', v_before.status) else '{}' end
    -- The fields whose values were not stored, because the conversation has as many as it can hold.
    || coalesce((select jsonb_build_object('full', jsonb_agg(field)) from unnest(array[
         case when v_proven and not l.tags <@ c.tags then 'tags' end,
         case when v_proven and not coalesce(l.metadata <@ c.metadata, l.metadata is null) then 'metadata' end]) as field
       where field is not null having count(*) > 0), '{}');
end
$$;

revoke all on function leadpipe.capture_known_lead(jsonb) from public, anon, authenticated;

-- Updates a locked conversation. Returns true if anything changed. `p_change` can contain `status`, `leadScore`,
-- `leadQuality`, `tags`, `addTags`, `removeTags`, `notes` (appended if `notesMode` is append), `outcome` and `conversionValue`. `clear` lists
-- the fields to set to null.
create or replace function leadpipe.apply_changes(c public.conversations, p_change jsonb, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n public.conversations := c;  -- the new state
  v_clear text[] := array(select jsonb_array_elements_text(p_change -> 'clear'));
  v_note text := leadpipe.to_nfc(p_change ->> 'notes');
  v_ranks constant text[] := '{cold,warm,hot}';
  v_closed constant text[] := '{completed,lost,converted}';
  v_removed text[];
  v_event text;
  v_worth text;  -- describes the changes of outcome and value
begin
  n.status := coalesce(p_change ->> 'status', c.status);
  n.lead_score := coalesce((p_change ->> 'leadScore')::integer, c.lead_score);
  n.lead_quality := coalesce(p_change ->> 'leadQuality', c.lead_quality);
  if p_change ? 'tags' then
    n.tags := array(select tag from (
      select leadpipe.to_nfc(t) as tag, min(i) as first from jsonb_array_elements_text(p_change -> 'tags') with ordinality as sent (t, i)
      group by 1) tags order by first);
  end if;
  if p_change ?| array['addTags', 'removeTags'] then
    v_removed := array(select leadpipe.to_nfc(t) from jsonb_array_elements_text(p_change -> 'removeTags') as sent (t));
    n.tags := array(select t from unnest(n.tags) with ordinality as kept (t, i) where t <> all (v_removed) order by i)
      || array(select tag from (
        select leadpipe.to_nfc(t) as tag, min(i) as first
        from jsonb_array_elements_text(p_change -> 'addTags') with ordinality as sent (t, i) group by 1) added
      where tag <> all (n.tags) and tag <> all (v_removed) order by first);
    if cardinality(n.tags) > greatest(100, cardinality(c.tags)) then
      raise exception using errcode = 'LP400', message = 'invalid_list', detail = '{"field": "tags", "count": "at most 100", "items": "tags"}';
    end if;
  end if;
  n.notes := case
    when 'notes' = any (v_clear) then null
    when v_note is null then c.notes
    when p_change ->> 'notesMode' = 'append' then concat_ws(E'\n', nullif(c.notes, ''), v_note)
    else v_note end;
  if length(n.notes) > 20000 then
    raise exception using errcode = 'LP400', message = 'notes_too_long', detail = '{"field": "notes", "max": 20000}';
  end if;
  n.outcome := case when 'outcome' = any (v_clear) then null else coalesce(leadpipe.to_nfc(p_change ->> 'outcome'), c.outcome) end;
  n.conversion_value := case when 'conversionValue' = any (v_clear) then null
    else coalesce((p_change ->> 'conversionValue')::numeric, c.conversion_value) end;
  if n.lead_score <> c.lead_score then
    n.lead_score_breakdown := jsonb_build_object('source', 'agent', 'by', p_by, 'before',
      coalesce(c.lead_score_breakdown -> 'before', c.lead_score_breakdown));
  end if;
  -- Closed without a first response, after its deadline.
  n.sla_breached := c.sla_breached
    or (n.status = any (v_closed) and c.first_response_at is null and coalesce(c.sla_response_deadline <= now(), false));
  if n is not distinct from c then
    return false;
  end if;

  v_worth := nullif(concat_ws('; ',
    case when n.outcome is distinct from c.outcome then coalesce(n.outcome, 'outcome removed') end,
    case when n.conversion_value is distinct from c.conversion_value then
      coalesce('value ' || trim_scale(n.conversion_value), 'value removed') || coalesce(' (was ' || trim_scale(c.conversion_value) || ')', '')
    end), '');

  update public.conversations s set
    status = n.status, lead_score = n.lead_score, lead_quality = n.lead_quality, lead_score_breakdown = n.lead_score_breakdown,
    tags = n.tags, notes = n.notes, outcome = n.outcome, conversion_value = n.conversion_value, sla_breached = n.sla_breached
  where s.id = c.id;

  if n.status = any (v_closed) and c.status <> all (v_closed) and to_regclass('public.follow_up_tasks') is not null then
    perform leadpipe.cancel_reminders(c.id, f.id, 'cancelled: the lead was closed')
    from public.follow_up_tasks f where f.conversation_id = c.id and f.status in ('scheduled', 'in_progress', 'overdue');
  elsif n.status <> all (v_closed) and c.status = any (v_closed) then
    perform leadpipe.reopen_follow_ups(c.id);
    if n.sla_breached and c.first_response_at is null then
      -- It became overdue without a sweep, when it was closed.
      perform leadpipe.end_turns(array[c.id]);
    end if;
  end if;
  if n.status <> c.status then
    v_event := case n.status when 'converted' then 'lead.converted' when 'lost' then 'lead.lost' else 'lead.updated' end;
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case n.status when 'converted' then 'Lead converted' when 'lost' then 'Lead lost'
        else format('Status changed from %s to %s', c.status, n.status) end,
      -- Describes this change only, not an earlier outcome.
      v_worth, v_event, jsonb_build_object('from', c.status, 'to', n.status)
        || jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value)));
  end if;
  if n.lead_quality <> c.lead_quality or n.lead_score <> c.lead_score then
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'Lead qualified as ' || n.lead_quality
        when n.lead_quality <> c.lead_quality then 'Lead quality lowered to ' || n.lead_quality
        else 'Lead score changed' end,
      format('Score %s (%s), was %s (%s)', n.lead_score, n.lead_quality, c.lead_score, c.lead_quality),
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'lead.qualified' else 'lead.updated' end,
      jsonb_build_object('score', n.lead_score, 'quality', n.lead_quality, 'scoreBefore', c.lead_score, 'qualityBefore', c.lead_quality));
    v_event := 'lead.updated';
  end if;
  if n.notes is distinct from c.notes then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when n.notes is null then 'Notes removed' when p_change ->> 'notesMode' = 'append' then 'Note added' else 'Notes changed' end, v_note);
  end if;
  if n.tags <> c.tags then
    perform leadpipe.record_activity(c.id, p_by, 'note_added', 'Tags changed', concat_ws('; ',
      'added: ' || nullif(array_to_string(array(select t from unnest(n.tags) t where t <> all (c.tags)), ', '), ''),
      'removed: ' || nullif(array_to_string(array(select t from unnest(c.tags) t where t <> all (n.tags)), ', '), '')));
  end if;
  if (n.outcome, n.conversion_value) is distinct from (c.outcome, c.conversion_value) and n.status = c.status then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when num_nonnulls(n.outcome, n.conversion_value) = 0 then 'Outcome removed'
        when n.outcome is distinct from c.outcome then 'Outcome recorded' else 'Value changed' end,
      v_worth, null, jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value, 'conversionValueBefore', c.conversion_value)));
  end if;
  -- Every change emits an event for the listeners of the live feed.
  if v_event is null then
    perform public.emit_lead_event('lead.updated', c.id, jsonb_build_object('by', p_by));
  end if;
  return true;
end
$$;

revoke all on function leadpipe.apply_changes(public.conversations, jsonb, text) from public, anon, authenticated;

-- Assigns a locked conversation to a locked agent. Returns true if anything changed. Raises LP409 if the conversation
-- is open and the agent is at capacity, unless `p_force` is true.
create or replace function leadpipe.assign_to_agent(
  c public.conversations, a public.agents, p_by text, p_force boolean, p_notes text default null, p_priority text default null) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_is_open boolean := c.status in ('new', 'in-progress');
begin
  if c.assigned_agent_id = a.id and p_notes is null and p_priority is null then
    return false;
  elsif v_is_open and c.assigned_agent_id is distinct from a.id and not p_force and leadpipe.open_conversation_count(a.id) >= a.max_capacity then
    raise exception using errcode = 'LP409', message = 'agent_at_capacity', detail = jsonb_build_object('count', leadpipe.open_conversation_count(a.id));
  end if;
  update public.conversations s set assigned_agent_id = a.id where s.id = c.id;
  if c.assigned_agent_id is distinct from a.id then
    perform leadpipe.begin_turn(c, a.id, 0);
    perform leadpipe.move_follow_ups(c, a.id);
  end if;
  perform leadpipe.record_activity(c.id, p_by, 'assigned', 'Assigned to ' || a.name, p_notes, 'lead.assigned', jsonb_strip_nulls(jsonb_build_object(
    'agentId', a.id, 'agentName', a.name, 'agentIdBefore', c.assigned_agent_id, 'priority', p_priority)));
  return true;
end
$$;

revoke all on function leadpipe.assign_to_agent(public.conversations, public.agents, text, boolean, text, text) from public, anon, authenticated;

-- GET /api/admin/sla: conversations whose first response is late or due soon, earliest deadline first, and how many overdue
-- ones have no agent (at most 1,000 are counted).
create or replace function public.list_sla(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_exact constant integer := 10000;
  -- The first conditions match the partial index on open deadlines.
  c_waiting constant text := 'from public.conversations t where t.first_response_at is null '
    'and t.status not in (''completed'', ''lost'', ''converted'') and t.sla_response_deadline <= greatest(($1).now, ($1).warn_hot, ($1).warn_warm, '
    '($1).warn_cold) and (t.sla_response_deadline <= ($1).now or t.sla_response_deadline <= case t.lead_quality when ''hot'' then ($1).warn_hot '
    'when ''warm'' then ($1).warn_warm else ($1).warn_cold end)';
  v_limit integer := coalesce((p ->> 'limit')::integer, 25);
  f leadpipe.conversation_search;
  v_place jsonb;
  v_ids uuid[];
  v_expected double precision;
  v_total bigint;
begin
  p := leadpipe.authorize(p, 'read');
  f.now := now();
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  v_place := leadpipe.cursor_position('sla-list', p ->> 'cursor');
  f.after_time := (v_place ->> 'at')::timestamptz;
  f.after_id := (v_place ->> 'id')::uuid;

  execute 'select array(select t.id ' || c_waiting
    || case when v_place is not null then ' and (t.sla_response_deadline, t.id) > (($1).after_time, ($1).after_id)' else '' end
    || ' order by t.sla_response_deadline, t.id limit $2)' into v_ids using f, v_limit + 1;
  v_expected := leadpipe.estimate_rows('select ' || c_waiting, f);
  if v_expected <= 2 * c_exact then
    execute 'select count(*) from (select ' || c_waiting || ' limit $2) counted' into v_total using f, c_exact + 1;
    v_total := nullif(v_total, c_exact + 1);
  end if;
  return jsonb_build_object(
    'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p) || jsonb_build_object(
               'minutesRemaining', floor(extract(epoch from c.sla_response_deadline - f.now) / 60)) order by n), '[]')
             from unnest(v_ids[:v_limit]) with ordinality as found (id, n) join public.conversations c on c.id = found.id),
    'total', coalesce(v_total, greatest(round(v_expected)::bigint, c_exact + 1)), 'totalIsEstimate', v_total is null,
    'waitingForAgent', (
      -- The conditions match the index conversations_waiting_idx.
      select count(*) from (
        select from public.conversations c
        where c.sla_breached and c.assigned_agent_id is null and c.first_response_at is null
          and c.status not in ('completed', 'lost', 'converted') limit 1000) waiting),
    'limit', v_limit, 'nextCursor', (
      select leadpipe.row_cursor('sla-list', c.sla_response_deadline, c.id) from public.conversations c
      where c.id = v_ids[v_limit] and cardinality(v_ids) > v_limit));
end
$$;

revoke all on function public.list_sla(jsonb) from public, anon, authenticated;

grant execute on function public.list_sla(jsonb) to leadpipe_admin, service_role;

-- Removes the agent of a locked conversation, and of those of its open follow-ups that were this agent's. Returns true if
-- it had one.
create or replace function leadpipe.unassign(c public.conversations, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if c.assigned_agent_id is null then
    return false;
  end if;
  update public.conversations s set assigned_agent_id = null where s.id = c.id;
  perform leadpipe.release_lead(c);
  perform leadpipe.move_follow_ups(c, null);
  perform leadpipe.record_activity(c.id, p_by, 'assigned', 'Unassigned',
    (select 'Was assigned to ' || a.name from public.agents a where a.id = c.assigned_agent_id), 'lead.updated',
    jsonb_build_object('agentIdBefore', c.assigned_agent_id));
  return true;
end
$$;

revoke all on function leadpipe.unassign(public.conversations, text) from public, anon, authenticated;

-- True if a delivery can be sent again. Rows that only say that a provider is missing cannot, and neither can those to the
-- address of someone who is no agent any more.
create or replace function leadpipe.can_be_sent_again(p_recipient text, p_to_agent boolean) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when p_to_agent then exists (select from public.agents a where a.email = p_recipient) else p_recipient not in ('agent', 'customer') end
$$;

revoke all on function leadpipe.can_be_sent_again(text, boolean) from public, anon, authenticated;

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
      -- The class config has no limit of time, because somebody corrects the settings. An agent's address may stay wrong.
      next_attempt_at = case when o.status = 'failed'
          and not (d.to_agent and o.class = 'config' and coalesce(d.retried_at, d.created_at) < v_now - interval '72 hours')
        then v_now + make_interval(secs => o."retryInSeconds") end,
      sent_at = case when o.status = 'sent' then o."finishedAt" else d.sent_at end,
      provider_id = coalesce(o."providerId", d.provider_id),
      subject = coalesce(o.subject, d.subject),
      lease_until = null, leased_by = null, updated_at = clock_timestamp()
    from outcome o
    where d.id = o.id and d.id = any (v_ids) and d.fence = o.fence
      and (d.status = 'sending' or (d.status = 'failed' and d.outcome_class = 'unknown' and d.lease_until is null
          and o.class <> 'unknown'))
    returning d.id, d.retry_count + 1 - o.burned as attempt, d.begun_at, d.lead_event_id, d.conversation_id, d.channel, d.to_agent, d.next_attempt_at, d.error_message,
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
    -- These two classes affect the whole channel: it is paused until the next attempt. The refusal of an agent's
    -- address, which no setting names, must not stop the messages about new leads; a refused log-in or a failed
    -- connection, which has no status code, does.
    insert into public.notification_channels as n (channel, paused_since, paused_until, pause_reason, pause_class, fail_streak)
    select channel, v_now, max(next_attempt_at), min(error_message),
      case when bool_or(class = 'config') then 'config' else 'throttled' end, bool_or(class = 'config')::integer
    from changed
    where (class = 'throttled' or class = 'config'
        and (not to_agent or coalesce("statusCode" in (401, 530, 534, 535, 538), true))) and next_attempt_at is not null
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

-- Sends finished notifications once more. For the newest delivery of each event, channel and recipient, it creates a
-- new delivery, linked by replay_of, and reopens the event. `ids`, `from` and `to` (the time of the event), `channel`
-- and `class` select the deliveries. Deliveries that are unfinished or were created since `asOf` are skipped, so that
-- two calls do not replay the same delivery. Events that were planned while no channel was configured for them are
-- planned again, unless a channel or class is given; their ids are in `events`. Each call replays at most 1,000
-- deliveries, oldest first; the next call continues at `after`. With `dryRun`, nothing is changed.
create or replace function public.replay_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_now timestamptz := clock_timestamp();
  v_as_of timestamptz := coalesce((p ->> 'asOf')::timestamptz, v_now);
  v_is_dry boolean := coalesce((p ->> 'dryRun')::boolean, false);
  v_chosen uuid[];
  v_after jsonb;
  v_unrouted uuid[];
  v_found jsonb;
begin
  if p -> 'ids' is null and p ->> 'from' is null and p ->> 'to' is null and p ->> 'channel' is null and p ->> 'class' is null then
    raise exception 'ids, from, to, channel or class is required' using errcode = '22023';
  end if;
  select array_agg(id order by created_at, id) into v_chosen from (
    select d.id, d.created_at from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
    where (d.status in ('sent', 'delivered') or (d.status = 'failed' and d.next_attempt_at is null))
      and d.created_at < v_as_of and not e.payload ? 'erased' and leadpipe.can_be_sent_again(d.recipient, d.to_agent)
      and (p -> 'after' is null or (d.created_at, d.id) > ((p #>> '{after,at}')::timestamptz, (p #>> '{after,id}')::uuid))
      and (p -> 'ids' is null or d.lead_event_id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
      -- A delivery is never older than its event: the first condition lets the planner use the index.
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
    -- Lock events first, as in all functions.
    perform from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (v_chosen)) order by e.id for no key update;
  end if;

  if p -> 'after' is null and p ->> 'channel' is null and p ->> 'class' is null then
    v_unrouted := array(
      select e.id from public.lead_events e
      where e.planned_at is not null and e.created_at < v_as_of and leadpipe.event_notifies(e.event_type, e.payload)
        and not e.payload ? 'erased'
        and (p -> 'ids' is null or e.id in (select value::uuid from jsonb_array_elements_text(p -> 'ids')))
        and (p ->> 'from' is null or e.created_at >= (p ->> 'from')::timestamptz)
        and (p ->> 'to' is null or e.created_at < (p ->> 'to')::timestamptz)
        and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
      order by e.id limit 10000 for no key update);
    update public.lead_events e set planned_at = null, processed = false, processed_at = null, updated_at = v_now
    where e.id = any (v_unrouted) and not v_is_dry;
  end if;

  with chosen as materialized (
    select d.*, leadpipe.uuid_v7() as new_id from public.notification_logs d
    where d.id = any (v_chosen) and not leadpipe.is_erased(d.lead_event_id)
  ), made as (
    insert into public.notification_logs (
      id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, created_at, replay_of, retried_at, paused_before)
    select new_id, lead_event_id, event_at, conversation_id, channel, recipient, to_agent, v_now, id, v_now, leadpipe.paused_seconds(channel, v_now)
    from chosen where not v_is_dry
  ), logged as (
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
    perform leadpipe.settle_events((select array_agg(distinct (d ->> 'eventId')::uuid) from jsonb_array_elements(v_found) d));
  end if;
  return jsonb_build_object('deliveries', v_found, 'events', coalesce(to_jsonb(v_unrouted), '[]'), 'asOf', v_as_of, 'after', v_after, 'isComplete', v_after is null);
end
$$;

revoke all on function public.replay_events(jsonb) from public, anon, authenticated;

grant execute on function public.replay_events(jsonb) to leadpipe_admin, service_role;

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
      and not leadpipe.is_erased(d.lead_event_id) and leadpipe.can_be_sent_again(d.recipient, d.to_agent)
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

-- Cancels the deliveries to an agent's address that have not been sent, because no agent has it any more. The caller has
-- locked the agent.
create or replace function leadpipe.cancel_agent_mail(p_email text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is not null and to_regclass('public.notification_logs') is not null then
    perform leadpipe.cancel_deliveries(array(
      select d.id from public.notification_logs d where d.to_agent and d.due_at is not null and d.recipient = p_email),
      'cancelled: no agent has this address');
  end if;
end
$$;

revoke all on function leadpipe.cancel_agent_mail(text) from public, anon, authenticated;

-- Cancels the reminders of a follow-up that have not been sent, for the reason given; see cancel_deliveries. If the
-- follow-up stays or becomes due again, its agent is reminded of it again.
create or replace function leadpipe.cancel_reminders(p_conversation uuid, p_follow_up uuid, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_events uuid[];
begin
  -- The clean-up drops these tables.
  if to_regclass('public.lead_events') is null or to_regclass('public.notification_logs') is null then
    return;
  end if;
  v_events := leadpipe.cancel_deliveries(array(
    select d.id from public.lead_events e join public.notification_logs d on d.lead_event_id = e.id
    where e.conversation_id = p_conversation and e.event_type = 'lead.follow_up_due' and not e.processed
      and e.payload ->> 'followUpId' = p_follow_up::text), p_reason);
  if v_events <> '{}' then
    update public.lead_events e set idempotency_key = null where e.id = any (v_events);
    update public.follow_up_tasks f set reminded_for = null where f.id = p_follow_up;
  end if;
end
$$;

revoke all on function leadpipe.cancel_reminders(uuid, uuid, text) from public, anon, authenticated;

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
      and c.status not in ('completed', 'lost', 'converted')
    union all
    select c.assigned_agent_id, 'waiting', c.sla_response_deadline, null, c.id
    from public.conversations c
    where c.first_response_at is null and c.sla_response_deadline is not null
      and c.status not in ('completed', 'lost', 'converted')
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
    join public.conversations c on c.id = i.conversation and c.id = any (v_held) and c.status not in ('completed', 'lost', 'converted')
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

-- Gives the open follow-ups of a locked conversation that were its agent's to another agent, who is locked too, or to none.
-- Reminders that have not been sent go to the new agent.
create or replace function leadpipe.move_follow_ups(c public.conversations, p_agent uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids uuid[];
  v_id uuid;
begin
  -- The clean-up drops this table.
  if c.assigned_agent_id is null or c.assigned_agent_id = p_agent or to_regclass('public.follow_up_tasks') is null then
    return;
  end if;
  v_ids := array(
    select f.id from public.follow_up_tasks f
    where f.conversation_id = c.id and f.assigned_agent_id = c.assigned_agent_id
      and f.status in ('scheduled', 'in_progress', 'overdue')
    order by f.id for no key update);
  update public.follow_up_tasks f set assigned_agent_id = p_agent where f.id = any (v_ids);
  foreach v_id in array v_ids loop
    perform leadpipe.cancel_reminders(c.id, v_id, 'cancelled: the follow-up has another agent');
  end loop;
end
$$;

revoke all on function leadpipe.move_follow_ups(public.conversations, uuid) from public, anon, authenticated;

-- Emits the event lead.follow_up_due for each of the locked follow-ups, once for each follow-up and time, with its
-- deliveries, and writes the timelines. Follow-ups of closed conversations are skipped; erasing a person closes them.
--
-- Not every event has a message of its own: an agent can have `p_most` at once and as many a minute, and only for
-- follow-ups after `p_own_after`. The others are counted for a summary (`summed`).
create or replace function leadpipe.remind_of_follow_ups(
  p_ids uuid[], p_channels jsonb, p_most integer, p_own_after timestamptz, p_now timestamptz, out own integer, out summed integer)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  c_office constant uuid := '00000000-0000-0000-0000-000000000000';
  v_has_channels constant boolean := jsonb_array_length(p_channels) > 0;
begin
  with due as materialized (
    select f.id, f.follow_up_date, f.reminder_type, f.notify_customer, f.conversation_id, mail.address,
      case when mail.address is null then c_office else a.id end as recipient,
      jsonb_strip_nulls(jsonb_build_object(
        'followUpId', f.id, 'dueAt', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type,
        'reminderText', f.reminder_text, 'priority', f.priority,
        'customerName', c.customer_name, 'customerPhone', c.customer_phone, 'customerEmail', c.customer_email,
        'customerPhoneExtension', c.metadata -> 'customerPhoneExtension', 'assignedAgentId', a.id, 'assignedAgentName', a.name,
        'agentHasNoAddress', case when a.id is not null and mail.address is null then true end,
        'notifyCustomer', case when f.notify_customer then true end)) as facts
    from public.follow_up_tasks f
    join public.conversations c on c.id = f.conversation_id
    left join public.agents a on a.id = coalesce(f.assigned_agent_id, c.assigned_agent_id)
    cross join lateral (select leadpipe.agent_address(a.email)) as mail (address)
    where f.id = any (p_ids) and c.status not in ('completed', 'lost', 'converted')
  ), allowed as materialized (
    -- A minute gives back all. If the clock was set back, the difference is negative.
    select who.recipient, case when r.own_at is null or r.own_at > p_now then p_most
      else least(r.own_left + p_most * extract(epoch from p_now - r.own_at)::double precision / 60, p_most) end as most
    from (select distinct recipient from due) who left join leadpipe.follow_up_reminders r on r.recipient = who.recipient
  ), ranked as materialized (
    select due.*, follow_up_date > p_own_after and row_number() over (
        partition by recipient order by follow_up_date > p_own_after desc, follow_up_date, id) <= floor(most) as is_own
    from due join allowed using (recipient)
  ), emitted as materialized (
    insert into public.lead_events (
      event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at, created_at, updated_at)
    select 'lead.follow_up_due', conversation_id, case when is_own then facts else facts || '{"isSummedUp": true}' end,
      'lead.follow_up_due:' || id || ':' || leadpipe.iso8601(follow_up_date),
      not (is_own and v_has_channels), case when not (is_own and v_has_channels) then p_now end, p_now, p_now, p_now
    from ranked
    on conflict (idempotency_key) do nothing
    returning id, (payload ->> 'followUpId')::uuid as follow_up_id
  ), planned as (
    insert into public.notification_logs (
      lead_event_id, event_at, conversation_id, channel, recipient, to_agent, status, outcome_class, error_message,
      paused_before, created_at, updated_at)
    select emitted.id, p_now, r.conversation_id, route.channel, route.recipient, route.to_agent,
      case when reason is null then 'pending' else 'failed' end, case when reason is not null then 'permanent' end, reason,
      leadpipe.paused_seconds(route.channel, p_now), p_now, p_now
    from emitted join ranked r on r.id = emitted.follow_up_id and r.is_own
    cross join lateral (
      select * from leadpipe.agent_routes(r.address, p_channels)
      union all
      select r.reminder_type::public.notification_channel, 'agent', false, format(
        'waits for its provider: %s is not available yet; the reminder went out by another channel instead',
        case r.reminder_type when 'sms' then 'SMS' else 'WhatsApp' end)
      where r.reminder_type in ('sms', 'whatsapp')
      union all
      select case when r.reminder_type = 'call' then 'sms' else r.reminder_type end::public.notification_channel, 'customer', false,
        'waits for its provider: this version sends no messages to customers'
      where r.notify_customer
    ) route
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, metadata)
    select r.conversation_id, 'note_added', leadpipe.follow_up_title(r.reminder_type, null) || ' is due',
      jsonb_build_object('followUpId', r.id, 'followUpDate', leadpipe.iso8601(r.follow_up_date))
    from ranked r join emitted on emitted.follow_up_id = r.id
  ), counted as (
    insert into leadpipe.follow_up_reminders as old (recipient, own_left, own_at, summed, oldest)
    select r.recipient, max(allowed.most) - count(*) filter (where r.is_own), p_now, count(*) filter (where not r.is_own),
      min(r.follow_up_date) filter (where not r.is_own)
    from ranked r join emitted on emitted.follow_up_id = r.id join allowed on allowed.recipient = r.recipient
    group by r.recipient
    on conflict (recipient) do update set own_left = excluded.own_left, own_at = excluded.own_at,
      summed = old.summed + excluded.summed, oldest = least(old.oldest, excluded.oldest)
  )
  select count(*) filter (where r.is_own), count(*) filter (where not r.is_own) into own, summed
  from emitted join ranked r on r.id = emitted.follow_up_id;
end
$$;

revoke all on function leadpipe.remind_of_follow_ups(uuid[], jsonb, integer, timestamptz, timestamptz) from public, anon, authenticated;

-- Lets the agent of a locked conversation that is reopened be reminded of the follow-ups whose time has passed while it was
-- closed. Those that the agent has been reminded of before are not repeated: their events exist.
create or replace function leadpipe.reopen_follow_ups(p_conversation uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops this table.
  if to_regclass('public.follow_up_tasks') is not null then
    update public.follow_up_tasks f set reminded_for = null
    where f.conversation_id = p_conversation and f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is not null;
  end if;
end
$$;

revoke all on function leadpipe.reopen_follow_ups(uuid) from public, anon, authenticated;

-- Reminds agents of the follow-ups that are due, in one small batch: at most `batch` (default 100, at most 500). Each
-- follow-up is reminded of once for each time that it has been set to, and becomes overdue. `channels` has the configured
-- channels and recipients. `ownPerMinute` (default 20) reminders of an agent have a message of their own, if they are no
-- older than `ownForSeconds` (default 3600); one event for each agent sums up the others when nothing is left.
--
-- Returns the time of the database (`now`), how many reminders have a message (`reminded`) and how many are summed up
-- (`summedUp`), how many summaries were emitted (`summaries`), whether nothing is left (`isComplete`), when the next
-- follow-up or summary is due (`nextAt`), and the day of the last digests (`digestedOn`). One call works at a time; the
-- others return `isBusy` at once. Waits for no row: what another session has locked is left for a later call.
create or replace function public.sweep_follow_ups(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 100), 1), 500);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_own_for constant interval := make_interval(secs => greatest(coalesce((p ->> 'ownForSeconds')::integer, 3600), 0));
  v_channels constant jsonb := coalesce(p -> 'channels', '[]');
  v_now timestamptz := clock_timestamp();
  v_due uuid[];
  s leadpipe.follow_up_sweep;
  v_own integer := 0;
  v_summed integer := 0;
  v_summaries integer := 0;
begin
  perform leadpipe.check_size(p, 65536);
  if to_regclass('public.follow_up_tasks') is null or to_regclass('public.lead_events') is null
    or to_regclass('public.conversation_timeline') is null or to_regclass('public.notification_logs') is null
  then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', false,
      'isComplete', true, 'nextAt', null, 'digestedOn', 'infinity');
  end if;
  insert into leadpipe.follow_up_sweep (is_only) select true where not exists (select from leadpipe.follow_up_sweep) on conflict do nothing;
  select * into s from leadpipe.follow_up_sweep for no key update skip locked;
  v_now := clock_timestamp();
  if not found then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'reminded', 0, 'summedUp', 0, 'summaries', 0, 'isBusy', true,
      'isComplete', false, 'nextAt', null, 'digestedOn', null);
  end if;

  -- The conditions match the index follow_up_tasks_due_idx. The latest come first, so that a backlog delays none of them.
  v_due := array(
    select f.id from public.follow_up_tasks f join public.conversations c on c.id = f.conversation_id
    where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
      and f.follow_up_date <= v_now
    order by f.follow_up_date desc limit v_batch for no key update of c, f skip locked);
  if cardinality(v_due) > 0 then
    select own, summed into v_own, v_summed
    from leadpipe.remind_of_follow_ups(v_due, v_channels, v_most, v_now - v_own_for, v_now);
    update public.follow_up_tasks f set
      reminded_for = f.follow_up_date, status = case when f.status in ('scheduled', 'in_progress') then 'overdue' else f.status end
    where f.id = any (v_due);
  end if;
  if cardinality(v_due) < v_batch then
    v_summaries := leadpipe.sum_up_follow_ups(v_channels, v_now);
  end if;

  return jsonb_build_object(
    'now', leadpipe.iso8601(v_now), 'reminded', v_own, 'summedUp', v_summed, 'summaries', v_summaries, 'isBusy', false,
    'isComplete', cardinality(v_due) < v_batch,
    'nextAt', leadpipe.iso8601(least(
      (select f.follow_up_date from public.follow_up_tasks f
       where f.status in ('scheduled', 'in_progress', 'overdue') and f.reminded_for is distinct from f.follow_up_date
       order by f.follow_up_date limit 1),
      (select min(greatest(m.summed_at + interval '1 minute', v_now)) from leadpipe.follow_up_reminders m where m.summed > 0))),
    'digestedOn', case when s.digested_on <= (v_now at time zone 'UTC')::date + 1 then s.digested_on end);
end
$$;

revoke all on function public.sweep_follow_ups(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_follow_ups(jsonb) to leadpipe_worker, service_role;

-- Updates, completes or cancels a follow-up. Raises LP404 if it does not exist, LP409 if it is already completed or
-- cancelled.
create or replace function public.update_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_conversation uuid;
  f record;  -- before
  n record;  -- after
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'assignedAgentId' then
    perform leadpipe.lock_agent((p ->> 'assignedAgentId')::uuid);
  end if;
  select conversation_id into v_conversation from public.follow_up_tasks where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'follow_up_not_found';
  end if;
  perform leadpipe.lock_conversation(jsonb_build_object('id', v_conversation));
  select * into f from public.follow_up_tasks where id = (p ->> 'id')::uuid for no key update;
  if f.status in ('completed', 'cancelled') then
    raise exception using errcode = 'LP409', message = 'follow_up_closed', detail = jsonb_build_object('status', f.status);
  end if;
  update public.follow_up_tasks t set
    status = case
      when p ? 'status' then (p ->> 'status')::public.follow_up_status
      when t.status = 'overdue' and p ? 'followUpDate' then 'scheduled' else t.status end,
    completed_at = case when p ->> 'status' = 'completed' then clock_timestamp() end,
    follow_up_date = coalesce((p ->> 'followUpDate')::timestamptz, t.follow_up_date),
    reminder_type = coalesce(p ->> 'reminderType', t.reminder_type),
    reminder_text = coalesce(leadpipe.to_nfc(p ->> 'reminderText'), t.reminder_text),
    priority = coalesce(p ->> 'priority', t.priority),
    notify_customer = coalesce((p ->> 'notifyCustomer')::boolean, t.notify_customer),
    assigned_agent_id = coalesce((p ->> 'assignedAgentId')::uuid, t.assigned_agent_id),
    notes = coalesce(leadpipe.to_nfc(p ->> 'notes'), t.notes)
  where t.id = f.id returning * into n;
  -- A reminder that still waits would be false.
  if n.status in ('completed', 'cancelled') or n.follow_up_date <> f.follow_up_date or n.assigned_agent_id is distinct from f.assigned_agent_id then
    perform leadpipe.cancel_reminders(v_conversation, n.id, case when n.status in ('completed', 'cancelled')
      then 'cancelled: the follow-up was ' || n.status when n.follow_up_date <> f.follow_up_date then 'cancelled: the follow-up was moved'
      else 'cancelled: the follow-up has another agent' end);
  end if;
  if n.status = 'completed' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_completed',
      leadpipe.follow_up_title(n.reminder_type, null) || ' completed', n.notes,
      'lead.follow_up_completed', jsonb_build_object('followUpId', n.id));
  elsif n.status = 'cancelled' then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, null) || ' cancelled', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id));
  elsif n.follow_up_date <> f.follow_up_date then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'follow_up_scheduled', 'Rescheduled: ' || leadpipe.follow_up_title(n.reminder_type, n.follow_up_date),
      n.notes, 'lead.follow_up_scheduled', jsonb_build_object('followUpId', n.id, 'followUpDate', leadpipe.iso8601(n.follow_up_date),
        'before', leadpipe.iso8601(f.follow_up_date)));
  elsif (n.status, n.reminder_type, n.reminder_text, n.priority, n.assigned_agent_id, n.notes)
    is distinct from (f.status, f.reminder_type, f.reminder_text, f.priority, f.assigned_agent_id, f.notes) then
    perform leadpipe.record_activity(v_conversation, p ->> 'by', 'note_added',
      leadpipe.follow_up_title(n.reminder_type, n.follow_up_date) || ' changed', n.notes,
      'lead.updated', jsonb_build_object('followUpId', n.id, 'status', n.status, 'priority', n.priority, 'assignedAgentId', n.assigned_agent_id));
  end if;
  return leadpipe.follow_up_document(to_jsonb(n));
end
$$;

revoke all on function public.update_follow_up(jsonb) from public, anon, authenticated;

grant execute on function public.update_follow_up(jsonb) to leadpipe_admin, service_role;

-- Counts the leads that prune_persons would erase now with `days`: {"leads", "oldest", "closed", "erasesFrom"}. `oldest` is
-- when the oldest of them was stored, `closed` the number of closed leads that are not erased, and `erasesFrom` the
-- beginning of the next pass; null if no worker has called prune_persons with days.
create or replace function public.count_old_leads(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_before constant timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('leads', count(*) filter (where is_old), 'oldest', leadpipe.iso8601(min(created_at) filter (where is_old)),
      'closed', count(*), 'erasesFrom', (
        select leadpipe.iso8601(case when l.passed_to is null then l.passed_at + interval '1 day' else l.called_at end) from leadpipe.person_lock l))
    from (
      select c.created_at, c.created_at < v_before and c.updated_at < v_before and leadpipe.is_unused_since(c.id, v_before) as is_old
      from public.conversations c where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted')) as closed);
end
$$;

revoke all on function public.count_old_leads(jsonb) from public, anon, authenticated;

grant execute on function public.count_old_leads(jsonb) to leadpipe_admin, service_role;

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
      -- The team's address, unless another program has written to the customer.
      recipient = case when exists (
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

-- Returns the digests of agents that have a line about one of these conversations.
create or replace function leadpipe.digests_about(p_ids uuid[]) returns setof uuid
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select e.id from public.lead_events e
  where e.event_type = 'agent.digest' and jsonb_path_query_array(e.payload, '$.lines[*].conversationId') ?| p_ids::text[]
$$;

revoke all on function leadpipe.digests_about(uuid[]) from public, anon, authenticated;

-- Removes the lines about conversations from the digests of agents, which the caller has locked.
create or replace function leadpipe.erase_digests(p_digests uuid[], p_ids uuid[], p_now timestamptz) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.lead_events e set updated_at = p_now, payload = jsonb_set(e.payload, '{lines}', (
    select coalesce(jsonb_agg(line.value order by line.ordinality), '[]')
    from jsonb_array_elements(e.payload -> 'lines') with ordinality as line
    where (line.value ->> 'conversationId')::uuid <> all (p_ids)))
  where e.id = any (p_digests)
$$;

revoke all on function leadpipe.erase_digests(uuid[], uuid[], timestamptz) from public, anon, authenticated;

-- Erases the personal data of the next closed leads to which nothing has happened since `p_before`, at most about 50, and
-- that of their customers who have no other lead. Reads at most 1,000 leads, in the order of their creation, from
-- `p_to` and `p_id` on. Leads that another session has locked stay for the next pass. Returns how many leads were erased,
-- and the last lead that was read; null at the end of the leads.
create or replace function leadpipe.erase_old_leads(
  p_before timestamptz, inout p_to timestamptz, inout p_id uuid, out erased integer)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_read constant integer := 1000;
  c_most constant integer := 50;
  v_row record;
  v_read integer := 0;
  v_ids uuid[] := '{}';
  v_events uuid[];
  v_gone record;
begin
  for v_row in
    select c.id, c.created_at from public.conversations c
    where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted') and c.created_at < p_before
      and (c.created_at, c.id) > (coalesce(p_to, '-infinity'), coalesce(p_id, '00000000-0000-0000-0000-000000000000'))
    order by c.created_at, c.id limit c_read
  loop
    v_read := v_read + 1;
    p_to := v_row.created_at;
    p_id := v_row.id;
    if leadpipe.is_unused_since(v_row.id, p_before) then
      v_ids := v_ids || v_row.id;
    end if;
    exit when cardinality(v_ids) = c_most;
  end loop;
  if v_read < c_read and cardinality(v_ids) < c_most then
    p_to := null;
    p_id := null;
  end if;

  -- Without waiting, in the order in which others lock: events, then conversations. The clean-up drops the events.
  if to_regclass('public.lead_events') is not null then
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (v_ids) order by e.id for update skip locked);
    v_ids := array(
      select id from unnest(v_ids) as id
      where not exists (select from public.lead_events e where e.conversation_id = id and e.id <> all (v_events)));
  end if;
  v_ids := array(
    select c.id from public.conversations c where c.id = any (v_ids) order by c.id for no key update skip locked);
  v_ids := array(select id from unnest(v_ids) as id where leadpipe.is_unused_since(id, p_before) order by id);
  erased := cardinality(v_ids);
  if erased = 0 then
    return;
  end if;
  select array_agg(distinct c.customer_id) as customers, array_agg(distinct c.customer_phone) as phones,
    array_agg(distinct lower(c.customer_email)) as emails into v_gone
  from public.conversations c where c.id = any (v_ids);
  perform leadpipe.erase_conversations(v_ids, 'retention');
  -- The numbers and addresses of customers who have no lead any more.
  with gone as (
    delete from public.customer_identities i
    where i.ctid = any (array(
        select o.ctid from public.customer_identities o where o.customer_id = any (v_gone.customers)
        union all select o.ctid from public.customer_identities o where o.kind = 'phone' and o.value = any (v_gone.phones)
        union all select o.ctid from public.customer_identities o where o.kind = 'email' and o.value = any (v_gone.emails)))
      and not exists (select from public.conversations c where c.customer_id = i.customer_id)
    returning i.kind, i.value)
  select array_agg(value) filter (where kind = 'phone') as phones, array_agg(value) filter (where kind = 'email') as emails into v_gone from gone;
  -- A merge can be undone for the rows that are left.
  delete from leadpipe.merged_rows r
  where (r.kind = 'conversation' and r.value = any (v_ids::text[])) or (r.kind = 'phone' and r.value = any (v_gone.phones))
    or (r.kind = 'email' and r.value = any (v_gone.emails));
end
$$;

revoke all on function leadpipe.erase_old_leads(timestamptz, timestamptz, uuid) from public, anon, authenticated;

-- Removes a person's data from all tables; see find_person and erase_conversations. `conversations` and `subscriptions`
-- must be the numbers that show_person returned, so that nothing is erased that nobody has seen; otherwise raises LP409.
-- The audit log records the numbers. Leads that are stored later are not affected.
create or replace function public.erase_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
  v_done jsonb;
  v_events uuid[];
  v_about uuid[];
  v_digests uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  perform leadpipe.lock_persons();
  perform leadpipe.settle_merges();
  v := leadpipe.find_person(p);
  if (p ->> 'conversations')::integer is distinct from cardinality(v.conversations)
    or (p ->> 'subscriptions')::integer is distinct from cardinality(v.subscribers) then
    raise exception using errcode = 'LP409', message = 'person_changed';
  end if;
  -- Before anything is locked, because it takes long.
  v_about := leadpipe.mentions_of_person(v.phones, v.emails);
  if to_regclass('public.lead_events') is not null then
    -- All events in one statement, in the order in which others lock them.
    v_digests := array(select leadpipe.digests_about(v.conversations));
    perform from public.lead_events e
    where e.conversation_id = any (v.conversations) or e.id = any (v_digests)
      or e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails)
    order by e.id for update;
  end if;
  -- How many had consented to marketing: what may be kept as proof that consent was asked for.
  v_done := jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers),
    'consents', (select count(*) from public.conversations c where c.id = any (v.conversations) and c.metadata @> '{"consent": {"marketing": true}}'));
  v_done := v_done || jsonb_build_object('notificationsCancelled', leadpipe.erase_conversations(v.conversations, p ->> 'by'));
  if to_regclass('public.notification_logs') is not null then
    -- What another program has sent to another address of the person.
    update public.notification_logs d set recipient = 'erased ' || d.id
    where d.conversation_id = any (v.conversations) and (lower(d.recipient) = any (v.emails) or leadpipe.phone_digits(d.recipient) in (
      select leadpipe.phone_digits(phone) from unnest(v.phones) as phone));
  end if;
  delete from public.newsletter_subscribers s where s.id = any (v.subscribers);
  -- After the subscription, whose row a concurrent subscription locks, so that its event is found too.
  if to_regclass('public.lead_events') is not null then
    v_events := array(
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  delete from public.customer_identities i
  where (i.kind = 'phone' and i.value = any (v.phones)) or (i.kind = 'email' and i.value = any (v.emails));
  perform leadpipe.forget_merges(v.conversations, v.phones, v.emails);
  if v_about <> '{}' then
    update public.conversation_timeline t set description = null, metadata = t.metadata - 'notStored' where t.id = any (v_about);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.erased', null, v_done);
  return v_done;
end
$$;

revoke all on function public.erase_person(jsonb) from public, anon, authenticated;

grant execute on function public.erase_person(jsonb) to leadpipe_admin, service_role;

-- Removes what an earlier program has written about conversations, and what the migrations have set aside: columns and
-- tables whose names end in _before_leadpipe. Values that other columns or tables of such a program contain are not
-- known here.
create or replace function leadpipe.erase_set_aside(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_part record;
begin
  for v_part in
    select c.oid::regclass as relation, k.attname as key, bool_or(k.atttypid = 'uuid'::regtype) as is_uuid,
      string_agg(format('%I = %s', a.attname, case when not a.attnotnull then 'null' when t.typcategory = 'S' then $q$''$q$ else $q$'{}'$q$ end), ', ') as erased
    from pg_class c
      join pg_attribute k on k.attrelid = c.oid and not k.attisdropped
        and k.attname = case when c.relname = 'conversations' then 'id' else 'conversation_id' end
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attname <> k.attname
      join pg_type t on t.oid = a.atttypid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and (a.attname like '%\_before\_leadpipe' and not a.attnotnull
        or c.relname like '%\_before\_leadpipe' and a.attname not in ('status', 'channel', 'event_type')
          and (t.typcategory = 'S' or t.oid in ('json'::regtype, 'jsonb'::regtype, 'text[]'::regtype)))
    group by 1, 2
  loop
    -- Without a cast, the index of the key is used.
    execute format('update %s set %s where ' || case when v_part.is_uuid then '%I = any ($1)' else '%I::text = any ($1::text[])' end,
      v_part.relation, v_part.erased, v_part.key) using p_ids;
  end loop;
end
$$;

revoke all on function leadpipe.erase_set_aside(uuid[]) from public, anon, authenticated;

-- True if nothing has happened to a closed lead since a time: no change, no message, no open follow-up for a later day.
create or replace function leadpipe.is_unused_since(p_id uuid, p_since timestamptz) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (
    select from public.conversations c
    where c.id = p_id and (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted') and c.created_at < p_since and c.updated_at < p_since)
    or exists (select from public.chat_messages m where m.conversation_id = p_id and m.created_at >= p_since) then
    return false;
  end if;
  -- The clean-up drops this table.
  return to_regclass('public.follow_up_tasks') is null or not exists (
    select from public.follow_up_tasks f
    where f.conversation_id = p_id and f.status not in ('completed', 'cancelled') and f.follow_up_date >= p_since);
end
$$;

revoke all on function leadpipe.is_unused_since(uuid, timestamptz) from public, anon, authenticated;

-- Cancels those of the deliveries that have not been sent, for the reason given, and returns their events. What another
-- session has locked is being sent or planned, and is left: waiting for it would break the order of locks.
create or replace function leadpipe.cancel_deliveries(p_ids uuid[], p_reason text) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_held uuid[];
  v_ids uuid[];
  v_events uuid[];
begin
  v_held := array(
    select e.id from public.lead_events e
    where e.id in (select d.lead_event_id from public.notification_logs d where d.id = any (p_ids))
    order by e.id for no key update skip locked);
  v_ids := array(
    select d.id from public.notification_logs d
    where d.id = any (p_ids) and d.lead_event_id = any (v_held) and d.due_at is not null and d.status <> 'sending'
    order by d.id for no key update skip locked);
  with cancelled as (
    update public.notification_logs d set
      status = 'failed', outcome_class = 'permanent', error_message = p_reason, next_attempt_at = null, lease_until = null,
      leased_by = null, fence = d.fence + 1, updated_at = clock_timestamp()
    where d.id = any (v_ids) returning d.lead_event_id)
  select coalesce(array_agg(distinct lead_event_id), '{}') into v_events from cancelled;
  perform leadpipe.settle_events(v_events);
  return v_events;
end
$$;

revoke all on function leadpipe.cancel_deliveries(uuid[], text) from public, anon, authenticated;
