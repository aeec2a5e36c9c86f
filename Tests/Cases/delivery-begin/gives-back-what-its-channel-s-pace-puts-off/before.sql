insert into conversations (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead');
insert into lead_events (id, event_type, conversation_id, planned_at) values
  ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now()),
  ('00000000-0000-4000-8000-0000000000e2', 'lead.created', '00000000-0000-4000-8000-0000000000c1', now());
insert into notification_logs (id, lead_event_id, conversation_id, channel, recipient, status, fence, lease_until, leased_by, created_at) values
  ('00000000-0000-4000-8000-0000000000d1', '00000000-0000-4000-8000-0000000000e1', '00000000-0000-4000-8000-0000000000c1', 'slack', 'default', 'pending', 3, now() + interval '30 s', 'w', now() - interval '1 s'),
  ('00000000-0000-4000-8000-0000000000d2', '00000000-0000-4000-8000-0000000000e2', '00000000-0000-4000-8000-0000000000c1', 'slack', 'default', 'pending', 3, now() + interval '30 s', 'w', now());
