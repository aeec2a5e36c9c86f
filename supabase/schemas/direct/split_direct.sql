-- Divides a list of deliveries into those of unsent leads and all others.
create or replace function leadpipe.split_direct(p_list jsonb, out direct jsonb, out others jsonb)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(each.value) filter (where d.id is not null), '[]'), coalesce(jsonb_agg(each.value) filter (where d.id is null), '[]')
  from jsonb_array_elements(p_list) as each (value) left join leadpipe.direct_deliveries d on d.id = (each.value ->> 'id')::uuid
$$;
revoke all on function leadpipe.split_direct(jsonb) from public, anon, authenticated;

-- Joins the replies about both: each member is a list.
create or replace function leadpipe.join_replies(p_one jsonb, p_other jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select jsonb_object_agg(key, value || coalesce(p_other -> key, '[]')) from jsonb_each(p_one)
$$;
revoke all on function leadpipe.join_replies(jsonb, jsonb) from public, anon, authenticated;
