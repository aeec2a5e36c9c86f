-- Returns a timeline entry as shown in the admin interface. Its description may have 8,000 characters and its metadata
-- 8 KiB, so that 200 entries fit into a reply. Takes the row as jsonb, because a parameter of the table's
-- row type would prevent the table from being dropped.
create or replace function leadpipe.timeline_document(t jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', t -> 'id', 'type', t -> 'event_type', 'title', t -> 'title', 'description', case
      when length(t ->> 'description') > 8000 then left(t ->> 'description', 7999) || '…' else t ->> 'description' end,
    'actorType', t -> 'actor_type', 'actorName', t -> 'actor_name', 'at', leadpipe.iso8601((t ->> 'created_at')::timestamptz),
    'metadata', leadpipe.shown(t -> 'metadata', 8192))
$$;
revoke all on function leadpipe.timeline_document(jsonb) from public, anon, authenticated;

-- Lists the timeline of a conversation, newest first.
create or replace function public.list_timeline(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('timeline ' || c.id, p ->> 'cursor');
  v_found := array(
    select t.id from public.conversation_timeline t
    where t.conversation_id = c.id
      and (v_place is null or (t.created_at, t.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by t.created_at desc, t.id desc limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (select count(*) from public.conversation_timeline t where t.conversation_id = c.id) end,
      (select leadpipe.row_cursor('timeline ' || c.id, t.created_at, t.id) from public.conversation_timeline t
       where t.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.timeline_document(to_jsonb(t)) order by t.created_at desc, t.id desc), '[]')
      from public.conversation_timeline t where t.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_timeline(jsonb) from public, anon, authenticated;
grant execute on function public.list_timeline(jsonb) to leadpipe_admin, service_role;
