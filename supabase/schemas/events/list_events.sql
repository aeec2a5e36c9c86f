-- Lists events, newest first; see events_page.
create or replace function public.list_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return leadpipe.events_page(leadpipe.authorize(p, 'read'));
end
$$;
revoke all on function public.list_events(jsonb) from public, anon, authenticated;
grant execute on function public.list_events(jsonb) to leadpipe_admin, service_role;

-- Lists the events of one conversation, newest first.
create or replace function public.list_conversation_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'read');
  return leadpipe.events_page(p || jsonb_build_object('conversationId', (leadpipe.require_conversation(p)).id));
end
$$;
revoke all on function public.list_conversation_events(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversation_events(jsonb) to leadpipe_admin, service_role;
