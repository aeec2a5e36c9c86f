-- A cursor of one conversation's messages, timeline, notifications or events is no cursor of another's: the conversation stands in the
-- list's name. Replaces three functions of 20261123550000, which runs before it; that of notifications stands in 20261123590200.
-- Additive, and may be run again as a whole at any time.

-- Events, newest first: `id` (the conversation whose list it is), `conversationId`, `type` (a list), `processed`, `since`, `until`.
create or replace function public.events_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'events', p ->> 'id');
  v_place jsonb := public.cursor_place(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_types public.lead_event_type[] := case when p ? 'type' then array(select jsonb_array_elements_text(p -> 'type')) end;
  v_processed boolean := p ->> 'processed';
  v_since timestamptz := p ->> 'since';
  v_until timestamptz := p ->> 'until';
  v_found uuid[];
begin
  select * into v_page from public.page_of(p);
  if v_since >= v_until then
    raise exception using errcode = 'LP400', column = 'until', message = 'must be after since';
  end if;
  if v_conversation is not null or v_processed = false then
    v_found := array(
      select e.id from public.lead_events e
      where (v_conversation is null or e.conversation_id = v_conversation)
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
  return public.page_facts(p,
      case when v_at is null and v_conversation is not null and v_types is null then
        (select count(*) from public.lead_events e where e.conversation_id = v_conversation) end,
      (select public.cursor_at(v_list, e.created_at, e.id) from public.lead_events e
       where e.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.event_document(to_jsonb(e)) order by e.created_at desc, e.id desc), '[]')
      from public.lead_events e where e.id = any (v_found[:v_page.size])));
end
$$;

-- What was written, in its order.
create or replace function public.list_messages(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_last public.chat_messages;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  select * into v_page from public.page_of(p);
  v_place := public.cursor_place('messages ' || c.id, p ->> 'cursor');
  if v_place is not null then
    -- Messages of one moment stand in the order in which they came, which the cursor does not say.
    select * into v_last from public.chat_messages m
    where m.id = (v_place ->> 'id')::uuid and m.conversation_id = c.id and m."timestamp" = (v_place ->> 'at')::timestamptz;
    if not found then
      raise exception using errcode = 'LP400', column = 'cursor', message = 'is no cursor of this list';
    end if;
  end if;
  v_found := array(
    select m.id from public.chat_messages m
    where m.conversation_id = c.id
      and (v_place is null or (m."timestamp", m.created_at, m.id) > (v_last."timestamp", v_last.created_at, v_last.id))
    order by m."timestamp", m.created_at, m.id limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_place is null then (select count(*) from public.chat_messages m where m.conversation_id = c.id) end,
      (select public.cursor_at('messages ' || c.id, m."timestamp", m.id) from public.chat_messages m
       where m.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.message_document(m) order by m."timestamp", m.created_at, m.id), '[]')
      from public.chat_messages m where m.id = any (v_found[:v_page.size])));
end
$$;

-- What happened, newest first.
create or replace function public.list_timeline(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  v_page record;
  v_place jsonb;
  v_found uuid[];
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  select * into v_page from public.page_of(p);
  v_place := public.cursor_place('timeline ' || c.id, p ->> 'cursor');
  v_found := array(
    select t.id from public.conversation_timeline t
    where t.conversation_id = c.id
      and (v_place is null or (t.created_at, t.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by t.created_at desc, t.id desc limit v_page.size + 1 offset v_page.skip);
  return public.page_facts(p,
      case when v_place is null then (select count(*) from public.conversation_timeline t where t.conversation_id = c.id) end,
      (select public.cursor_at('timeline ' || c.id, t.created_at, t.id) from public.conversation_timeline t
       where t.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(public.timeline_document(to_jsonb(t)) order by t.created_at desc, t.id desc), '[]')
      from public.conversation_timeline t where t.id = any (v_found[:v_page.size])));
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.events_page(jsonb)');
  perform public.protect_function('public.list_messages(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_timeline(jsonb)', 'leadpipe_admin');
end
$$;
