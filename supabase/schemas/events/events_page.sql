-- Lists events, newest first, filtered by `conversationId`, `type` (a list), `processed`, `since` and `until`. `id` is
-- the conversation whose list is requested.
create or replace function leadpipe.events_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'events', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_types public.lead_event_type[] := case when p ? 'type' then array(select jsonb_array_elements_text(p -> 'type')) end;
  v_processed boolean := p ->> 'processed';
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  if v_since >= v_until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "until", "other": "since"}';
  end if;
  if v_conversation is null and v_processed = false then
    -- Those that have no deliveries yet, and those with an unfinished one.
    v_found := array(
      select waiting.id from (
        (select e.created_at, e.id from public.lead_events e
         where e.planned_at is null and not e.processed and (v_types is null or e.event_type = any (v_types))
           and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
           and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
         order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip)
        union
        (select e.created_at, e.id
         from (select distinct d.event_at, d.lead_event_id from public.notification_logs d
               where d.due_at is not null and d.event_at is not null
                 and (v_since is null or d.event_at >= v_since) and (v_until is null or d.event_at < v_until)
                 and (v_at is null or (d.event_at, d.lead_event_id) < (v_at, v_id))
               order by d.event_at desc, d.lead_event_id desc) d
         -- `offset 0`: looked up one by one, in this order.
         cross join lateral (
           select e.created_at, e.id from public.lead_events e
           where e.id = d.lead_event_id and not e.processed and (v_types is null or e.event_type = any (v_types)) offset 0) e
         order by d.event_at desc, d.lead_event_id desc limit v_page.size + 1 + v_page.skip)
        union
        -- An earlier version of this schema did not copy the time.
        (select e.created_at, e.id from public.lead_events e
         where e.id in (select d.lead_event_id from public.notification_logs d where d.due_at is not null and d.event_at is null)
           and not e.processed and (v_types is null or e.event_type = any (v_types))
           and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
           and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
         order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip)) waiting
      order by waiting.created_at desc, waiting.id desc limit v_page.size + 1 offset v_page.skip);
  elsif v_conversation is not null then
    v_found := array(
      select e.id from public.lead_events e
      where e.conversation_id = v_conversation
        and (v_types is null or e.event_type = any (v_types))
        and (v_processed is null or e.processed = v_processed)
        and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
        and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  else
    v_found := array(
      select e.id
      from (select distinct type from unnest(coalesce(v_types, enum_range(null::public.lead_event_type))) as type) types
      cross join lateral (
        select e.id, e.created_at from public.lead_events e
        where e.event_type = types.type
          and (v_processed is null or e.processed)
          and (v_since is null or e.created_at >= v_since) and (v_until is null or e.created_at < v_until)
          and (v_at is null or (e.created_at, e.id) < (v_at, v_id))
        order by e.created_at desc, e.id desc limit v_page.size + 1 + v_page.skip) e
      order by e.created_at desc, e.id desc limit v_page.size + 1 offset v_page.skip);
  end if;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null and v_types is null then
        (select count(*) from public.lead_events e where e.conversation_id = v_conversation) end,
      (select leadpipe.row_cursor(v_list, e.created_at, e.id) from public.lead_events e
       where e.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.event_document(to_jsonb(e)) order by e.created_at desc, e.id desc), '[]')
      from public.lead_events e where e.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function leadpipe.events_page(jsonb) from public, anon, authenticated;
