-- Returns how a conversation is assigned: its `state` (answered, closed, assigned, overdue, not_due or waiting), the agent, since
-- when and how often it was passed on, the decisions, newest first, and, while it has no first response, the ranking of the
-- agents at this moment and why none of them can take it (`shortage`).
create or replace function leadpipe.assignment_document(c public.conversations) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  t leadpipe.assignment_turns;
  v_pool jsonb;
  v_state text := case
    when c.first_response_at is not null then 'answered' when c.status not in ('new', 'in-progress') then 'closed'
    when c.assigned_agent_id is not null then case when c.sla_breached then 'overdue' else 'assigned' end
    when c.sla_breached then 'waiting' else 'not_due' end;
  v_is_open boolean := v_state not in ('answered', 'closed');
begin
  select * into t from leadpipe.assignment_turns o where o.conversation_id = c.id;
  v_pool := case when v_is_open then leadpipe.agent_pool() else '[]' end;
  return jsonb_build_object(
    'state', v_state, 'agentId', c.assigned_agent_id,
    'agentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
    'since', case when t.since > '1970-01-02' then leadpipe.iso8601(t.since) end,
    'passedOn', case when t.deadline is not distinct from c.sla_response_deadline then coalesce(t.moves, 0) else 0 end,
    'shortage', case when v_is_open then leadpipe.shortage(v_pool) end,
    'candidates', case when v_is_open then jsonb_path_query_array(leadpipe.rank_agents(v_pool, leadpipe.lead_language(c), c.preferred_area,
      c.assigned_agent_id, case when t.deadline is not distinct from c.sla_response_deadline then coalesce(t.had_by, '{}') else '{}' end),
      '$[0 to 49]') else '[]' end,
    'decisions', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'at', leadpipe.iso8601(d.created_at), 'cause', d.cause, 'reason', d.reason,
        'agentId', d.agent_id, 'agentName', d.facts -> 'agentName', 'agentIdBefore', d.agent_id_before,
        'agentNameBefore', d.facts -> 'agentNameBefore', 'language', d.facts -> 'language', 'agents', d.facts -> 'agents',
        'candidates', d.facts -> 'candidates') order by d.created_at desc, d.id desc), '[]')
      from leadpipe.assignment_decisions d where d.conversation_id = c.id));
end
$$;
revoke all on function leadpipe.assignment_document(public.conversations) from public, anon, authenticated;

-- Returns how a conversation is assigned; see assignment_document.
create or replace function public.list_assignments(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object('id', c.id) || leadpipe.assignment_document(c);
end
$$;
revoke all on function public.list_assignments(jsonb) from public, anon, authenticated;
grant execute on function public.list_assignments(jsonb) to leadpipe_admin, service_role;
