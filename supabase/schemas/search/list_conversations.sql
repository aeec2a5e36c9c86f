-- GET /api/admin/conversations: a page of conversations that match the filters. With `include` of metadata, each has its
-- metadata up to 12 KiB; with messages, its newest messages, at most 200 and 60 kB. So a page of 100 stays below the size
-- limit of a reply, whatever visitors have sent.
create or replace function public.list_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  v_found := leadpipe.find_conversations(p);
  return jsonb_build_object(
      'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p)
                 || case when p -> 'include' ? 'metadata' then jsonb_build_object('metadata', leadpipe.shown(c.metadata, 12288)) else '{}' end
                 || case when p -> 'include' ? 'messages'
                 then jsonb_build_object('messages', leadpipe.newest_messages(c.id, 200, 60000)) else '{}' end order by n), '[]')
               from jsonb_array_elements_text(v_found -> 'ids') with ordinality as found (id, n)
               join public.conversations c on c.id = found.id::uuid),
      'page', coalesce((p ->> 'page')::integer, 1), 'limit', coalesce((p ->> 'limit')::integer, 25), 'nextCursor', v_found -> 'nextCursor')
    || v_found - 'ids';
end
$$;
revoke all on function public.list_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.list_conversations(jsonb) to leadpipe_admin, service_role;
