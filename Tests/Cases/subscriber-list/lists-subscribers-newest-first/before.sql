insert into newsletter_subscribers (id, email, status, source, subscribed_at, unsubscribed_at) values
  ('00000000-0000-4000-8000-f00000000001', 'Person1@example.com', 'active', 'footer', '2026-11-20 14:00:00Z', null), ('00000000-0000-4000-8000-f00000000002', 'person2@example.com', 'unsubscribed', null, '2026-11-21 14:00:00Z', '2026-11-22 14:00:00Z');
