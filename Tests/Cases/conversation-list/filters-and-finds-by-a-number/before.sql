insert into conversations (id, customer_name, customer_phone, tags, created_at, sla_response_deadline, lead_quality, lead_score)
  values ('00000000-0000-4000-8000-0000000000c1', 'Sara Ahmed', '+971501234567', '{family}', '2026-01-05T10:00:00Z', '2026-01-05T10:15:00Z', 'hot', 90);
insert into chat_messages (conversation_id, sender, message_text, timestamp) values ('00000000-0000-4000-8000-0000000000c1', 'customer', 'A villa, please', '2026-01-05T10:00:00Z');
