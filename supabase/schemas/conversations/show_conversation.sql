-- Returns a conversation with its version and its newest messages, at most 1,000 messages and 400 kB.
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
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object('messages', (
      select coalesce(jsonb_agg(leadpipe.message_document(m) order by (m)."timestamp", (m).created_at), '[]')
      from (select m, sum(octet_length((m).message_text) + octet_length(coalesce((m).metadata::text, '')))
                      over (order by (m)."timestamp" desc, (m).created_at desc rows unbounded preceding) as bytes
            from (select m from public.chat_messages m where m.conversation_id = c.id
                  order by m."timestamp" desc, m.created_at desc limit 1000) newest) sized
      where bytes <= 400000)));
end
$$;
revoke all on function public.show_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.show_conversation(jsonb) to leadpipe_admin, service_role;
