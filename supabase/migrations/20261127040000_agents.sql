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
    'status', a.status, 'maxCapacity', a.max_capacity, 'openConversations', leadpipe.open_conversation_count(a.id),
    'createdAt', leadpipe.iso8601(a.created_at), 'updatedAt', leadpipe.iso8601(a.updated_at))
$$;
revoke all on function leadpipe.agent_document(public.agents) from public, anon, authenticated;

-- Adds an agent. Raises LP409 if the email address is in use.
create or replace function public.create_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'owner');
  insert into public.agents (name, email, phone, department, status, max_capacity)
  values (leadpipe.to_nfc(p ->> 'name'), lower(p ->> 'email'), p ->> 'phone', leadpipe.to_nfc(p ->> 'department'),
    coalesce(p ->> 'status', 'available'), coalesce((p ->> 'maxCapacity')::integer, 15))
  returning * into a;
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;
revoke all on function public.create_agent(jsonb) from public, anon, authenticated;
grant execute on function public.create_agent(jsonb) to leadpipe_admin, service_role;

-- Deletes an agent. Raises LP404 if it does not exist, and LP409 if it has open conversations unless `force` is true.
-- With `force` these conversations become unassigned, which their timelines record.
create or replace function public.delete_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_open uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
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
  delete from public.agents where id = a.id;
  perform leadpipe.record_activity(id, p ->> 'by', 'assigned', 'Unassigned', 'Agent ' || a.name || ' was deleted', 'lead.updated',
    jsonb_build_object('agentIdBefore', a.id))
  from unnest(v_open) as id;
  return '{}';
end
$$;
revoke all on function public.delete_agent(jsonb) from public, anon, authenticated;
grant execute on function public.delete_agent(jsonb) to leadpipe_admin, service_role;

-- Lists agents by name, optionally only those with one of the values in `status`.
create or replace function public.list_agents(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'read');
  return (
    select jsonb_build_object('data', coalesce(jsonb_agg(leadpipe.agent_document(a) order by lower(a.name), a.id), '[]'), 'total', count(*))
    from public.agents a where p -> 'status' is null or a.status in (select jsonb_array_elements_text(p -> 'status')));
end
$$;
revoke all on function public.list_agents(jsonb) from public, anon, authenticated;
grant execute on function public.list_agents(jsonb) to leadpipe_admin, service_role;

-- Returns the agent `p_id`, locked until the transaction ends. Raises LP404 if it does not exist.
create or replace function leadpipe.lock_agent(p_id uuid) returns public.agents
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  select * into a from public.agents where id = p_id for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'agent_not_found';
  end if;
  return a;
end
$$;
revoke all on function leadpipe.lock_agent(uuid) from public, anon, authenticated;

-- Updates an agent. `clear` lists the fields to set to null. Raises LP404 if the agent does not exist, LP409 if the
-- email address is in use.
create or replace function public.update_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  -- An agent's status changes during the day, so write access is enough for it. All other fields require an owner.
  p := leadpipe.authorize(p, case when p ?| array['name', 'email', 'phone', 'department', 'maxCapacity', 'clear'] then 'owner' else 'write' end);
  a := leadpipe.lock_agent((p ->> 'id')::uuid);
  update public.agents s set
    name = coalesce(leadpipe.to_nfc(p ->> 'name'), s.name), email = coalesce(lower(p ->> 'email'), s.email),
    phone = case when p -> 'clear' ? 'phone' then null else coalesce(p ->> 'phone', s.phone) end,
    department = case when p -> 'clear' ? 'department' then null else coalesce(leadpipe.to_nfc(p ->> 'department'), s.department) end,
    status = coalesce(p ->> 'status', s.status), max_capacity = coalesce((p ->> 'maxCapacity')::integer, s.max_capacity)
  where s.id = a.id returning * into a;
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;
revoke all on function public.update_agent(jsonb) from public, anon, authenticated;
grant execute on function public.update_agent(jsonb) to leadpipe_admin, service_role;
