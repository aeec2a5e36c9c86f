-- Rows of the website. Of each kind, one fits Leadpipe's columns and one does not.
insert into auth.users values
  ('00000000-0000-4000-8000-0000000000f1', 'admin@example.com'),
  ('00000000-0000-4000-8000-0000000000f2', 'user@example.com');
insert into user_roles (user_id, role) values ('00000000-0000-4000-8000-0000000000f1', 'admin');
insert into blog_posts (title, published) values ('Moving to the Marina', true), ('A draft', false);
insert into agents (id, name, email, status) values
  ('00000000-0000-4000-8000-0000000000b1', 'Old Agent', 'agent@example.com', null);
insert into conversations
  (id, customer_id, customer_name, customer_phone, lead_score, tags, assigned_agent_id, created_at, updated_at)
values
  ('00000000-0000-4000-8000-0000000000d1', gen_random_uuid(), 'Old Lead', '+971500000001', 80,
   '{vip}', '00000000-0000-4000-8000-0000000000b1', '2025-12-20 10:00+00', '2025-12-21 10:00+00'),
  ('00000000-0000-4000-8000-0000000000d2', gen_random_uuid(), 'Older Lead', null,
   null, null, null, '2025-12-19 10:00+00', '2025-12-19 10:00+00');
insert into chat_messages (conversation_id, sender, message_text, is_read) values
  ('00000000-0000-4000-8000-0000000000d1', 'customer', 'Is it still free?', null);
insert into lead_tags (conversation_id, tag_name) values ('00000000-0000-4000-8000-0000000000d1', 'vip');
insert into conversation_summaries (conversation_id, summary_text) values
  ('00000000-0000-4000-8000-0000000000d1', 'Asked for a flat.');
insert into follow_up_tasks (id, conversation_id, follow_up_date, status) values
  ('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000d1', '2025-12-22 10:00+00', 'completed');
