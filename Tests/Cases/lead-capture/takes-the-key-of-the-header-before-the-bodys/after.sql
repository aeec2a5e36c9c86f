select string_agg(key, ',') from idempotency_keys
