-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- True if an event causes notifications: a new lead, a reopened conversation, new contact details of an answered lead, a lead whose
-- customer has made it hotter, a subscription, or a deadline that no other event sums up. All other events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type, p_payload jsonb) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed')
       or p_event_type::text in ('sla.warning', 'sla.breached') and not p_payload ? 'isSummedUp'
       or p_event_type::text = 'lead.updated' and p_payload ?| '{reopenedFrom,contactBefore}'
       or p_event_type::text = 'lead.qualified' and p_payload ? 'risenFrom' $$;

revoke all on function leadpipe.event_notifies(public.lead_event_type, jsonb) from public, anon, authenticated;

-- Returns the events since the cursor `after`, at most 500 events or 512 KiB as the feed sends them. An event that
-- alone is larger has only the id of its conversation. Without `after`, returns no events, only the cursor to start
-- from. The result is {"from", "events": [{"seq", "id", "event", "data"}], "cursor", "isComplete", "isReset"}. The `id`
-- of an event is the cursor that covers this event and all before it; `cursor` covers all events of the result, and
-- `from` none of them. If isComplete is false, more events follow `cursor`. If isReset is true, `after` belongs to
-- another cluster, to another timeline or to the future: events may have been missed, and the feed starts over. With
-- `recent`, the result also has the numbers of the latest events that `cursor` covers, so that a listener can skip
-- those that a slower feed sends again.
--
-- A cursor is `cluster/seen` or `cluster/seen/seeing/number`. It covers all events that are visible in the snapshot
-- `seen` and, of those visible in the snapshot `seeing`, the events up to the number. Event numbers and times are
-- assigned before a transaction commits, so a later event can become visible first. Comparing snapshots misses no
-- event, and a long transaction does not delay others.
create or replace function public.live_events(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_cluster text;
  v_to pg_snapshot;
  v_cursor text;
  v_recent jsonb;
  v_parts text[];
  v_from pg_snapshot;
  v_seeing pg_snapshot;
  v_number bigint := 0;
  v_event record;
  v_document jsonb;
  v_events jsonb[] := '{}';
  v_most constant integer := 524288;
  v_size integer;
  v_bytes integer := 0;
begin
  p := leadpipe.authorize(p, 'read');
  if to_regclass('public.lead_events') is null then
    raise exception using errcode = 'LP503', message = 'database_not_migrated';
  end if;
  select system_identifier || '.' || timeline_id into v_cluster from pg_control_system(), pg_control_checkpoint();
  v_to := pg_current_snapshot();
  v_cursor := v_cluster || '/' || v_to;
  v_recent := case when p ? 'recent' then jsonb_build_object('recent', (
    select coalesce(jsonb_agg(seq), '[]')
    from (select seq, xact from public.lead_events where xact is not null order by xact desc limit 200) last
    where pg_visible_in_snapshot(xact, v_to))) else '{}' end;
  if p ->> 'after' is null then
    return v_recent || jsonb_build_object('from', v_cursor, 'events', '[]'::jsonb, 'cursor', v_cursor, 'isComplete', true, 'isReset', false);
  end if;

  v_parts := string_to_array(p ->> 'after', '/');
  v_from := leadpipe.parse_snapshot(v_parts[2]);
  if cardinality(v_parts) = 4 and v_parts[4] ~ '^[0-9]{1,18}$' then
    v_seeing := leadpipe.parse_snapshot(v_parts[3]);
    v_number := v_parts[4];
  end if;
  if v_parts[1] !~ '^[0-9]{1,20}[.][0-9]{1,10}$' or v_from is null or cardinality(v_parts) not in (2, 4)
    or (cardinality(v_parts) = 4 and v_seeing is null) then
    raise exception using errcode = 'LP400', message = 'unknown_event_id', detail = '{"field": "lastEventId"}';
  end if;
  if v_parts[1] <> v_cluster or pg_snapshot_xmax(coalesce(v_seeing, v_from)) > pg_snapshot_xmax(v_to) then
    return v_recent || jsonb_build_object('from', v_cursor, 'events', '[]'::jsonb, 'cursor', v_cursor, 'isComplete', true, 'isReset', true);
  end if;

  -- First the rest of the events in `seeing`, then those added since.
  for round in case when v_seeing is null then 2 else 1 end .. 2 loop
    if round = 2 then
      v_from := coalesce(v_seeing, v_from);
      v_seeing := v_to;
      v_number := 0;
    end if;
    -- A snapshot does not cover the transactions in its list and those from its xmax on. An old transaction that is
    -- still open therefore costs one more lookup, not a scan of all events since it began.
    for v_event in
      select e.* from (
        select * from public.lead_events where xact >= pg_snapshot_xmax(v_from) and xact < pg_snapshot_xmax(v_seeing)
        union all
        select * from public.lead_events where xact = any (array(select pg_snapshot_xip(v_from)))
      ) e
      where pg_visible_in_snapshot(e.xact, v_seeing) and e.seq > v_number and e.event_type::text not in ('newsletter.subscribed', 'channel.test')
        and not e.payload ? 'sumsUp'  -- each event that it sums up is in the feed
      order by e.seq limit 501
    loop
      v_document := leadpipe.live_event_document(v_event.event_type::text, v_event.conversation_id, v_event.payload, p);
      -- The feed sends the document as a string within a string, so quotes are escaped twice.
      v_size := octet_length(to_jsonb(to_jsonb(v_document::text)::text)::text);
      if v_size > v_most then
        v_document := jsonb_set(v_document, '{data}', '{"reason": "the conversation is too large for the feed; read it by its id"}');
        v_size := 0;
      end if;
      if cardinality(v_events) = 500 or v_bytes + v_size > v_most then
        return jsonb_build_object(
          'from', p -> 'after', 'events', to_jsonb(v_events), 'cursor', v_events[cardinality(v_events)] -> 'id',
          'isComplete', false, 'isReset', false);
      end if;
      v_bytes := v_bytes + v_size;
      v_events := v_events || jsonb_build_object(
        'seq', v_event.seq, 'id', concat_ws('/', v_cluster, v_from, v_seeing, v_event.seq), 'event', v_document -> 'event',
        'data', jsonb_build_object(
          'id', v_event.id, 'type', v_event.event_type, 'at', leadpipe.iso8601(v_event.created_at),
          'conversationId', v_event.conversation_id) || (v_document -> 'data'));
    end loop;
  end loop;
  return v_recent || jsonb_build_object(
    'from', p -> 'after', 'events', to_jsonb(v_events), 'cursor', v_cursor, 'isComplete', true, 'isReset', false);
end
$$;

revoke all on function public.live_events(jsonb) from public, anon, authenticated;

grant execute on function public.live_events(jsonb) to leadpipe_admin, service_role;
