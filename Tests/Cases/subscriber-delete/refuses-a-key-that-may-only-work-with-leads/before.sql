insert into newsletter_subscribers (id, email, status, source, subscribed_at, unsubscribed_at) values
  ('00000000-0000-4000-8000-f00000000001', 'Person1@example.com', 'active', 'footer', '2026-11-20 14:00:00Z', null), ('00000000-0000-4000-8000-f00000000002', 'person2@example.com', 'unsubscribed', null, '2026-11-21 14:00:00Z', '2026-11-22 14:00:00Z');
insert into admin_keys (name, rights, sha256) values ('Reader', 'read', '\xe73e6bd407370e99d22bbd09a126d9f473f09c7cc6ccf2e1cbed66e93937f197'), ('Writer', 'write', '\x5de141c48878713b86ede3f4bbaf5c7daf3c3267da73e0c6507b15d7ea571991');
