-- Returns the agent who uses a key, {id, name}; null if it is no agent's.
create or replace function leadpipe.key_agent(p_key uuid) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', a.id, 'name', a.name)
  from public.admin_keys k join public.agents a on a.id = k.agent_id where k.id = p_key
$$;
revoke all on function leadpipe.key_agent(uuid) from public, anon, authenticated;
