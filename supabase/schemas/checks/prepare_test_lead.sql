-- Makes the test lead `id` of `leadpipe check` overdue and keeps it away from agents: its deadline becomes an hour before
-- its creation, which the SLA sweep does not announce, and it is marked as released, so that it is never assigned. Until
-- then it is not overdue, and new test leads are not queued for an agent. Without `id`, does nothing: the call shows that
-- the caller may prepare a test lead. Raises LP404 if the conversation is not a test lead.
create or replace function public.prepare_test_lead(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'id' is null then
    return '{}';
  end if;
  -- A lead that was set aside as spam has no deadline.
  update public.conversations set sla_response_deadline = case when status <> 'spam' then created_at - interval '1 hour' end
  where id = (p ->> 'id')::uuid and leadpipe.is_test_lead(id, customer_name, metadata)
  returning * into c;
  if not found then
    raise exception using errcode = 'LP404', message = 'conversation_not_found';
  end if;
  perform leadpipe.release_lead(c);
  return '{}';
end
$$;
revoke all on function public.prepare_test_lead(jsonb) from public, anon, authenticated;
grant execute on function public.prepare_test_lead(jsonb) to leadpipe_admin, service_role;
