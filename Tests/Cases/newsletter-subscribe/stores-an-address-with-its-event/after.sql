select email, status, source, ip_address, user_agent, unsubscribed_at is null from newsletter_subscribers order by email;
select event_type, processed, conversation_id, payload from lead_events
