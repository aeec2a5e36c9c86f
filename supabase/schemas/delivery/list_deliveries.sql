-- Lists deliveries, newest first; see deliveries_page.
create or replace function public.list_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  return leadpipe.deliveries_page(leadpipe.authorize(p, 'read'));
end
$$;
revoke all on function public.list_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.list_deliveries(jsonb) to leadpipe_admin, service_role;

-- Lists the deliveries of one conversation, newest first.
create or replace function public.list_conversation_deliveries(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'read');
  return leadpipe.deliveries_page(p || jsonb_build_object('conversationId', (leadpipe.require_conversation(p)).id));
end
$$;
revoke all on function public.list_conversation_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversation_deliveries(jsonb) to leadpipe_admin, service_role;
