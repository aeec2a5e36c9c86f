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

-- Assigns a conversation to an agent.
create or replace function public.assign_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'write');
  a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  perform leadpipe.assign_to_agent(leadpipe.lock_conversation(p), a, p ->> 'by', coalesce((p ->> 'force')::boolean, false),
    leadpipe.to_nfc(p ->> 'notes'), p ->> 'priority');
  return jsonb_build_object('status', 'assigned', 'agentId', a.id, 'agentName', a.name)
    || leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;
revoke all on function public.assign_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.assign_conversation(jsonb) to leadpipe_admin, service_role;
