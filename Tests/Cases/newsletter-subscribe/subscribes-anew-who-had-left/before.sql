insert into newsletter_subscribers (email, status, source, unsubscribed_at) values ('sara@example.com', 'unsubscribed', 'old', now());
