-- The state from which every door starts. All times are fixed, so that replies about it have the same bytes.
insert into agents (id, name, email, created_at, updated_at) values
  ('00000000-0000-4000-8000-0000000000a1', 'Layla Haddad', 'layla@agency.example', '2026-01-02T08:00:00Z', '2026-01-02T08:00:00Z');

insert into conversations (id, customer_name, customer_phone, customer_email, start_time, tags, source, created_at, updated_at,
  sla_response_deadline, first_response_at, lead_quality, lead_score, status) values
  ('00000000-0000-4000-8000-0000000000c1', 'Sara Ahmed', '+971501234567', 'sara@client.example', '2026-01-05T10:00:00Z', '{family}',
    'chatbot', '2026-01-05T10:00:00Z', '2026-01-05T10:00:00Z', '2026-01-05T10:15:00Z', '2026-01-05T10:05:00Z', 'hot', 90, 'in-progress'),
  ('00000000-0000-4000-8000-0000000000c2', 'Émile Weiß', '+33612345678', null, '2026-01-06T10:00:00Z', '{}',
    'contact_form', '2026-01-06T10:00:00Z', '2026-01-06T10:00:00Z', '2026-01-06T11:00:00Z', '2026-01-06T10:05:00Z', 'warm', 60, 'in-progress');

insert into chat_messages (id, conversation_id, sender, message_text, timestamp, created_at, updated_at) values
  ('00000000-0000-4000-8000-0000000000b1', '00000000-0000-4000-8000-0000000000c1', 'customer', 'A villa by the sea, please 🏖️',
    '2026-01-05T10:00:00Z', '2026-01-05T10:00:00Z', '2026-01-05T10:00:00Z');

insert into newsletter_subscribers (id, email, status, source, subscribed_at) values
  ('00000000-0000-4000-8000-0000000000f1', 'reader@client.example', 'active', 'footer', '2026-01-07T10:00:00Z'),
  ('00000000-0000-4000-8000-0000000000f2', 'other@client.example', 'active', 'footer', '2026-01-08T10:00:00Z');

insert into admin_keys (name, rights, sha256) values ('Reader', 'read', sha256('the-reader-key-of-the-tests'));
