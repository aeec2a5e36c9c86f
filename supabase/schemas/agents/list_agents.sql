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
