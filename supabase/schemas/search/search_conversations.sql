-- GET /api/admin/search: a page of conversations that match a query, newest first, with the fields that matched.
create or replace function public.search_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_asked record;
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'read');
  v_found := leadpipe.find_conversations(p);
  select * into v_asked from leadpipe.parse_query(p ->> 'query', p -> 'numbers');
  return jsonb_build_object(
      'data', (select coalesce(jsonb_agg(
                 leadpipe.conversation_document(c, p) || jsonb_build_object('matchedIn', leadpipe.matched_fields(c, w.words, v_asked)) order by n), '[]')
               from jsonb_array_elements_text(v_found -> 'ids') with ordinality as found (id, n)
               join public.conversations c on c.id = found.id::uuid join public.conversation_words w on w.conversation_id = c.id),
      'query', p -> 'query', 'limit', coalesce((p ->> 'limit')::integer, 25), 'nextCursor', v_found -> 'nextCursor')
    || v_found - 'ids';
end
$$;
revoke all on function public.search_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.search_conversations(jsonb) to leadpipe_admin, service_role;
