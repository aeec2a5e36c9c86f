select email, status, source, ip_address, user_agent from newsletter_subscribers;
select count(*) from lead_events
