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
