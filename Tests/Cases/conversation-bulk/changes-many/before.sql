insert into conversations (id, customer_name, customer_phone) values ('00000000-0000-4000-8000-0000000000c1', 'Test User', '+971501234567');
