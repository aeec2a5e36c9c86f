select string_agg(email || ':' || status || ':' || (unsubscribed_at is not null), ',' order by email) from newsletter_subscribers
