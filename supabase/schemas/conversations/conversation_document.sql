-- Returns a conversation as shown in the admin interface, without its messages and its metadata. Lists show many
-- conversations, and the metadata may be large; show_conversation adds it.
create or replace function leadpipe.conversation_document(c public.conversations, p jsonb default '{}') returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object(
      'id', c.id, 'customerId', c.customer_id, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
      'customerEmail', c.customer_email, 'startTime', leadpipe.iso8601(c.start_time), 'endTime', leadpipe.iso8601(c.end_time),
      'durationMinutes', c.duration_minutes, 'status', c.status, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
      'budget', c.budget, 'propertyType', c.property_type, 'preferredArea', c.preferred_area, 'intent', c.intent,
      'assignedAgentId', c.assigned_agent_id,
      'assignedAgentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
      'tags', to_jsonb(c.tags[:100]), 'notes', c.notes)
    || jsonb_build_object(
      'followUpDate', leadpipe.iso8601(c.follow_up_date), 'outcome', c.outcome, 'conversionValue', c.conversion_value,
      'leadScoreBreakdown', leadpipe.shown(c.lead_score_breakdown), 'source', c.source,
      'firstResponseAt', leadpipe.iso8601(c.first_response_at),
      'slaResponseDeadline', leadpipe.iso8601(c.sla_response_deadline), 'slaBreached', state = 'breached', 'slaState', state,
      'lastMessageSnippet', left(last.message_text, 120), 'lastMessageAt', leadpipe.iso8601(last."timestamp"),
      'unreadCount', (select count(*) from public.chat_messages m
                      where m.conversation_id = c.id and m.sender = 'customer' and not m.is_read),
      'createdAt', leadpipe.iso8601(c.created_at), 'updatedAt', leadpipe.iso8601(c.updated_at))
  from (select leadpipe.sla_state(c, p)) as sla (state)
  left join lateral (
    select m.message_text, m."timestamp" from public.chat_messages m where m.conversation_id = c.id
    order by m."timestamp" desc, m.created_at desc limit 1) last on true
$$;
revoke all on function leadpipe.conversation_document(public.conversations, jsonb) from public, anon, authenticated;
