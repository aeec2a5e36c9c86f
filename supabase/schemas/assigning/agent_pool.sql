-- Returns all agents with their open conversations, for rank_agents. `p_locked` are the ids that this transaction has
-- locked; null if it locks none, and assigns nothing.
create or replace function leadpipe.agent_pool(p_locked uuid[] default null) returns jsonb
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'status', a.status, 'capacity', a.max_capacity,
    'open', leadpipe.open_conversation_count(a.id), 'last', a.last_assigned_at, 'languages', a.languages, 'areas', a.areas,
    'isLocked', p_locked is null or a.id = any (p_locked)) order by a.id), '[]')
  from public.agents a
$$;
revoke all on function leadpipe.agent_pool(uuid[]) from public, anon, authenticated;

-- Returns a copy of a pool in which an agent has got some open conversations more or less.
create or replace function leadpipe.change_pool(p_pool jsonb, p_agent uuid, p_more integer, p_last timestamptz) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(case when a ->> 'id' = p_agent::text
    then a || jsonb_build_object('open', (a ->> 'open')::integer + p_more) || case when p_last is null then '{}' else jsonb_build_object('last', p_last) end
    else a end order by n), '[]')
  from jsonb_array_elements(p_pool) with ordinality as agents (a, n)
$$;
revoke all on function leadpipe.change_pool(jsonb, uuid, integer, timestamptz) from public, anon, authenticated;

-- Returns true if an agent of the pool has free capacity and is available. Whether it is locked does not matter.
create or replace function leadpipe.has_room(p_agent jsonb) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as
  $$ select p_agent ->> 'status' = 'available' and (p_agent ->> 'open')::integer < (p_agent ->> 'capacity')::integer $$;
revoke all on function leadpipe.has_room(jsonb) from public, anon, authenticated;

-- Returns why no agent of the pool can take a lead: no_agents, none_available or all_at_capacity. Null if one can.
create or replace function leadpipe.shortage(p_pool jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_pool = '[]' then 'no_agents' when not bool_or(a ->> 'status' = 'available') then 'none_available'
    when not bool_or(leadpipe.has_room(a)) then 'all_at_capacity' end
  from jsonb_array_elements(p_pool) as a
$$;
revoke all on function leadpipe.shortage(jsonb) from public, anon, authenticated;
