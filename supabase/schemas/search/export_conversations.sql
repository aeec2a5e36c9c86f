-- GET and POST /api/admin/conversations/export: opens the cursor leadpipe_export over all conversations that match the
-- filters, in the order of the list. The cursor has one snapshot, so that each row is in it once although leads arrive.
-- The caller fetches from it in the same transaction. prepare_export must have run before.
--
-- Times are local times of `timeZone`, without a fraction. With `messages` in `with`, the last column has the messages:
-- as one text, or as JSON if `messagesAs` is "rows". The columns are those of ExportedConversation.columns, in
-- its order. Rights are checked here: the cursor needs none of the caller's. Nothing that it runs later may need rights
-- on a table, so it calls only functions that the planner inlines.
create or replace function public.export_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 set cursor_tuple_fraction = 1 as $$
declare
  c_cursor constant refcursor := 'leadpipe_export';
  v_cursor refcursor := c_cursor;
  f leadpipe.conversation_search;
  v_order record;
  v_source text := 'public.conversations t';
  v_where text;
  v_segments text;
begin
  p := leadpipe.authorize(p, 'read');
  f := leadpipe.read_search(p);
  v_where := leadpipe.search_conditions(f);
  if p ->> 'query' is not null then
    select wanted into f.wanted from leadpipe.parse_query(p ->> 'query', p -> 'numbers');
    v_source := v_source || ' join public.conversation_words w on w.conversation_id = t.id';
    -- A query that contains nothing that can match has no rows.
    v_where := v_where || case when f.wanted is null then ' and false' else ' and w.words @@ ($1).wanted' end;
  end if;
  v_order := leadpipe.search_order(coalesce(p ->> 'sort', 'recent'));
  -- The segments follow each other because an Append without parallel workers reads its parts in their order.
  select string_agg(format(
      '(select t.id, t.customer_id, t.customer_name, t.customer_phone, t.customer_email, t.start_time, t.end_time,
          t.duration_minutes, t.status, t.lead_score, t.lead_quality, t.budget, t.property_type, t.preferred_area, t.intent,
          t.assigned_agent_id, t.tags, t.notes, t.follow_up_date, t.outcome, t.conversion_value, t.lead_score_breakdown,
          t.source, t.first_response_at, t.sla_response_deadline, t.created_at, t.updated_at, leadpipe.sla_state(t, $2) as sla
        from %s where %s and %s order by %s)',
      v_source, replace(segment, 't.amount', 't.budget_amount'), v_where, replace(sorted, 't.amount', 't.budget_amount')),
      ' union all ' order by n)
  into v_segments from unnest(v_order.rows, v_order.orders) with ordinality as segments (segment, sorted, n);

  -- The cursor writes its times later, in this transaction.
  perform set_config('datestyle', 'ISO', true), set_config('timezone', 'UTC', true);
  open v_cursor no scroll for execute
    'select t.id, date_trunc(''second'', t.created_at at time zone $3), t.customer_name, t.customer_phone, t.customer_email,
       t.status, t.lead_quality, t.lead_score, t.intent, t.budget, t.property_type, t.preferred_area, t.source,
       (select a.name from public.agents a where a.id = t.assigned_agent_id), array_to_string(t.tags, ''; ''), t.notes,
       date_trunc(''second'', t.follow_up_date at time zone $3), t.outcome, t.conversion_value, t.sla,
       (t.sla = ''breached'')::text, date_trunc(''second'', t.sla_response_deadline at time zone $3),
       date_trunc(''second'', t.first_response_at at time zone $3), date_trunc(''second'', t.start_time at time zone $3),
       date_trunc(''second'', t.end_time at time zone $3), t.duration_minutes,
       date_trunc(''second'', last."timestamp" at time zone $3), left(last.message_text, 120),
       (select count(*) from public.chat_messages m
        where m.conversation_id = t.id and m.sender = ''customer'' and not m.is_read),
       date_trunc(''second'', t.updated_at at time zone $3), t.customer_id, t.assigned_agent_id,
       leadpipe.shown(t.lead_score_breakdown)'
    || case when p -> 'with' ? 'messages' and p ->> 'messagesAs' = 'rows' then
      -- A JSON array with [time, sender, text] of each message. The newest are kept, as many as the text below would have.
      ', (select jsonb_agg(line order by "timestamp", created_at) from (
            select jsonb_build_array(to_char(m."timestamp" at time zone $3, ''YYYY-MM-DD HH24:MI:SS''), m.sender, m.message_text)
                as line, m."timestamp", m.created_at,
              sum(length(m.message_text)) over (order by m."timestamp" desc, m.created_at desc, m.id desc) as size
            from public.chat_messages m where m.conversation_id = t.id
            order by m."timestamp" desc, m.created_at desc limit 500) newest where size <= 30000)'
      when p -> 'with' ? 'messages' then
      -- A cell of a spreadsheet has room for 32,767 characters. The newest are kept.
      ', (select case when length(said) > 30000 then ''… '' || right(said, 30000) else said end
          from (select string_agg(line, e''\n'' order by "timestamp", created_at) from (
            select date_trunc(''second'', m."timestamp" at time zone $3) || '' '' || m.sender || '': '' || m.message_text as line,
              m."timestamp", m.created_at
            from public.chat_messages m where m.conversation_id = t.id
            order by m."timestamp" desc, m.created_at desc limit 500) newest) as messages (said))'
      else '' end
    || ' from (' || v_segments || ') t left join lateral (
       select m.message_text, m."timestamp" from public.chat_messages m where m.conversation_id = t.id
       order by m."timestamp" desc, m.created_at desc limit 1) last on true'
    using f, p, coalesce(p ->> 'timeZone', 'Asia/Dubai');
  return jsonb_build_object('by', p -> 'by', 'cursor', c_cursor);
end
$$;
revoke all on function public.export_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.export_conversations(jsonb) to leadpipe_admin, service_role;
