insert into conversations (id, customer_name, customer_phone) values ('00000000-0000-4000-8000-0000000000c1', 'Test User', '+971501234567');
insert into follow_up_tasks (id, conversation_id, follow_up_date) values ('00000000-0000-4000-8000-0000000000f1', '00000000-0000-4000-8000-0000000000c1', '2099-01-01T10:00:00Z');
