-- Records that an agent has replied to the customer: `channel`, `message` (stored as a message of the agent) and
-- `agentId`. Only the first response determines whether the deadline was met.
create or replace function public.respond_to_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
  a public.agents;
  v_now timestamptz;
  v_is_first boolean;
  v_is_met boolean;
  v_channel text;
begin
  p := leadpipe.authorize(p, 'write');
  if p ? 'agentId' then
    a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  end if;
  c := leadpipe.lock_conversation(p);
  v_now := clock_timestamp();
  v_is_first := c.first_response_at is null;
  v_channel := p ->> 'channel';
  update public.conversations s set
    first_response_at = coalesce(s.first_response_at, v_now),
    sla_breached = s.sla_breached or coalesce(v_is_first and v_now > s.sla_response_deadline, false),
    status = case s.status when 'new' then 'in-progress' else s.status end
  where s.id = c.id
  returning coalesce(s.first_response_at <= s.sla_response_deadline, true) into v_is_met;
  update public.chat_messages m set is_read = true
  where m.conversation_id = c.id and m.sender = 'customer' and not m.is_read;
  if p ? 'message' then
    insert into public.chat_messages (conversation_id, sender, message_text, "timestamp", metadata)
    values (c.id, 'agent', leadpipe.to_nfc(p ->> 'message'), v_now,
      jsonb_strip_nulls(jsonb_build_object('channel', v_channel, 'by', p ->> 'by', 'agentId', a.id)));
  end if;
  perform leadpipe.record_activity(c.id, p ->> 'by',
    case v_channel when 'call' then 'call_logged' when 'email' then 'email_sent' else 'customer_contacted' end,
    case v_channel when 'call' then 'Called the customer' when 'email' then 'Replied by email'
      when 'whatsapp' then 'Replied by WhatsApp' when 'sms' then 'Replied by SMS' else 'Contacted the customer' end
      || coalesce(': ' || a.name, ''),
    concat_ws(' ', p ->> 'message', case when v_is_first and c.sla_response_deadline is not null then
      case when v_is_met then '(first response, on time)' else '(first response, late)' end end),
    'lead.contacted', jsonb_strip_nulls(jsonb_build_object(
      'channel', v_channel, 'agentId', a.id, 'isFirst', v_is_first, 'isInTime', case when v_is_first then v_is_met end)));
  if c.status = 'new' then
    perform leadpipe.record_activity(c.id, p ->> 'by', 'status_changed', 'Status changed from new to in-progress', null, null,
      '{"from": "new", "to": "in-progress"}');
  end if;
  return jsonb_build_object('status', 'contacted', 'isFirst', v_is_first) || leadpipe.conversation_reply(c.id, p);
end
$$;
revoke all on function public.respond_to_conversation(jsonb) from public, anon, authenticated;
grant execute on function public.respond_to_conversation(jsonb) to leadpipe_admin, service_role;
