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
