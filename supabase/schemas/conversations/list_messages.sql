-- Lists the messages of a conversation, oldest first.
create or replace function public.list_messages(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_last public.chat_messages;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('messages ' || c.id, p ->> 'cursor');
  if v_place is not null then
    -- Messages with the same timestamp are ordered by created_at, which the cursor does not contain.
    select * into v_last from public.chat_messages m
    where m.id = (v_place ->> 'id')::uuid and m.conversation_id = c.id and m."timestamp" = (v_place ->> 'at')::timestamptz;
    if not found then
      raise exception using errcode = 'LP400', message = 'invalid_cursor', detail = '{"field": "cursor"}';
    end if;
  end if;
  v_found := array(
    select m.id from public.chat_messages m
    where m.conversation_id = c.id
      and (v_place is null or (m."timestamp", m.created_at, m.id) > (v_last."timestamp", v_last.created_at, v_last.id))
    order by m."timestamp", m.created_at, m.id limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (select count(*) from public.chat_messages m where m.conversation_id = c.id) end,
      (select leadpipe.row_cursor('messages ' || c.id, m."timestamp", m.id) from public.chat_messages m
       where m.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.message_document(m) order by m."timestamp", m.created_at, m.id), '[]')
      from public.chat_messages m where m.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_messages(jsonb) from public, anon, authenticated;
grant execute on function public.list_messages(jsonb) to leadpipe_admin, service_role;
