select processed, (select count(*) from notification_logs) from lead_events
