-- Events of every kind: finished, too old, without notification, and new.
insert into lead_events (id, event_type, conversation_id, processed, processed_at, created_at) values
  ('00000000-0000-4000-8000-0000000000e1', 'lead.created', '00000000-0000-4000-8000-0000000000d1',
   true, '2025-12-20 10:01+00', '2025-12-20 10:00+00'),
  ('00000000-0000-4000-8000-0000000000e2', 'lead.created', '00000000-0000-4000-8000-0000000000d2',
   false, null, now() - interval '80 hours'),
  ('00000000-0000-4000-8000-0000000000e3', 'lead.qualified', '00000000-0000-4000-8000-0000000000d2',
   false, null, now()),
  ('00000000-0000-4000-8000-0000000000e4', 'lead.created', '00000000-0000-4000-8000-0000000000d2',
   false, null, now() - interval '1 hour');
insert into conversation_timeline (conversation_id, event_type, title, actor_id) values
  ('00000000-0000-4000-8000-0000000000d1', 'created', 'Lead Created', null),
  ('00000000-0000-4000-8000-0000000000d1', 'assigned', 'Assigned', '00000000-0000-4000-8000-0000000000B1'),
  ('00000000-0000-4000-8000-0000000000d1', 'note_added', 'A note', 'admin@example.com');
insert into notification_logs (lead_event_id, conversation_id, channel, status) values
  ('00000000-0000-4000-8000-0000000000e1', '00000000-0000-4000-8000-0000000000d1', 'slack', 'sent'),
  (null, '00000000-0000-4000-8000-0000000000d1', 'email', 'pending');
