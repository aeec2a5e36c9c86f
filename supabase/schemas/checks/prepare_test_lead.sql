-- Keeps the test lead of `leadpipe check` away from agents. Without `id`, only waits for the lock that lets one call of
-- assign_leads work at a time: until the caller's transaction ends, no lead is assigned automatically. With `id`, the
-- conversation gets a deadline of an hour before its creation, which the SLA sweep does not announce, and is marked as
-- released, so that it is never assigned. Raises LP404 if the conversation is not a test lead.
create or replace function public.prepare_test_lead(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'id' is null then
    insert into leadpipe.assigning (is_only) select true where not exists (select from leadpipe.assigning) on conflict do nothing;
    perform from leadpipe.assigning for no key update;
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
