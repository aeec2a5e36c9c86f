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

-- Removes a conversation's agent. Raises LP404 if the conversation does not exist, LP412 if it has changed since
-- `versions`. One without an agent stays as it is.
create or replace function public.unassign_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'write');
  perform leadpipe.unassign(leadpipe.lock_conversation(p), p ->> 'by');
  return jsonb_build_object('status', 'unassigned') || leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;
revoke all on function public.unassign_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.unassign_conversation(jsonb) to leadpipe_admin, service_role;
