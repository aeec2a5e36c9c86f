insert into idempotency_keys (route, key, body_sha256) values ('lead-capture', 'key-1', '');
