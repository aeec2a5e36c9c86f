-- Generated from schemas/ by `make migration`. This file can run again at any time.

-- Lists deliveries, newest first, filtered by `conversationId`, `status` (a status or a state), `channel`, `class` and
-- `since`. `id` is the conversation whose list is requested. A filter without an index of its own, such as a channel,
-- searches only the next `within` rows (default 100,000). The page can then have fewer rows than its size, or none, and
-- its cursor continues after the searched rows.
create or replace function leadpipe.deliveries_page(p jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  v_page record;
  v_list text := concat_ws(' ', 'notifications', p ->> 'id');
  v_place jsonb := leadpipe.cursor_position(v_list, p ->> 'cursor');
  v_at timestamptz := v_place ->> 'at';
  v_id uuid := v_place ->> 'id';
  v_conversation uuid := p ->> 'conversationId';
  v_state text := p ->> 'status';
  v_status text;
  v_channel public.notification_channel := p ->> 'channel';
  v_class text := p ->> 'class';
  v_since timestamptz := p ->> 'since';
  v_most integer := coalesce((p ->> 'within')::integer, 100000);
  v_within integer;
  v_end record;
  v_found uuid[];
begin
  select * into v_page from leadpipe.page_bounds(p);
  v_status := case
    when v_state = 'claimed' then 'pending'
    when v_state in ('waiting', 'parked', 'given-up') then 'failed'
    else v_state end;
  -- A small range first: it is enough for frequent values.
  foreach v_within in array array[least(2000, v_most), v_most] loop
    select d.created_at, d.id into v_end from public.notification_logs d
    where v_conversation is null and coalesce(v_channel::text, v_class, v_state) is not null
      and coalesce(v_state, 'sent') in ('sent', 'delivered') and coalesce(v_class, 'delivered') in ('delivered', 'accepted')
      and (v_since is null or d.created_at >= v_since)
      and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
    order by d.created_at desc, d.id desc limit 1 offset v_within - 1;
    v_found := array(
      select d.id from public.notification_logs d
      where (v_conversation is null or d.conversation_id = v_conversation)
        and (v_status is null or d.status = v_status)
        -- Redundant, but these let the planner use the partial indexes.
        and (v_status is distinct from 'pending' or d.due_at is not null)
        and (v_status is distinct from 'failed' or d.is_failed)
        and (v_status is distinct from 'sending' or d.is_held)
        and (v_state is distinct from 'claimed' or d.lease_until > now())
        and (v_state is distinct from 'waiting' or d.next_attempt_at is not null)
        and (coalesce(v_state, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
        and (v_state is distinct from 'parked' or d.outcome_class = 'unknown')
        and (v_state is distinct from 'given-up' or d.outcome_class is distinct from 'unknown')
        and (v_channel is null or d.channel = v_channel)
        and (v_class is null or d.outcome_class = v_class)
        and (v_since is null or d.created_at >= v_since)
        and (v_at is null or (d.created_at, d.id) < (v_at, v_id))
        and (v_end.id is null or (d.created_at, d.id) >= (v_end.created_at, v_end.id))
      order by d.created_at desc, d.id desc limit v_page.size + 1 offset v_page.skip);
    exit when v_end.id is null or cardinality(v_found) > v_page.size;
  end loop;
  return leadpipe.page_info(p,
      case when v_at is null and v_conversation is not null then
        (select count(*) from public.notification_logs d where d.conversation_id = v_conversation) end,
      case when cardinality(v_found) > v_page.size then
        (select leadpipe.row_cursor(v_list, d.created_at, d.id) from public.notification_logs d where d.id = v_found[v_page.size])
      else leadpipe.row_cursor(v_list, v_end.created_at, v_end.id) end)
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.delivery_document(to_jsonb(d))
        || jsonb_build_object('eventType', e.event_type, 'subject', d.subject, 'customerName', c.customer_name)
        order by d.created_at desc, d.id desc), '[]')
      from public.notification_logs d join public.lead_events e on e.id = d.lead_event_id
      left join public.conversations c on c.id = d.conversation_id
      where d.id = any (v_found[:v_page.size])));
end
$$;

revoke all on function leadpipe.deliveries_page(jsonb) from public, anon, authenticated;
