select status, source, ip_address, unsubscribed_at is null, subscribed_at at time zone 'UTC' from newsletter_subscribers;
select count(*) from lead_events
