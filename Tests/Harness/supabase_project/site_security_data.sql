insert into admin_users (id, user_id, email) values
  ('00000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-0000000000f1', 'admin@example.com');
insert into admin_sessions (admin_id, session_token) values ('00000000-0000-4000-8000-0000000000c1', 'a token of the website');
