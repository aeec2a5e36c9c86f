insert into conversations (id, customer_name, customer_phone, source) values ('00000000-0000-4000-8000-0000000000c1', 'Test User', '+971501234567', 'chatbot');
insert into chat_messages (id, conversation_id, sender, message_text, "timestamp") values
  ('00000000-0000-4000-8000-a00000000001', '00000000-0000-4000-8000-0000000000c1', 'bot', 'Welcome', '2026-11-20 14:00:00Z'), ('00000000-0000-4000-8000-a00000000002', '00000000-0000-4000-8000-0000000000c1', 'customer', 'A villa, please', '2026-11-20 14:01:00Z'),
  ('00000000-0000-4000-8000-a00000000003', '00000000-0000-4000-8000-0000000000c1', 'customer', 'By the sea', '2026-11-20 14:02:00Z');
