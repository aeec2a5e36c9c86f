insert into conversations (id, customer_name, customer_phone, source) values ('00000000-0000-4000-8000-0000000000c1', 'Test User', '+971501234567', 'chatbot');
insert into lead_events (id, event_type, conversation_id, payload, planned_at, processed, processed_at, created_at) values
  ('00000000-0000-4000-8000-e00000000001', 'lead.created', '00000000-0000-4000-8000-0000000000c1', '{"source": "chatbot"}', '2026-11-20 14:00:01Z', false, null, '2026-11-20 14:00:00Z');
insert into notification_logs (id, lead_event_id, conversation_id, channel, recipient, status, outcome_class, error_message, retry_count, sent_at, next_attempt_at, subject, created_at) values
  ('00000000-0000-4000-8000-d00000000001', '00000000-0000-4000-8000-e00000000001', '00000000-0000-4000-8000-0000000000c1', 'slack', 'default', 'sent', 'delivered', null, 1, '2026-11-20 14:00:02Z', null, 'New Chatbot Lead', '2026-11-20 14:00:01Z'),
  ('00000000-0000-4000-8000-d00000000002', '00000000-0000-4000-8000-e00000000001', '00000000-0000-4000-8000-0000000000c1', 'email', 'desk@agency.example', 'failed', 'permanent', 'The recipient was refused', 1, null, null, null, '2026-11-20 14:00:01.1Z'),
  ('00000000-0000-4000-8000-d00000000003', '00000000-0000-4000-8000-e00000000001', '00000000-0000-4000-8000-0000000000c1', 'telegram', '-1001', 'pending', null, null, 0, null, null, null, '2026-11-20 14:00:01.2Z');
