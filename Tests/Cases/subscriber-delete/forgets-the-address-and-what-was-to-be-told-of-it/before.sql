insert into newsletter_subscribers (id, email, status, source, subscribed_at, unsubscribed_at) values
  ('00000000-0000-4000-8000-f00000000001', 'Person1@example.com', 'active', 'footer', '2026-11-20 14:00:00Z', null), ('00000000-0000-4000-8000-f00000000002', 'person2@example.com', 'unsubscribed', null, '2026-11-21 14:00:00Z', '2026-11-22 14:00:00Z');
insert into lead_events (event_type, payload) values ('newsletter.subscribed', '{"email": "person1@example.com"}'), ('newsletter.subscribed', '{"email": "person2@example.com"}');
insert into notification_logs (lead_event_id, channel) select id, 'slack' from lead_events;
