insert into newsletter_subscribers (email, unsubscribe_token) values ('Sara@example.com', '0f3e8f7c-6f0e-4d57-8a26-2f1f2e3d4c5b'), ('omar@example.com', gen_random_uuid());
