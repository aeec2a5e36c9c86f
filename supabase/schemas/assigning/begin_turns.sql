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
