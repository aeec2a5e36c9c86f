-- Returns a conversation with its version and its newest messages, at most 1,000 messages and 700 kB.
create or replace function public.show_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'version', leadpipe.conversation_version(c),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object(
      'metadata', leadpipe.shown(c.metadata), 'messages', leadpipe.newest_messages(c.id, 1000, 700000)));
end
$$;
revoke all on function public.show_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.show_conversation(jsonb) to leadpipe_admin, service_role;
