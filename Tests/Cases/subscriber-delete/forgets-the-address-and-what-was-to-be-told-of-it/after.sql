select email from newsletter_subscribers; select payload ->> 'email' from lead_events; select count(*) from notification_logs
