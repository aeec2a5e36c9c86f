insert into conversations (id, customer_name, customer_phone, source) values ('00000000-0000-4000-8000-0000000000c1', 'Test User', '+971501234567', 'chatbot');
insert into conversation_timeline (id, conversation_id, event_type, title, description, metadata, created_at) values
  ('00000000-0000-4000-8000-b00000000001', '00000000-0000-4000-8000-0000000000c1', 'created', 'Lead Created', 'Captured from chatbot', '{}', '2026-11-20 14:00:00Z'),
  ('00000000-0000-4000-8000-b00000000002', '00000000-0000-4000-8000-0000000000c1', 'notification_sent', 'Notification sent via slack', null, '{"channel": "slack", "class": "delivered"}', '2026-11-20 14:00:01Z'),
  ('00000000-0000-4000-8000-b00000000003', '00000000-0000-4000-8000-0000000000c1', 'notification_sent', 'Notification failed via email', 'The recipient was refused', '{"channel": "email", "class": "permanent"}', '2026-11-20 14:00:02Z');
insert into conversation_timeline (id, conversation_id, event_type, title, actor_type, actor_name, created_at) values
  ('00000000-0000-4000-8000-b00000000004', '00000000-0000-4000-8000-0000000000c1', 'note_added', 'Note added', 'agent', 'Omar', '2026-11-20 14:05:00Z');
