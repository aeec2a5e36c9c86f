-- Adds an agent. Raises LP409 if the email address is in use.
create or replace function public.create_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'owner');
  insert into public.agents (name, email, phone, department, status, max_capacity, languages, areas)
  values (leadpipe.to_nfc(p ->> 'name'), lower(p ->> 'email'), p ->> 'phone', leadpipe.to_nfc(p ->> 'department'),
    coalesce(p ->> 'status', 'available'), coalesce((p ->> 'maxCapacity')::integer, 15), leadpipe.agent_words(p -> 'languages', true),
    leadpipe.agent_words(p -> 'areas', false))
  returning * into a;
  perform leadpipe.record_audit(p ->> 'by', 'agent.created', a.id::text);
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;
revoke all on function public.create_agent(jsonb) from public, anon, authenticated;
grant execute on function public.create_agent(jsonb) to leadpipe_admin, service_role;
