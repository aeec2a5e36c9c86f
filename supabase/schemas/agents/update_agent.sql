-- Updates an agent. `clear` lists the fields to set to null. Raises LP404 if the agent does not exist, LP409 if the
-- email address is in use.
create or replace function public.update_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_email text;
begin
  -- An agent's status changes during the day, so write access is enough for it. All other fields require an owner.
  p := leadpipe.authorize(p, case when p ?| array['name', 'email', 'phone', 'department', 'maxCapacity', 'languages', 'areas', 'clear'] then 'owner' else 'write' end);
  a := leadpipe.lock_agent((p ->> 'id')::uuid);
  v_email := a.email;
  update public.agents s set
    name = coalesce(leadpipe.to_nfc(p ->> 'name'), s.name), email = coalesce(lower(p ->> 'email'), s.email),
    phone = case when p -> 'clear' ? 'phone' then null else coalesce(p ->> 'phone', s.phone) end,
    department = case when p -> 'clear' ? 'department' then null else coalesce(leadpipe.to_nfc(p ->> 'department'), s.department) end,
    languages = case when p ? 'languages' then leadpipe.agent_words(p -> 'languages', true) else s.languages end,
    areas = case when p ? 'areas' then leadpipe.agent_words(p -> 'areas', false) else s.areas end,
    status = coalesce(p ->> 'status', s.status), max_capacity = coalesce((p ->> 'maxCapacity')::integer, s.max_capacity)
  where s.id = a.id returning * into a;
  if a.email <> v_email then
    perform leadpipe.cancel_agent_mail(v_email);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'agent.updated', a.id::text, jsonb_build_object('fields',
    (select coalesce(jsonb_agg(field order by field), '[]') from (
      select jsonb_object_keys(p) union select jsonb_array_elements_text(coalesce(p -> 'clear', '[]'))) as changed (field)
     where field not in ('id', 'by', 'clear'))));
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;
revoke all on function public.update_agent(jsonb) from public, anon, authenticated;
grant execute on function public.update_agent(jsonb) to leadpipe_admin, service_role;
