select event_type, processed, payload ->> 'by' from lead_events; select channel, recipient, status from notification_logs order by recipient
