select c.lead_score, c.lead_quality, array_to_string(c.tags, ','), c.device_info ->> 'os', c.customer_id <> '00000000-0000-4000-8000-000000000001',
  to_char(c.sla_response_deadline at time zone 'UTC', 'HH24:MI'),
  (select string_agg(sender || '=' || message_text, ';' order by created_at) from chat_messages m where m.conversation_id = c.id),
  (select count(*) from chat_messages where id = '00000000-0000-4000-8000-0000000000f1') from conversations c
