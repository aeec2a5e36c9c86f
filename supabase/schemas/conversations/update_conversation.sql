-- Updates a conversation. Raises LP404 if it does not exist, LP412 if `version` is no longer current.
create or replace function public.update_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'write');
  perform leadpipe.apply_changes(leadpipe.lock_conversation(p), p, p ->> 'by');
  return leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;
revoke all on function public.update_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.update_conversation(jsonb) to leadpipe_admin, service_role;
