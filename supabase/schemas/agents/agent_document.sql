-- Returns the number of open conversations of an agent.
create or replace function leadpipe.open_conversation_count(p_id uuid) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select count(*) from public.conversations c where c.assigned_agent_id = p_id and c.status in ('new', 'in-progress')
$$;
revoke all on function leadpipe.open_conversation_count(uuid) from public, anon, authenticated;

-- Returns an agent as shown in the admin interface.
create or replace function leadpipe.agent_document(a public.agents) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', a.id, 'name', a.name, 'email', a.email, 'phone', a.phone, 'department', a.department,
    'languages', coalesce(to_jsonb(a.languages), '[]'), 'areas', coalesce(to_jsonb(a.areas), '[]'),
    'status', a.status, 'maxCapacity', a.max_capacity, 'openConversations', leadpipe.open_conversation_count(a.id),
    'lastAssignedAt', leadpipe.iso8601(a.last_assigned_at), 'createdAt', leadpipe.iso8601(a.created_at), 'updatedAt', leadpipe.iso8601(a.updated_at))
$$;
revoke all on function leadpipe.agent_document(public.agents) from public, anon, authenticated;
