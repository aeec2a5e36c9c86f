-- Emits the event sla.warning or sla.breached for each of the locked conversations, and writes their timelines. At most
-- `p_own` of the events notify: the hottest leads first, and only those with a deadline after `p_own_after`. The others
-- are to be summed up: `summed` is their number, and `oldest` their earliest deadline. Does nothing for an event that
-- was emitted before: there is one for each conversation, type and deadline.
create or replace function leadpipe.announce_deadlines(
  p_type public.lead_event_type, p_ids uuid[], p_own integer, p_own_after timestamptz, p_now timestamptz,
  out own integer, out summed integer, out oldest timestamptz)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with due as materialized (
    select c.*, a.name as agent_name,
      c.sla_response_deadline > p_own_after and row_number() over (
        order by c.sla_response_deadline > p_own_after desc, array_position('{hot,warm,cold}', c.lead_quality),
          c.sla_response_deadline, c.id) <= p_own as is_own,
      -- Half a minute before a full one is that minute; after the deadline only full minutes count.
      case when c.sla_response_deadline > p_now then greatest(round(extract(epoch from c.sla_response_deadline - p_now) / 60), 1)
        else ceil(extract(epoch from c.sla_response_deadline - p_now) / 60) end::bigint as minutes
    from public.conversations c left join public.agents a on a.id = c.assigned_agent_id
    where c.id = any (p_ids)
  ), facts as materialized (
    select due.*, jsonb_strip_nulls(jsonb_build_object(
      'source', source, 'customerName', customer_name, 'customerPhone', customer_phone, 'customerEmail', customer_email,
      'customerPhoneExtension', metadata -> 'customerPhoneExtension', 'leadScore', lead_score, 'leadQuality', lead_quality,
      'slaResponseDeadline', leadpipe.iso8601(sla_response_deadline), 'minutesRemaining', minutes,
      'assignedAgentId', assigned_agent_id, 'assignedAgentName', agent_name,
      'isSummedUp', case when not is_own then true end)) as payload
    from due
  ), emitted as (
    insert into public.lead_events (event_type, conversation_id, payload, idempotency_key, processed, processed_at, planned_at)
    select p_type, id, payload, p_type || ':' || id || ':' || leadpipe.iso8601(sla_response_deadline),
      done is not null, done, done
    from facts, lateral (select case when not leadpipe.event_notifies(p_type, payload) then p_now end) as quiet (done)
    on conflict (idempotency_key) do nothing
    returning conversation_id, processed
  ), noted as (
    insert into public.conversation_timeline (conversation_id, event_type, title, description, metadata)
    select id, replace(p_type::text, '.', '_')::public.timeline_event_type,
      case p_type when 'sla.warning' then 'SLA warning' else 'SLA breached' end,
      format('No first response yet: %s at %s UTC', case p_type when 'sla.warning' then 'it is due' else 'it was due' end,
        to_char(sla_response_deadline at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
      payload - '{source,customerName,customerPhone,customerEmail,customerPhoneExtension}'::text[]
    from facts join emitted on emitted.conversation_id = facts.id
  )
  select count(*) filter (where not processed), count(*) filter (where processed),
    min(sla_response_deadline) filter (where processed)
  into own, summed, oldest
  from emitted join due on due.id = emitted.conversation_id;
end
$$;
revoke all on function leadpipe.announce_deadlines(public.lead_event_type, uuid[], integer, timestamptz, timestamptz)
  from public, anon, authenticated;
